"""Rephrasings and hard negatives of real questions, to test the answer cache with: seeded, pure, no model.

Its words come from named outside sources (``data/SOURCES.md``), and it was committed before the cache's gates.
"""
