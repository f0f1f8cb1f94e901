"""Question and window compared token by token."""

from collections.abc import Sequence

import pytest

from tests.tools.words import WordEmbedder
from tools import late
from tools.late import LateInteraction

WINDOWS = ["boiler leaks badly", "boiler works", "roses bloom"]


class Counting(WordEmbedder):
    """Keeps what token vectors were asked for."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def embed_tokens(self, texts: Sequence[str]):
        self.asked.append(list(texts))
        return super().embed_tokens(texts)


def test_the_window_that_has_each_token_of_the_question_gains_most():
    gains = LateInteraction(WordEmbedder()).gains("boiler leaks", WINDOWS)
    assert gains[0] > gains[1] > gains[2]
    assert sum(gains) == pytest.approx(0.0)
    assert sum(gain**2 for gain in gains) / 3 == pytest.approx(1.0, abs=1e-3)


def test_equal_windows_and_empty_ones_gain_nothing():
    compared = LateInteraction(WordEmbedder())
    assert compared.gains("boiler", ["boiler works"] * 2) == [0.0, 0.0]
    assert compared.gains("", WINDOWS) == [0.0] * 3
    assert compared.gains("boiler", []) == []
    assert compared.gains("boiler", ["", "boiler"]) == [-1.0, 1.0]


def test_windows_are_encoded_once_while_they_are_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(late, "KEPT_WINDOWS", 2)
    embedder = Counting()
    compared = LateInteraction(embedder)
    compared.gains("a", WINDOWS[:2])
    compared.gains("b", [WINDOWS[1], WINDOWS[2]])
    compared.gains("c", [WINDOWS[0]])
    assert embedder.asked == [["a"], WINDOWS[:2], ["b"], [WINDOWS[2]], ["c"], [WINDOWS[0]]]
