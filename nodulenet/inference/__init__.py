"""Whole-scan prediction. Tables and masks are read without torch; `predict` needs it."""
