"""A text for a regular expression, by a short bounded search; a help for schemas with ``pattern``, best effort."""

import regex

MAX_CHARS = 64
MAX_STEPS = 2_000
MATCH_SECONDS = 0.05

_ALPHABET = "0aA-_. :/@"


def short_match(pattern: str, min_chars: int) -> str | None:
    """Return a short text of at least ``min_chars`` characters that ``pattern`` matches as a whole, None without.

    The text grows character by character as long as it can still become a match, first with common characters, then
    with those that stand in the pattern.
    """
    alphabet = list(dict.fromkeys(_ALPHABET + pattern))
    pending = [""]
    try:
        compiled = regex.compile(pattern)
        for _ in range(MAX_STEPS):
            if not pending:
                break
            text = pending.pop()
            if len(text) >= min_chars and compiled.fullmatch(text, timeout=MATCH_SECONDS):
                return text
            if len(text) < max(MAX_CHARS, min_chars):
                longer = (text + char for char in reversed(alphabet))
                pending += [t for t in longer if compiled.fullmatch(t, partial=True, timeout=MATCH_SECONDS)]
    except (regex.error, TimeoutError):
        return None
    return None


def holds_match(pattern: str, text: str) -> bool:
    """Return whether ``pattern`` matches anywhere in ``text``; False where it is no pattern or takes too long."""
    try:
        return regex.search(pattern, text, timeout=MATCH_SECONDS) is not None
    except (regex.error, TimeoutError):
        return False
