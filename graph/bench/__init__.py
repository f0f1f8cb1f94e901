"""Scenarios that measure and check: ``python -m graph.bench NAME``. Each prints a table and ends with one JSON line."""
