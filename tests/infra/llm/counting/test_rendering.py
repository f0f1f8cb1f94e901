"""Messages and tools as vLLM hands them to a template, and templates in a process that can be stopped."""

import gc
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.errors import ConfigurationError
from infra.llm.counting import rendering
from infra.llm.counting.messages import Unrenderable, template_messages, template_tools
from infra.llm.counting.rendering import ChatTemplate, TemplateTooSlow, open_template

USER = {"role": "user", "content": "hello"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"b": 1, "a": [1.50]}'}}
PARTS = [{"type": "text", "text": "a"}, {"type": "text", "text": ""}, {"type": "text", "text": "b"}]


PLAIN = ChatTemplate({"default": "{{ messages[0].role }}"}, {})


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
        PLAIN.render([message], None, {}, "string")


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
        PLAIN.render([USER], [tool], {}, "string")


@pytest.mark.parametrize("options", [{"chat_template": "x"}, {"chat_template_kwargs": {"messages": []}}])
def test_options_with_a_meaning_of_their_own_are_left_to_the_server(options: dict[str, Any]) -> None:
    with pytest.raises(Unrenderable):
        PLAIN.render([USER], None, options, "string")


def test_options_reach_the_template() -> None:
    source = "{{ add_generation_prompt }}{{ thinking }}{{ bos_token }}{{ style is defined }}"
    options = {"thinking": False, "bos_token": "", "style": None}
    assert render(source, chat_template_kwargs=options, add_generation_prompt=False) == "FalseFalseFalse"


def test_what_is_no_json_is_left_to_the_server() -> None:
    with pytest.raises(Unrenderable, match="unmarshallable"):
        PLAIN.render([USER], None, {"chat_template_kwargs": {"x": object()}}, "string")


def test_a_refusal_is_said_in_one_line_and_the_next_prompt_is_rendered() -> None:
    template = ChatTemplate({"default": "{% if tools %}{{ raise_exception('no\\ntools') }}{% endif %}x"}, {})
    with pytest.raises(Unrenderable, match="TemplateError: no tools"):
        template.render([USER], [{"type": "function", "function": {"name": "f"}}], {}, "string")
    assert template.render([USER], None, {}, "string") == "x"


HOSTILE = {
    "loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "tests of loops": "{% for a in range(99999) if range(99999) | sum < 0 %}{% endfor %}",
    "macros": "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "recursive loops": "{% for a in [9, 9] recursive %}{% if loop.depth < 60 %}"
    "{{ loop([9, 9]) }}{% endif %}{% endfor %}",
    "filters": "{{ range(99999) | map('center', 9999) | map('list') | map('sort') | list | length }}",
    "numbers": "{% set ns = namespace(n=9) %}{% for i in range(60) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
    "strings": "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "one comparison": "{% set ns = namespace(a=[], b=[]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}"
    "{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_a_template_without_an_end_is_stopped_and_never_run_again(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {"default": "{% if tools %}" + source + "{% endif %}x"}
    monkeypatch.setattr(rendering, "MEMORY_BYTES", 200 << 20)
    assert ChatTemplate(sources, {}).render([USER], None, {}, "string") == "x"
    monkeypatch.setattr(rendering, "RENDER_SECONDS", 0.5)
    template = ChatTemplate(sources, {})
    for tools in ([{"type": "function", "function": {"name": "f"}}], None):
        with pytest.raises(TemplateTooSlow):
            template.render([USER], tools, {}, "string")


def test_the_process_ends_with_its_template(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    start = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **more: started.append(start(*args, **more)) or started[-1])
    template = ChatTemplate({"default": "x"}, {})
    assert [process.poll() for process in started] == [None]
    del template
    gc.collect()
    assert [process.poll() is None for process in started] == [False]


def test_a_template_that_does_not_compile_in_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "RENDER_SECONDS", 0.5)
    with pytest.raises(ConfigurationError, match="did not end in"):
        ChatTemplate({"default": "{{ 9 ** (9 ** 9) }}"}, {})


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
