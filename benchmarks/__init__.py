"""Benchmarks: scripts that print a table, run as `python -m benchmarks.NAME`; not tests."""
