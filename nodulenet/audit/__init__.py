"""Corpora and lists compared with each other. No step of the workflow calls this package."""
