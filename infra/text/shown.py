"""Words of strangers (servers, files) made fit to stand in a message of ours: short, on one line, nothing that acts."""

MAX_MESSAGE_CHARS = 240


def one_line(text: str, limit: int = MAX_MESSAGE_CHARS) -> str:
    """Return the first words of a message, on one line, without control characters."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text[: 8 * limit]).split())
    return words if len(words) <= limit else f"{words[: limit - 1]}…"
