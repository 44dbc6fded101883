"""The same rules over columns: past rulings as they were recorded, and what another policy says of them."""
