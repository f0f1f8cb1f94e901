"""Any order of asks, edits, moves, deletions, restarts, two tenants and two processes: no stale hit, no other's.

Whatever is served equals what is answered from the documents as they are, by the index and by one built from nothing.
"""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from infra.cache.records import Decision
from infra.settings import IngestSettings, load_settings
from infra.store.index import Index
from tests.infra.cache.house import Tenant, answer_of, found, quick
from tests.tools.words import WordEmbedder
from tools.evidence import Finding
from tools.ingest import ingest

TENANTS = st.sampled_from(["one", "two"])
NAMES = st.sampled_from(["a.md", "b.md", "c.md"])
TEXTS = st.sampled_from(
    ["Cats sleep all day.\n", "Cats sleep.\n\nDogs chase cats.\n", "# Birds\n\nBirds sing.\n", "Dogs sleep at night.\n"]
)
QUESTIONS = st.sampled_from(["Where do cats sleep?", "What do dogs chase?", "Who sings?"])


class Answers(RuleBasedStateMachine):
    """Two tenants with the same questions; each document's words carry its tenant's name."""

    hits = 0

    @initialize()
    def start(self) -> None:
        self.home = Path(tempfile.mkdtemp())
        self.patch = pytest.MonkeyPatch()
        quick(self.patch)
        self.tenants = {name: Tenant(self.home, name) for name in ("one", "two")}
        self.started: list[tuple[str, str, Decision, Finding]] = []
        for who in self.tenants:
            self.write(who, "first.md", "Cats sleep. Dogs chase cats. Birds sing.")
            for question in ("Where do cats sleep?", "Who sings?"):
                self.ask(who, question)

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

    @rule(who=TENANTS, question=QUESTIONS)
    def ask(self, who: str, question: str) -> None:
        tenant = self.tenants[who]
        decision = tenant.ask(question)
        assert decision.outcome in {"hit", "miss"}, decision
        if decision.kept is not None:
            Answers.hits += 1
            assert decision.kept.answer == answer_of(found(tenant.index, question))
            assert f"of {'two' if who == 'one' else 'one'}." not in decision.kept.answer
        elif found(tenant.index, question).passages:
            refused = tenant.keep(question, decision)
            assert refused in {"", "another process changed documents without the cache"}

    @rule(who=TENANTS, question=QUESTIONS)
    def begin(self, who: str, question: str) -> None:
        """Begin an answer that is stored later, whatever happens meanwhile."""
        tenant = self.tenants[who]
        decision = tenant.ask(question)
        if decision.outcome == "miss":
            self.started.append((who, question, decision, found(tenant.index, question)))

    @rule()
    def end(self) -> None:
        for who, question, decision, finding in self.started:
            self.tenants[who].keep(question, decision, finding)
        self.started.clear()

    @rule(who=TENANTS)
    def restart(self, who: str) -> None:
        self.tenants[who].restart()

    @rule(who=TENANTS, name=NAMES, text=TEXTS, question=QUESTIONS, aware=st.booleans())
    def another_process(self, who: str, name: str, text: str, question: str, aware: bool) -> None:
        """It changes documents, with the cache attached (and an answer of its own) or without."""
        tenant = self.tenants[who]
        (tenant.docs / name).write_text(f"{text}\nThis is of {who}.\n", encoding="utf-8")
        if aware:
            other = Tenant(self.home, who)
            other.ingest()
            decision = other.ask(question)
            if decision.outcome == "miss" and found(other.index, question).passages:
                other.keep(question, decision)
            other.close()
        else:
            with Index(tenant.index.folder, tenant.embedder) as index:
                tenant.ingest(index)

    @rule(who=TENANTS, question=QUESTIONS)
    def compare_with_a_fresh_build(self, who: str, question: str) -> None:
        tenant = self.tenants[who]
        served = tenant.answered(question)
        if served is None or not any(tenant.docs.iterdir()):
            return
        with (
            tempfile.TemporaryDirectory() as empty,
            Index.open(load_settings(data_dir=Path(empty)), WordEmbedder()) as fresh,
        ):
            ingest(fresh, tenant.embedder, [tenant.docs], settings=IngestSettings())
            assert served == answer_of(found(fresh, question))

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
    Answers.hits = 0
    run_state_machine_as_test(Answers, settings=settings(max_examples=6, stateful_step_count=20, deadline=None))
    assert Answers.hits


@pytest.mark.prove
def test_no_stale_hit_over_long_histories() -> None:
    Answers.hits = 0
    run_state_machine_as_test(Answers, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))
    assert Answers.hits > 40
