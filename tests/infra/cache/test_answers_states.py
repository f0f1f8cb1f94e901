"""Any order of asks, edits, moves, deletions, restarts, kills, two tenants and two processes: no stale hit, no other's.

Questions come rephrased and nearly the same, over all documents or a part of them, for several versions of the prompts.
What is served is what its searches bring from the documents as they are, in the index and in one built from nothing.
"""

import shutil
import tempfile
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from infra.cache.records import Decision, Kept, Search
from infra.settings import IngestSettings
from infra.store.index import Index
from tests.infra.cache.house import quick
from tests.infra.cache.talk import GROUP, PART, SAME, Talker, Way
from tools.ingest import ingest

TENANTS = st.sampled_from(["one", "two"])
TRAM = "A traveller can buy a ticket for the tram."
SEEN = {"first.md": "The baker did buy the car.", f"{PART}/first.md": "The kiosk of the harbour is open at night."}
NEAR = "Where can a traveller hide a ticket for the tram?"
NAMES = st.sampled_from(["a.md", "b.md", f"{PART}/a.md"])
TEXTS = st.sampled_from(
    [
        "A traveller can buy a ticket for the tram at the kiosk.\n",
        "# Trams\n\nA traveller can buy 2 tickets for the tram.\n\nThe price of a car is high.\n",
        "# Trams\n\nA traveller can buy 2 tickets.\n\n# Cars\n\nThe price of a car is high.\n",
        "# Trams\n\nA traveller can buy 3 tickets for the tram, or hide.\n\n# Cars\n\nThe price of a car is high.\n",
        "The price of a car is low. The baker did buy the car in May.\n",
        "# Trade\n\nThe baker did pay the miller.\n\nThe miller will pay the baker in June.\n",
    ]
)
QUESTIONS = st.sampled_from([question for same in SAME for question in same])
WAYS = st.sampled_from([Way(), Way(), Way(limited=True), Way(prompts="2")])
LATE = {
    "",
    "the documents changed while the answer was made",
    "the passages it rests on are not stored as it knows them",
    "another process changed documents without the cache",
}
"""Why an answer is not let in."""


class Answers(RuleBasedStateMachine):
    """Two tenants with the same questions; each document's words carry its tenant's name."""

    hits: ClassVar[set[str]] = set()
    """The ways to a hit that were seen."""

    @initialize()
    def start(self) -> None:
        self.home = Path(tempfile.mkdtemp())
        self.patch = pytest.MonkeyPatch()
        quick(self.patch)
        self.tenants = {name: Talker(self.home, name) for name in ("one", "two")}
        self.started: list[tuple[str, str, Way, Decision, tuple[str, list[Search]]]] = []
        for who in self.tenants:
            for name in SEEN:
                self.write(who, name, f"{TRAM} {SEEN[name]}\n")
            self.lengthen(who, 1, aware=True)
            for question in (*SAME[0], *SAME[1]):
                self.ask(who, question, Way())

    @rule(who=TENANTS, name=NAMES, text=TEXTS)
    def write(self, who: str, name: str, text: str) -> None:
        self.tenants[who].write(name, f"{text}\nThis is of {who}.\n")

    @rule(who=TENANTS, name=NAMES)
    def delete(self, who: str, name: str) -> None:
        if (self.tenants[who].docs / name).exists():
            self.tenants[who].delete(name)

    @rule(who=TENANTS, name=NAMES, to=NAMES)
    def move(self, who: str, name: str, to: str) -> None:
        tenant = self.tenants[who]
        if (tenant.docs / name).exists():
            (tenant.docs / name).rename(tenant.docs / to)
            tenant.ingest()

    @rule(who=TENANTS, times=st.integers(1, 3), aware=st.booleans())
    def lengthen(self, who: str, times: int, aware: bool) -> None:
        """A passage stands elsewhere in its document, and no search shows it."""
        tenant, words = self.tenants[who], f"# Songs\n\n{'Whales sing. ' * times}\n\n# Trams\n\n{TRAM} Bring coins.\n"
        if aware:
            tenant.write("songs.md", words)
        else:
            (tenant.docs / "songs.md").write_text(words, encoding="utf-8")
            with Index(tenant.index.folder, tenant.embedder) as index:
                tenant.ingest(index)
        self.ask(who, SAME[0][0], Way())

    @rule(who=TENANTS)
    def rename_the_root(self, who: str) -> None:
        tenant = self.tenants[who]
        renamed = tenant.docs.with_name(f"{who}{'' if tenant.docs.name != who else ' anew'}")
        tenant.docs.rename(renamed)
        tenant.docs = renamed
        ingest(tenant.index, tenant.embedder, [renamed], settings=IngestSettings(), prune=True)

    @rule(who=TENANTS, there=st.booleans())
    def another_root(self, who: str, there: bool) -> None:
        """One without documents comes or goes: nothing changes but the names of the others."""
        tenant = self.tenants[who]
        other = self.home / "empty"
        other.mkdir(exist_ok=True)
        roots = [tenant.docs, *([other] if there else [])]
        ingest(tenant.index, tenant.embedder, roots, settings=IngestSettings(), prune=True)

    @rule(who=TENANTS, question=QUESTIONS, way=WAYS)
    def ask(self, who: str, question: str, way: Way) -> None:
        tenant = self.tenants[who]
        decision = tenant.ask_so(question, way)
        assert decision.outcome in {"hit", "near", "miss"}, decision
        if decision.outcome == "hit":
            self.right(who, question, way, decision)
            return
        work = tenant.work(question, way)
        if decision.generation is not None and any(search.passages for search in work[1]):
            assert tenant.keep_so(question, way, decision, work) in LATE

    def right(self, who: str, question: str, way: Way, decision: Decision, *, verified: bool = False) -> None:
        """What is served is this tenant's, of this way to ask, of a question that asks the same, and true now."""
        kept, tenant = decision.kept, self.tenants[who]
        assert kept is not None
        assert verified or GROUP[kept.question] == GROUP[question], decision
        assert kept.partition == tenant.partition(way).digest
        assert kept.answer == tenant.says_now(kept.searches, way)
        assert f"of {'two' if who == 'one' else 'one'}." not in kept.answer
        Answers.hits.add("verified" if verified else "same" if kept.question == question else "rephrased")

    @rule(who=TENANTS, question=QUESTIONS, way=WAYS)
    def begin(self, who: str, question: str, way: Way) -> None:
        """Begin an answer that is stored later, whatever happens meanwhile."""
        tenant = self.tenants[who]
        decision = tenant.ask_so(question, way)
        if decision.outcome == "miss":
            self.started.append((who, question, way, decision, tenant.work(question, way)))

    @rule()
    def end(self) -> None:
        for who, question, way, decision, work in self.started:
            self.tenants[who].keep_so(question, way, decision, work)
        self.started.clear()

    @rule(who=TENANTS, same=st.booleans(), times=st.integers(0, 3))
    def verify(self, who: str, same: bool, times: int) -> None:
        """A verifier ends what was near, with a change in between or without."""
        tenant = self.tenants[who]
        near = tenant.ask_so(NEAR, Way())
        if near.outcome == "near":
            if times:
                self.lengthen(who, times, aware=True)
            decision = tenant.cache.verified(near, same=same)
            assert decision.outcome in ({"hit", "miss"} if same else {"miss"})
            if decision.outcome == "hit":
                self.right(who, NEAR, Way(), decision, verified=True)

    @rule(who=TENANTS, killed=st.booleans())
    def restart(self, who: str, killed: bool) -> None:
        tenant = self.tenants[who]
        (tenant.killed if killed else tenant.restart)()

    @rule(who=TENANTS, question=QUESTIONS, way=WAYS, name=NAMES, text=TEXTS, aware=st.booleans())
    def another_process(self, who: str, question: str, way: Way, name: str, text: str, aware: bool) -> None:
        """It changes documents, with the cache attached (and an answer of its own) or without."""
        tenant = self.tenants[who]
        (tenant.docs / name).write_text(f"{text}\nThis is of {who}.\n", encoding="utf-8")
        if not aware:
            with Index(tenant.index.folder, tenant.embedder) as index:
                tenant.ingest(index)
            return
        other = tenant.beside()
        try:
            other.ingest()
            self.tenants[who] = other
            self.ask(who, question, way)
        finally:
            self.tenants[who] = tenant
            other.close()

    @rule(who=TENANTS)
    def compare_with_a_fresh_build(self, who: str) -> None:
        tenant, served = self.tenants[who], list[tuple[str, Way, Kept]]()
        for question, way in [(same[-1], way) for same in SAME for way in (Way(), Way(limited=True))]:
            decision = tenant.ask_so(question, way)
            if decision.outcome == "hit" and decision.kept is not None:
                self.right(who, question, way, decision)
                served.append((question, way, decision.kept))
        fresh = tenant.fresh([(kept.searches, way) for _, way, kept in served]) if served else []
        assert [kept.answer for _, _, kept in served] == fresh

    @invariant()
    def the_cache_is_on(self) -> None:
        assert all(not tenant.cache.off for tenant in getattr(self, "tenants", {}).values())

    def teardown(self) -> None:
        for tenant in getattr(self, "tenants", {}).values():
            tenant.close()
        if hasattr(self, "patch"):
            shutil.rmtree(self.home)
            self.patch.undo()


def test_no_stale_hit_and_no_hit_of_another_tenant() -> None:
    Answers.hits.clear()
    run_state_machine_as_test(Answers, settings=settings(max_examples=8, stateful_step_count=20, deadline=None))
    assert "rephrased" in Answers.hits


@pytest.mark.prove
def test_no_stale_hit_over_long_histories() -> None:
    Answers.hits.clear()
    run_state_machine_as_test(Answers, settings=settings(max_examples=50, stateful_step_count=40, deadline=None))
    assert Answers.hits == {"same", "rephrased", "verified"}
