"""The checks, by what they are about. `app/checks.py` lists them all."""
