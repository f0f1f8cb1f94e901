"""Templates as transformers runs them, and the requests of the process that runs them."""

import marshal
from io import BytesIO
from typing import Any

import pytest

from infra.llm.counting.template import DONE, FREE_BYTES, LENGTH, REFUSED, answer, compiled, serve

VALUES: dict[str, Any] = {
    "messages": [{"role": "user", "content": "hello"}],
    "bos_token": "<s>",
    "tools": None,
    "documents": None,
    "add_generation_prompt": True,
}


def render(source: str) -> tuple[bytes, bytes]:
    return answer({"default": compiled(source)}, {"template": "default", "values": VALUES}, 1)


JUMPS = (
    "{% for n in range(9) %}{% if n == 1 %}{% continue %}{% endif %}{{ n }}"
    "{% if n == 3 %}{% break %}{% endif %}{% endfor %}"
)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ bos_token }}{{ messages[0]['content'] }}", "<s>hello"),
        ("{% if true %}\n    {% set x = 1 %}\n  a\n{% endif %}\n", "  a\n"),
        ("{{ {'a': '<é&\"'} | tojson }}", '{"a": "<é&\\""}'),
        ("{{ [1] | tojson(indent=1) }}", "[\n 1\n]"),
        ("{% generation %}a{% endgeneration %}", "a"),
        (JUMPS, "023"),
        ("{% for m in messages recursive %}{{ loop.length }}{{ loop.last }}{% else %}x{% endfor %}", "1True"),
        ("{{ add_generation_prompt }}{{ tools }}{{ documents }}{{ thinking }}", "TrueNoneNone"),
        ("{{ strftime_now('%Y') | length }}", "4"),
        ("{{ messages[0].missing }}{{ messages[0].keys() | list }}", "['role', 'content']"),
    ],
)
def test_templates_run_as_in_transformers(source: str, text: str) -> None:
    assert render(source) == (DONE, text.encode())


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('roles must alternate') }}",
        "{{ messages[0].content.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ ''.join(messages) }}",
        "{{ 1 / 0 }}",
        "{% include 'x' %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    ],
)
def test_a_template_that_refuses_or_breaks_out_is_refused(source: str) -> None:
    assert render(source)[0] == REFUSED


def test_a_prompt_far_longer_than_what_it_holds_is_refused() -> None:
    assert render("{{ 'x' * %d }}" % FREE_BYTES)[0] == DONE  # noqa: UP031 - braces
    kind, why = render("{{ 'x' * %d }}" % (FREE_BYTES + 9))  # noqa: UP031 - braces
    assert (kind, why) == (REFUSED, b"a prompt of 1,000,009 bytes from 1")


def test_memory_that_is_refused_ends_the_process() -> None:
    with pytest.raises(MemoryError):
        render("{{ 'x' * %d }}" % 2**62)  # noqa: UP031 - braces


def test_requests_are_answered_until_the_input_ends() -> None:
    asked: list[dict[str, Any]] = [
        {"sources": {"default": "{% if"}},
        {"sources": {"default": "{{ x }}"}},
        {"template": "default", "values": {"x": "é\ud800"}},
    ]
    framed = [len(data).to_bytes(LENGTH) + data for data in map(marshal.dumps, asked)]
    replies = BytesIO()
    serve(BytesIO(b"".join(framed)), replies, 60.0)
    assert replies.getvalue().startswith(REFUSED)
    text = "é\ud800".encode("utf-8", "surrogatepass")
    assert replies.getvalue().endswith(DONE + bytes(LENGTH) + DONE + len(text).to_bytes(LENGTH) + text)
