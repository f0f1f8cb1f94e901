"""The log: one line a record and a model call, and never a word of a document, a prompt or a question by default."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from loguru import logger

from infra.errors import DocMindError
from infra.llm.ledger import Attempt
from infra.performance import Gpus
from infra.settings import load_settings
from infra.store.performance import PerformanceLog
from infra.telemetry import PERFORMANCE_FILE, CallLog, set_up_logging
from tests.fakes import Said, ScriptedServer
from tests.infra.calls import call
from tests.infra.llm.bench import Bench, bench

SECRET = "the merger with Umbrella closes on Friday"
QUESTION = [HumanMessage(f"What is meant by: {SECRET}?")]

Logged = Callable[..., io.StringIO]
Told = Callable[..., None]


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows have the time they need to be written, whatever else the machine does."""
    monkeypatch.setattr(PerformanceLog, "close", partialmethod(PerformanceLog.close, seconds=60.0))


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Logged]:
    """Logging set up as a door does, into a text that the test reads; put back afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level

    def set_up(**settings: Any) -> io.StringIO:
        stderr = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stderr)
        set_up_logging(load_settings(**settings))
        return stderr

    yield set_up
    logger.remove()
    root.handlers[:] = before
    root.setLevel(level)


def fail_with(_: str) -> None:
    raise DocMindError(SECRET)


def objects(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


@pytest.fixture
def told() -> Iterator[Told]:
    """Has the calls of a bench logged, as at a level of the settings."""
    with ExitStack() as last:

        def tell(bench: Bench, level: str = "WARNING") -> None:
            bench.ledger.listen(last.enter_context(closing(CallLog(load_settings(log_level=level)))))

        yield tell


def test_a_record_is_one_line_of_time_level_message_and_fields(logged: Logged):
    log = logged(log_level="INFO")
    logger.bind(agent="router", status=None).info("model call ok")
    logger.debug("not shown")
    time, rest = log.getvalue().split(" ", 1)
    assert len(time) == len("07:17:33")
    assert rest == "INFO model call ok agent=router\n"


def test_a_record_is_one_flat_json_object_where_that_is_wanted(logged: Logged):
    log = logged(log_level="INFO", log_json=True)
    logger.bind(agent="router", status=None, level="mine", path=Path("x")).info("two\nlines and {braces}")
    (found,) = objects(log)
    assert list(found) == ["time", "level", "message", "agent", "status", "path"]
    assert found["time"].endswith("Z")
    del found["time"]
    assert found == {
        "level": "INFO",
        "message": "two\nlines and {braces}",
        "agent": "router",
        "status": None,
        "path": "x",
    }


def test_what_could_steer_a_terminal_or_forge_a_line_does_not_reach_it(logged: Logged):
    log = logged()
    logger.bind(model="a\nb\x1b[2J\u2028c").warning("one\r\ntwo")
    assert log.getvalue()[9:] == "WARNING one  two model=a b [2J c\n"


@pytest.mark.parametrize(("level", "shown"), [("WARNING", False), ("DEBUG", True)])
def test_an_exception_is_named_without_its_words_or_the_values_of_locals(logged: Logged, level: str, shown: bool):
    log = logged(log_level=level, log_json=True)
    try:
        fail_with("a value of a local")
    except DocMindError:
        logger.exception("it failed")
    (found,) = objects(log)
    assert found["exception"] == "DocMindError"
    assert (SECRET in log.getvalue()) is shown
    assert "a value of a local" not in log.getvalue()


async def test_a_call_is_one_line_with_its_counts_and_times(logged: Logged, told: Told):
    bench_ = bench(["said briefly"])
    log = logged(log_level="INFO", log_json=True)
    told(bench_, "INFO")
    await bench_.chat.ainvoke(QUESTION)
    (found,) = objects(log)
    assert (found["level"], found["message"], found["outcome"]) == ("INFO", "model call ok", "ok")
    assert (found["agent"], found["backend"], found["model"], found["question"]) == (
        "synthesizer",
        "vllm",
        "scripted",
        "q1",
    )
    assert found["prompt_tokens"] == found["counted_tokens"] == bench_.call.prompt_tokens > 0
    assert (found["completion_tokens"], found["tries"], found["exact"]) == (2, 1, True)
    assert found["seconds"] >= 0
    assert {"cached_tokens", "first_token_seconds", "dropped", "cut_tokens"} < set(found)
    assert not {"error", "failure", "status", "see"} & set(found)
    assert SECRET not in log.getvalue()
    assert "said briefly" not in log.getvalue()


@pytest.mark.parametrize("log_json", [False, True])
@pytest.mark.parametrize("level", ["INFO", "WARNING", "ERROR"])
async def test_a_servers_words_that_quote_a_document_never_reach_the_log(
    logged: Logged, told: Told, level: str, log_json: bool
):
    bench_ = bench([Said(SECRET, status=400)])
    log = logged(log_level=level, log_json=log_json)
    told(bench_, level)
    with pytest.raises(DocMindError, match=SECRET):
        await bench_.chat.ainvoke(QUESTION)
    assert SECRET not in log.getvalue()
    assert ("400" in log.getvalue()) is (level != "ERROR")


async def test_a_failed_call_says_kind_status_and_the_setting_that_helps(logged: Logged, told: Told):
    bench_ = bench([Said(SECRET, status=404)])
    log = logged(log_json=True)
    told(bench_)
    with pytest.raises(DocMindError):
        await bench_.chat.ainvoke(QUESTION)
    (found,) = objects(log)
    assert (found["level"], found["message"], found["failure"], found["status"]) == (
        "WARNING",
        "model call failed",
        "status",
        404,
    )
    assert found["see"].startswith("DOCMIND_VLLM__")


async def test_a_servers_words_are_shown_at_debug(logged: Logged, told: Told):
    bench_ = bench([Said("no such adapter", status=400)])
    log = logged(log_level="DEBUG", log_json=True)
    told(bench_, "DEBUG")
    with pytest.raises(DocMindError):
        await bench_.chat.ainvoke(QUESTION)
    (found,) = objects(log)
    assert "no such adapter" in found["error"]
    assert SECRET not in log.getvalue()


def test_a_refused_call_is_a_warning_that_names_the_setting(logged: Logged):
    log = logged(log_json=True)
    with closing(CallLog(load_settings())) as calls:
        calls(call(outcome="refused", attempts=(), error=f"needs more; DOCMIND_BUDGET__QUESTION_TOKENS {SECRET}"))
    (found,) = objects(log)
    assert (found["level"], found["message"]) == ("WARNING", "model call refused")
    assert (found["see"], found["tries"]) == ("DOCMIND_BUDGET__QUESTION_TOKENS", 0)
    assert SECRET not in log.getvalue()


def test_names_a_server_chose_are_bounded(logged: Logged):
    log = logged(log_level="INFO", log_json=True)
    with closing(CallLog(load_settings())) as calls:
        calls(call(model="m" * 1_000_000, error="DOCMIND_" + "A" * 100_000, attempts=(Attempt(1.0),)))
    assert len(log.getvalue()) < 2_000


async def test_every_call_is_a_row_that_names_its_back_end(tmp_path: Path):
    bench_ = bench(["fine", Said(SECRET, status=400)])
    settings = load_settings(data_dir=tmp_path)
    calls = CallLog(settings)
    bench_.ledger.listen(calls)
    await bench_.chat.ainvoke(QUESTION)
    with pytest.raises(DocMindError):
        await bench_.chat.ainvoke(QUESTION)
    calls.close()
    calls.close()
    rows = PerformanceLog(settings.tenant_dir / PERFORMANCE_FILE).recent()
    assert [row.metrics["call"]["outcome"] for row in rows] == ["failed", "ok"]
    assert {row.metrics["call"]["backend"] for row in rows} == {"vllm"}
    assert rows[1].tokens_processed == bench_.calls[0].prompt_tokens + 1
    assert [(found.backend, found.calls, found.not_ok) for found in calls.summary()] == [("vllm", 2, 1)]
    assert SECRET not in str(rows)


def test_a_row_of_a_call_says_what_the_gpus_hold():
    settings = load_settings()
    with closing(CallLog(settings, lambda: Gpus(vram_used=12_000.0, vram_total=16_000.0, gpu_percent=50.0))) as calls:
        calls(call())
    (row,) = PerformanceLog(settings.tenant_dir / PERFORMANCE_FILE).recent()
    assert (row.metrics["resources"]["vram_used"], row.metrics["resources"]["gpu_percent"]) == (12_000, 50)


@pytest.mark.parametrize("name", ["openai._base_client", "httpx2", "llama_index.core", "qdrant_edge", "asyncio"])
def test_vendors_requests_are_not_shown_and_their_warnings_only_by_place_and_kind(
    logged: Logged, monkeypatch: pytest.MonkeyPatch, name: str
):
    log = logged(log_level="INFO", log_json=True)
    vendor = logging.getLogger(name)
    monkeypatch.setattr(vendor, "level", logging.DEBUG)  # as OPENAI_LOG=debug would
    vendor.debug("Request options: %s", {"messages": SECRET})
    vendor.info("Querying with: %s", SECRET)
    vendor.warning("could not parse %s", SECRET)
    try:
        fail_with(SECRET)
    except DocMindError:
        vendor.exception("Task exception was never retrieved: %s", SECRET)
    warned, failed = objects(log)
    assert (warned["level"], warned["message"], warned["logger"]) == ("WARNING", "a library complains", name)
    assert warned["place"].startswith("test_telemetry:")
    assert (failed["level"], failed["exception"]) == ("ERROR", "DocMindError")
    assert SECRET not in log.getvalue()


def test_vendors_warnings_have_their_words_at_debug_but_their_requests_stay_hidden(logged: Logged):
    log = logged(log_level="DEBUG", log_json=True)
    vendor = logging.getLogger("openai._base_client")
    vendor.debug("Request options: %s", SECRET)
    vendor.warning("deprecated: %s", "an option")
    vendor.warning("a wrong template %d", "x")
    assert [found["error"] for found in objects(log)] == ["deprecated: an option", "a wrong template %d"]
    assert SECRET not in log.getvalue()


async def test_a_count_that_failed_is_said_with_its_call(logged: Logged, told: Told):
    bench_ = bench(ScriptedServer(["fine"], counts=[Said("busy", status=503)]))
    log = logged(log_level="INFO", log_json=True)
    told(bench_, "INFO")
    await bench_.chat.ainvoke(QUESTION)
    (found,) = objects(log)
    assert (found["tries"], found["failure"], found["status"], found["count_failures"]) == (1, "status", 503, 1)


async def test_a_whole_call_at_info_shows_nothing_of_the_vendors(logged: Logged, told: Told):
    bench_ = bench([Said("busy", status=503), "fine"])
    log = logged(log_level="INFO", log_json=True)
    told(bench_, "INFO")
    for name in ("openai", "httpx2", "httpcore2", "langchain_openai"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        await bench_.chat.ainvoke(QUESTION)
    finally:
        for name in ("openai", "httpx2", "httpcore2", "langchain_openai"):
            logging.getLogger(name).setLevel(logging.NOTSET)
    (found,) = objects(log)
    assert (found["message"], found["tries"], found["failure"], found["status"]) == ("model call ok", 2, "status", 503)
    assert SECRET not in log.getvalue()
