"""The ``route`` task: how a question is to be worked on, and its standalone form.

Rules, in plain words: a greeting, thanks, a good-bye, a word of assent, or a question about the engine itself is
direct, with a fixed reply; only a message that is nothing else counts. With a ``<history>`` the question is made to
stand alone (``ellipsis``). A question whose plan has more than one step is compound; every other one is a look-up.
"""

import re
from typing import Any

from infra.engine.tasks.ellipsis import Turn, standalone
from infra.engine.tasks.plan import is_compound
from infra.engine.tasks.task_input import TaskInput

_ABOUT = (
    "I am DocMind's embedded engine: I work by fixed rules, without a language model. Ask a question about your "
    "documents and I answer with the sentences that fit it best, quoted word for word, each with its source."
)
_GREETING = r"(?:hi|hello|hey|greetings|good (?:morning|afternoon|evening|day))(?: there| docmind| all| again)?"
_HELP = r"can (?:you|u) help(?: me)?|(?:please )?help(?: me)?|how can (?:you|i) (?:help(?: me)?|use (?:you|this))"
_SELF = (
    r"(?:who|what) (?:exactly )?are you|what(?: else)? can you do(?: for me)?|what is docmind|what do you do"
    r"|are you (?:a |an )?(?:ai|bot|robot|human|person|language model|llm)"
    r"|(?:what|which) (?:model|llm|engine) (?:are you|is this|do you use)|who made you|introduce yourself"
)
_REPLIES = (
    (rf"{_GREETING}(?:[,.! ]+(?:how are you(?: today)?|{_HELP}|{_SELF}))?", f"Hello. {_ABOUT}"),
    (r"(?:many |big |ok |okay |great |perfect )?(?:thanks|thank you|thx|cheers)(?: a lot| so much| very much| again)?",
     "You are welcome."),
    (r"good ?bye|bye(?: bye)?|see you(?: later| soon)?|good night", "Good-bye."),
    (r"ok|okay|yes|no|great|cool|nice|perfect|fine|alright|all right|got it|i see", "All right. Ask when you like."),
    (rf"how are you(?: today)?|{_HELP}|{_SELF}", _ABOUT),
)  # fmt: skip
_SMALL_TALK = tuple((re.compile(pattern, re.IGNORECASE), reply) for pattern, reply in _REPLIES)
_LONGEST_SMALL_TALK = 100
_SPEAKERS = ("user: ", "assistant: ")


def route(task: TaskInput) -> dict[str, Any]:
    """Return the standalone question, its kind and, for small talk, a reply."""
    asked = task.question
    if reply := _small_talk(asked):
        return {"question": asked, "kind": "direct", "reply": reply}
    question = standalone(asked, _turns(task))
    return {"question": question, "kind": "compound" if is_compound(question) else "lookup", "reply": ""}


def _small_talk(question: str) -> str:
    said = " ".join(question.split()).strip(" ?!.,:)")
    if len(said) > _LONGEST_SMALL_TALK:
        return ""
    return next((reply for pattern, reply in _SMALL_TALK if pattern.fullmatch(said)), "")


def _turns(task: TaskInput) -> list[Turn]:
    """Return the exchanges of the history, latest first; a line without a speaker goes on with the line before."""
    said: list[list[str]] = []
    for line in [line for block in task.blocks("history")[:1] for line in block.body.splitlines()]:
        speaker = next((speaker for speaker in _SPEAKERS if line.startswith(speaker)), "")
        if speaker:
            said.append([speaker, line.removeprefix(speaker)])
        elif said:
            said[-1][1] += f" {line}"
    turns: list[Turn] = []
    for speaker, text in said:
        if speaker == "user: ":
            turns.append(Turn(text))
        elif turns:
            turns[-1] = Turn(turns[-1].asked, text)
    return turns[::-1]
