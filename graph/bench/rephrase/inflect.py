"""Forms of English words: from a form to its lemma, and to the same form of another lemma.

Irregular forms are those of WordNet's exception lists; of two irregular forms of a verb the participle is the one in
-n or -u- (chosen, begun). Rules for regular forms: Huddleston and Pullum, The Cambridge Grammar of the English
Language, 2002, chapter 18.
"""

import re
from collections.abc import Iterator
from typing import Literal

from graph.bench.rephrase.words import Words

Form = Literal["base", "s", "past", "participle", "ing", "er", "est"]

_REGULAR: dict[str, list[tuple[str, str, Form]]] = {
    "v": [
        ("ies", "y", "s"), ("es", "e", "s"), ("es", "", "s"), ("s", "", "s"),
        ("ied", "y", "past"), ("ed", "e", "past"), ("ed", "", "past"),
        ("ing", "e", "ing"), ("ing", "", "ing"),
    ],
    "n": [("ies", "y", "s"), ("es", "e", "s"), ("es", "", "s"), ("s", "", "s")],
    "a": [
        ("ier", "y", "er"), ("er", "e", "er"), ("er", "", "er"),
        ("iest", "y", "est"), ("est", "e", "est"), ("est", "", "est"),
    ],
    "r": [],
}  # fmt: skip


def lemmas(form: str, pos: str, words: Words) -> Iterator[tuple[str, Form]]:
    """Each lemma a form may belong to, with what form of it that is."""
    yield form, "base"
    for kind, lemma in words.irregular.get(form, ()):
        if kind == pos:
            yield lemma, _irregular_form(form, pos, lemma, words)
    for ending, back, name in _REGULAR[pos]:
        if form.endswith(ending) and len(form) > len(ending) + 1:
            yield form[: -len(ending)] + back, name


def inflected(lemma: str, pos: str, form: Form, words: Words) -> str:
    """The form of a lemma; of a phrase its first word is inflected, of a noun phrase its last."""
    if "_" in lemma:
        first, _, rest = lemma.partition("_")
        if pos == "n":
            start, _, last = lemma.rpartition("_")
            return f"{start.replace('_', ' ')} {inflected(last, pos, form, words)}"
        return f"{inflected(first, pos, form, words)} {rest.replace('_', ' ')}"
    if form == "base":
        return lemma
    for irregular in reversed(words.forms.get((pos, lemma), ())):
        if form == _irregular_form(irregular, pos, lemma, words) or (
            form == "participle"
            and _irregular_form(irregular, pos, lemma, words) == "past"
            and not _strong(lemma, words)
        ):
            return irregular
    if form in {"past", "participle"} and f"{lemma}ting" in words.forms.get((pos, lemma), ()):
        return lemma  # set, put: the lists hold only what differs, "setting"
    return _regular(lemma, "past" if form == "participle" else form)


def _irregular_form(form: str, pos: str, lemma: str, words: Words) -> Form:
    if pos == "n":
        return "s"
    if form.endswith("ing"):
        return "ing"
    if form.endswith("s") and form not in {"was"}:
        return "s"
    return "participle" if form == _strong(lemma, words) else "past"


def _strong(lemma: str, words: Words) -> str:
    """A verb's participle where it differs from its past; else empty."""
    forms = [form for form in words.forms.get(("v", lemma), ()) if not form.endswith(("ing", "s"))]
    if len(forms) < 2:  # noqa: PLR2004 - one irregular form serves both
        return ""
    in_n = [form for form in forms if re.search("ne?$", form)]
    with_u = [form for form in forms if "u" in form]
    return in_n[0] if len(in_n) == 1 else with_u[0] if len(with_u) == 1 else ""


def _regular(lemma: str, form: Form) -> str:
    consonant_y = bool(re.search("[^aeiou]y$", lemma))
    match form:
        case "s":
            ending = "es" if re.search("(s|x|z|ch|sh)$", lemma) else "s"
            return lemma[:-1] + "ies" if consonant_y else lemma + ending
        case "past" | "er" | "est":
            ending = {"past": "ed", "er": "er", "est": "est"}[form]
            if consonant_y:
                return lemma[:-1] + "i" + ending
            doubled = form != "past" and re.search("[^aeiou][aeiou][bdgmnpt]$", lemma)
            return lemma + (lemma[-1] if doubled else "") + (ending[1:] if lemma.endswith("e") else ending)
        case "ing":
            return (lemma[:-1] if re.search("[^eo]e$", lemma) else lemma) + "ing"
        case _:
            return lemma
