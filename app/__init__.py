"""The product: signals in, cases out."""
