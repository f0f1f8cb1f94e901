"""Files to text: one module a family of formats, and ``kinds``, which knows what reads what.

Each reader takes a ``Source`` and gives an ``Extracted``: the text, its sections with their headings or page, and a
title; or it raises ``DocumentError`` with a reason. What is text already (plain text, Markdown, reStructuredText, CSV,
source code) keeps its text unchanged but for the newlines, so that a quote stands in the file as it was written.
Everything else is written out plainly. A file without text counts as unreadable: nothing in it could be quoted.
"""

READER_VERSION = "read-4"
"""Raised when any reader gives another text or other sections, so that documents read before are read again."""
