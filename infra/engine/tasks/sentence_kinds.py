"""Kinds of sentences: questions, suggestions, remarks.

English grammar only (Quirk et al., chapter 11). A question ends in a question mark. A question in form may be a
suggestion ("How about Friday at three?"): it states what is proposed ("What shall we do?" does
not). A remark is a question that gives nothing away:
it asks openly ("What do you think?") or has hardly any words of its own ("Any ideas?").
"""

import re

from infra.text.terms import terms

REMARK_TERMS = 2
"""Up to so many terms a yes-no question states nothing worth quoting."""

_ASKS = re.compile(r"\?[^\w?]*$")
_OPEN = re.compile(r"\b(?:what|which|who|whom|whose|when|where|why|how)(?:['’]s|['’]re)?\b", re.IGNORECASE)
_SUGGESTS = re.compile(
    r"\b(?:how about|what about \w+ing|maybe|perhaps|why don['’]?t|why not|shall (?:we|i)|let['’]s|wanna"
    r"|(?:do you )?want to|would you like|(?:could|can|should) we|what if)\b",
    re.IGNORECASE,
)


def asks(sentence: str) -> bool:
    """Tell whether ``sentence`` is a question in form: a question mark, then nothing but signs."""
    return bool(_ASKS.search(sentence))


def is_suggestion(sentence: str) -> bool:
    """Tell whether ``sentence`` proposes something, whatever its form."""
    match = _SUGGESTS.search(sentence)
    return match is not None and not _OPEN.search(sentence[: match.start()])


def is_remark(question: str) -> bool:
    """Tell whether ``question`` states nothing: an open question, or one of hardly any terms."""
    return bool(_OPEN.search(question)) or len(terms(question)) <= REMARK_TERMS
