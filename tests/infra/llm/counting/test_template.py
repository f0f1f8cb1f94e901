"""Messages and tools as vLLM hands them to a template, and templates as transformers runs them."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.errors import ConfigurationError
from infra.llm.counting import template
from infra.llm.counting.messages import Unrenderable, template_messages, template_tools
from infra.llm.counting.template import ChatTemplate, TemplateTooSlow, open_template

USER = {"role": "user", "content": "hello"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"b": 1, "a": [1.50]}'}}
PARTS = [{"type": "text", "text": "a"}, {"type": "text", "text": ""}, {"type": "text", "text": "b"}]


def render(source: str, messages: Any = (USER,), tools: Any = None, **options: Any) -> str:
    template = ChatTemplate({"default": source}, {"bos_token": "<s>"})
    return template.render(messages, tools, options, "string")


@pytest.mark.parametrize(
    ("message", "string", "openai"),
    [
        (USER, {"content": "hello"}, {"content": [{"type": "text", "text": "hello"}]}),
        (
            {"role": "user", "content": PARTS, "name": "ann"},
            {"content": "a\nb", "name": "ann"},
            {"content": PARTS, "name": "ann"},
        ),
        ({"role": "system", "content": ""}, {"content": ""}, {"content": [{"type": "text", "text": ""}]}),
        ({"role": "assistant", "content": None, "tool_calls": []}, {"content": ""}, {"content": []}),
        (
            {"role": "tool", "content": PARTS, "tool_call_id": "c"},
            {"content": "a\nb", "tool_call_id": "c"},
            {"content": "a\n\nb", "tool_call_id": "c"},
        ),
    ],
)
def test_contents_are_prepared_as_vllm_does(message: dict[str, Any], string: Any, openai: Any) -> None:
    role = {"role": message["role"]}
    assert template_messages([message], "string") == [role | string]
    assert template_messages([message], "openai") == [role | openai]


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [('{"b": 1, "a": [1.50]}', {"b": 1, "a": [1.5]}), ("", {}), ("[]", {}), ("{cut", {}), ("7", {}), ("null", {})],
)
def test_arguments_become_objects_in_the_order_of_vllms_types(arguments: str, seen: Any) -> None:
    call = {"type": "function", "id": "c", "function": {"name": "f", "arguments": arguments}}
    [message] = template_messages([{"role": "assistant", "tool_calls": [call]}], "string")
    assert list(message.items()) == [
        ("role", "assistant"),
        ("content", ""),
        ("tool_calls", [{"id": "c", "function": {"arguments": seen, "name": "f"}, "type": "function"}]),
    ]
    assert list(message["tool_calls"][0]) == ["id", "function", "type"]
    assert list(message["tool_calls"][0]["function"]) == ["arguments", "name"]


def test_tools_are_dumped_with_vllms_defaults() -> None:
    tools: list[dict[str, Any]] = [
        {"function": {"parameters": {"b": 1, "a": None}, "name": "f"}, "type": "function"},
        {"type": "function", "function": {"strict": False, "name": "g", "description": "G."}},
    ]
    assert json.dumps(template_tools(tools)) == (
        '[{"type": "function", "function": {"name": "f", "description": null, "parameters": {"b": 1, "a": null}}}, '
        '{"type": "function", "function": {"name": "g", "description": "G.", "parameters": null, "strict": false}}]'
    )


HUGE = '{"n": ' + "9" * 5_000 + "}"
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "message",
    [
        {"role": "developer", "content": "x"},
        {"role": "user", "content": None},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]},
        {"role": "user", "content": [{"type": "text", "text": "x", "cache": 1}]},
        {"role": "user", "content": ["x"]},
        {"role": "user", "content": "x", "tool_calls": [CALL]},
        {"role": "assistant", "content": "x", "reasoning": "y"},
        {"role": "system", "content": "x-anthropic-billing-header: 1"},
        {"role": "assistant", "tool_calls": [CALL | {"index": 0}]},
        {"role": "assistant", "tool_calls": [CALL | {"function": {"name": "f", "arguments": {}}}]},
        {"role": "assistant", "tool_calls": [CALL | {"function": {"name": "f", "arguments": "", "x": 1}}]},
        {"role": "assistant", "tool_calls": [CALL | {"function": {"name": "f", "arguments": HUGE}}]},
        {"role": "assistant", "tool_calls": [CALL | {"function": {"name": "f", "arguments": DEEP}}]},
        {"role": "assistant", "tool_calls": ["x"]},
    ],
)
def test_what_a_server_may_treat_its_own_way_is_left_to_it(message: dict[str, Any]) -> None:
    with pytest.raises(Unrenderable):
        render("{{ messages[0].role }}", [message])


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "function": {"name": "f", "x": 1}},
        {"type": "function", "function": {"name": "f", "strict": "yes"}},
        {"type": "function", "function": {"name": "f", "parameters": []}},
        {"type": "function", "function": {"name": "f"}, "defer_loading": True},
        {"type": "code"},
        "f",
    ],
)
def test_tools_of_another_form_are_left_to_the_server(tool: Any) -> None:
    with pytest.raises(Unrenderable):
        render("", tools=[tool])


@pytest.mark.parametrize("options", [{"chat_template": "x"}, {"chat_template_kwargs": {"messages": []}}])
def test_options_with_a_meaning_of_their_own_are_left_to_the_server(options: dict[str, Any]) -> None:
    with pytest.raises(Unrenderable):
        render("x", **options)


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
    assert render(source) == text


def test_options_reach_the_template() -> None:
    source = "{{ add_generation_prompt }}{{ thinking }}{{ bos_token }}{{ style is defined }}"
    options = {"thinking": False, "bos_token": "", "style": None}
    assert render(source, chat_template_kwargs=options, add_generation_prompt=False) == "FalseFalseFalse"


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
def test_a_template_that_refuses_or_breaks_out_is_unrenderable(source: str) -> None:
    with pytest.raises(Unrenderable):
        render(source)


ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.mark.parametrize("source", [ENDLESS, "{% macro f() %}" + ENDLESS + "{% endmacro %}{{ f() }}"])
def test_a_template_without_an_end_is_stopped(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "RENDER_SECONDS", 0.02)
    with pytest.raises(TemplateTooSlow):
        render(source)


def write(folder: Path, **files: Any) -> Path:
    for name, value in files.items():
        path = folder / name.replace("__", "/").replace("_json", ".json").replace("_jinja", ".jinja")
        path.parent.mkdir(exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return folder


def told(folder: Path) -> tuple[str, str]:
    template = open_template(folder)
    return template.render([USER], None, {}, "string"), template.render([USER], [], {}, "string")


def test_the_template_is_chosen_as_transformers_chooses_it(tmp_path: Path) -> None:
    config = {"chat_template": "c{{ bos_token }}{{ eos_token }}", "eos_token": {"content": "</s>"}, "pad_token": None}
    write(tmp_path, tokenizer_config_json=config, special_tokens_map_json={"bos_token": "<s>", "eos_token": "old"})
    assert told(tmp_path) == ("c<s></s>", "c<s></s>")
    named = [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]
    write(tmp_path, tokenizer_config_json={"chat_template": named})
    assert told(tmp_path) == ("d", "t")
    write(tmp_path, chat_template_jinja="own")
    assert told(tmp_path) == ("own", "own")
    write(tmp_path, chat_templates__tool_use_jinja="own tools")
    assert told(tmp_path) == ("own", "own tools")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no chat template named default"),
        ({"tokenizer_config_json": {"chat_template": {"rag": "x"}}}, "no chat template named default"),
        ({"tokenizer_config_json": {"chat_template": 7}}, "no chat template named default"),
        ({"tokenizer_config_json": "[]"}, "no chat template named default"),
        ({"tokenizer_config_json": "{"}, "is not JSON"),
        ({"chat_template_jinja": "{% if %}"}, "is not Jinja"),
        ({"chat_template_jinja": "x" * 1_000_001}, "longer than 1,000,000 bytes"),
    ],
)
def test_a_folder_without_a_usable_template_is_refused(tmp_path: Path, files: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        open_template(write(tmp_path, **files))


def test_a_template_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        open_template(tmp_path)
