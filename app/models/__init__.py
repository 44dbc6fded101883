"""Classifiers: one file per way to answer."""
