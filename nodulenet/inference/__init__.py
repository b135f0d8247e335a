"""Whole-scan prediction. Reading tables and masks does not need torch; `predict` does."""
