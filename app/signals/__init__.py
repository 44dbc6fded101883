"""Verify and read what other systems send."""
