"""Several paths may follow one ``--docs``."""

from pathlib import Path

import pytest

from tools.arguments import spread


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["--docs", "a", "b", "Who?"], ["--docs", "a", "--docs", "b", "Who?"]),
        (["Who?", "--docs", "a", "b", "--json"], ["Who?", "--docs", "a", "--docs", "b", "--json"]),
        (["--docs", "missing", "Who?"], ["--docs", "missing", "Who?"]),
        (["--docs", "a", "--docs", "b"], ["--docs", "a", "--docs", "b"]),
        (["--docs", "a", "--", "b"], ["--docs", "a", "--", "b"]),
        (["a", "b"], ["a", "b"]),
        (["--docs", "a", "Who?", "b"], ["--docs", "a", "Who?", "b"]),
    ],
)
def test_existing_paths_after_docs_belong_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], meant: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).touch()
    assert list(spread(given)) == meant
