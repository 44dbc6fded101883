"""How good the judgements are, measured through the same code that judges live."""
