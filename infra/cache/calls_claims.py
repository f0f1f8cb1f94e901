"""Claims are renewed while their work is done: a process that is killed renews none, and they lapse.

Gives `Claims`. Its one thread lives while there is something to renew.
"""

from collections.abc import Callable, Sequence
from threading import Condition, Thread

from infra.cache.calls_store import Claim

LEASE_SECONDS = 6.0
"""How long a claim holds without being renewed: what the others wait for after a kill."""


class Claims:
    """The claims that this process holds; thread-safe.

    Args:
        renew: renews them in the file; never raises.
        lease_seconds: how long one holds; it is renewed three times in that.
    """

    def __init__(self, renew: Callable[[Sequence[Claim]], None], lease_seconds: float = LEASE_SECONDS) -> None:
        self._renew = renew
        self._pause = lease_seconds / 3
        self._changed = Condition()
        self._held: dict[str, Claim] = {}
        self._thread: Thread | None = None

    def hold(self, claim: Claim) -> None:
        """Renew ``claim`` from now on."""
        with self._changed:
            self._held[claim.holder] = claim
            if self._thread is None:
                self._thread = Thread(target=self._work, daemon=True, name="call-cache-claims")
                self._thread.start()

    def release(self, holder: str) -> None:
        """Renew the claim of ``holder`` no more."""
        with self._changed:
            self._held.pop(holder, None)

    def close(self) -> None:
        """Renew nothing more."""
        with self._changed:
            self._held.clear()
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(self._pause)
                held = list(self._held.values())
                if not held:
                    self._thread = None
                    return
            self._renew(held)
