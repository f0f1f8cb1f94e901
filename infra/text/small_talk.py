"""Small talk: messages that ask nothing of any document. English only.

Gives `small_talk`, which names the kind of a message that is nothing else than a greeting, thanks, a good-bye, a word
of assent, or a question about the program itself.
"""

import re
from typing import Literal

Kind = Literal["greeting", "thanks", "goodbye", "assent", "about"]

_LONGEST_CHARS = 100
_GREETING = r"(?:hi|hello|hey|greetings|good (?:morning|afternoon|evening|day))(?: there| docmind| all| again)?"
_HELP = r"can (?:you|u) help(?: me)?|(?:please )?help(?: me)?|how can (?:you|i) (?:help(?: me)?|use (?:you|this))"
_SELF = (
    r"(?:who|what) (?:exactly )?are you|what(?: else)? can you do(?: for me)?|what is docmind|what do you do"
    r"|are you (?:a |an )?(?:ai|bot|robot|human|person|language model|llm)"
    r"|(?:what|which) (?:model|llm|engine) (?:are you|is this|do you use)|who made you|introduce yourself"
)
_PATTERNS: tuple[tuple[Kind, str], ...] = (
    ("greeting", rf"{_GREETING}(?:[,.! ]+(?:how are you(?: today)?|{_HELP}|{_SELF}))?"),
    (
        "thanks",
        r"(?:many |big |ok |okay |great |perfect )?(?:thanks|thank you|thx|cheers)"
        r"(?: a lot| so much| very much| again)?",
    ),
    ("goodbye", r"good ?bye|bye(?: bye)?|see you(?: later| soon)?|good night"),
    ("assent", r"ok|okay|yes|no|great|cool|nice|perfect|fine|alright|all right|got it|i see"),
    ("about", rf"how are you(?: today)?|{_HELP}|{_SELF}"),
)
_KNOWN: tuple[tuple[Kind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _PATTERNS
)


def small_talk(message: str) -> Kind | None:
    """Return which kind of small talk ``message`` is; None where it may ask for something."""
    if len(message) > _LONGEST_CHARS:
        return None
    said = " ".join(message.split()).strip(" ?!.,:)")
    return next((kind for kind, pattern in _KNOWN if pattern.fullmatch(said)), None)
