"""Builds the labelled packs of evals/datasets from stories: `python -m evals.building`. Same bytes every time."""
