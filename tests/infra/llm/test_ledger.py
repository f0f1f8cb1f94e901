"""The ledger: entries by question, bounded, safe among threads."""

from threading import Thread

from infra.llm.ledger import Attempt, Call, Ledger, Remark, Scope


def call(question: str, n: int = 0) -> Call:
    return Call(Scope(question, "t", "router"), "vllm", "m", n, 1, 0, 0.1, (Attempt(0.1),), "ok", n)


def test_calls_stand_under_their_question_in_order() -> None:
    ledger = Ledger()
    for entry in (call("a", 1), call("b", 2), call("a", 3)):
        ledger.record(entry)
    assert ledger.calls("a") == [call("a", 1), call("a", 3)]
    assert ledger.calls("b") == [call("b", 2)]
    assert ledger.calls("never asked") == []


def test_a_forgotten_question_has_no_calls() -> None:
    ledger = Ledger()
    ledger.record(call("a"))
    ledger.forget("a")
    ledger.forget("never asked")
    assert ledger.calls("a") == []


def test_the_question_written_to_longest_ago_makes_room() -> None:
    ledger = Ledger(max_questions=2)
    for name in ("a", "b", "a", "c"):
        ledger.record(call(name))
    assert [len(ledger.calls(name)) for name in "abc"] == [2, 0, 1]


def test_the_oldest_calls_of_a_long_question_make_room() -> None:
    ledger = Ledger(max_calls=2)
    for n in range(4):
        ledger.record(call("a", n))
    assert [entry.counted_tokens for entry in ledger.calls("a")] == [2, 3]


def test_threads_lose_no_entry() -> None:
    ledger = Ledger()
    threads = [Thread(target=lambda: [ledger.record(call("a")) for _ in range(100)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.calls("a")) == 800


def test_remarks_stand_beside_the_calls_and_go_with_them() -> None:
    ledger = Ledger()
    remark = Remark(Scope("a", "t", "router"), "fallback", "the reply could not be read")
    ledger.record(call("a"))
    ledger.remark(remark)
    assert (ledger.remarks("a"), ledger.calls("a"), ledger.remarks("b")) == ([remark], [call("a")], [])
    ledger.forget("a")
    assert (ledger.remarks("a"), ledger.calls("a")) == ([], [])


def test_a_listener_hears_of_every_call() -> None:
    heard: list[Call] = []
    ledger = Ledger()
    ledger.listen(heard.append)
    ledger.record(call("a"))
    assert heard == [call("a")]
