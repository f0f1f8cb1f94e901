"""What a failed model call means to a person, and whether another try can help.

Gives `Failure` (the facts of one failure, without any vendor's type), `explain` (facts → one of our errors with one
line: who, what, which setting helps) and `can_pass` (may be retried). Which vendor exception means what is decided at
the vendor's door, in `infra.llm.guard`; HTTP statuses are vLLM's and OpenAI's.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from infra.errors import BackendError, BackendUnavailable
from infra.llm.endpoint import Backend
from infra.llm.ledger import FailureKind

MAX_MESSAGE_CHARS = 240
_PASSING_STATUSES = (408, 429)
_FIRST_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure of a call.

    Attributes:
        kind: ``unreachable`` no connection; ``timeout`` nothing came for too long; ``status`` the server refused;
            ``broken`` the reply stopped half-way; ``unreadable`` the reply is not what the protocol says.
        message: the server's or the vendor's own words.
        status: HTTP status, where there was one.
    """

    kind: FailureKind
    message: str
    status: int | None = None

    @property
    def can_pass(self) -> bool:
        """Whether the same call may succeed a little later."""
        if self.kind == "status":
            status = self.status or 0
            return status in _PASSING_STATUSES or status >= _FIRST_SERVER_ERROR
        return self.kind in ("unreachable", "timeout", "broken")

    @property
    def nothing_used(self) -> bool:
        """Whether the server cannot have used any tokens."""
        return self.kind in ("unreachable", "status")


Diagnose = Callable[[BaseException], Failure | None]
"""The facts of a vendor's exception; None for one that is not a failure of the call."""


@contextmanager
def translated(diagnose: Diagnose, backend: Backend) -> Generator[None]:
    """Run something that talks to the server; its failures come out as `BackendError`."""
    try:
        yield
    except Exception as error:
        failure = diagnose(error)
        if failure is None:
            raise
        raise explain(failure, backend) from error


def explain(failure: Failure, backend: Backend) -> BackendError:
    """Return our error for a failure; raise it ``from`` the vendor's."""
    who = f"{backend.name} at {backend.base_url}"
    said = one_line(failure.message)
    match failure.kind:
        case "unreachable":
            return BackendUnavailable(f"{who} cannot be reached ({said}); {_start_hint(backend)}")
        case "timeout":
            return BackendUnavailable(
                f"{who} did not answer in time ({said}); "
                f"raise DOCMIND_CALLS__FIRST_TOKEN_SECONDS or {_start_hint(backend)}"
            )
        case "status":
            return BackendError(f"{who} answered {failure.status}: {said}; {_status_hint(failure, backend)}")
        case "broken":
            return BackendUnavailable(f"{who} broke off its reply ({said}); see its log, or {_start_hint(backend)}")
        case "unreadable":
            return BackendError(
                f"{who} answered what is not a chat completion ({said}); "
                f"check that {_address(backend)} names an OpenAI-compatible server"
            )


def one_line(text: str, limit: int = MAX_MESSAGE_CHARS) -> str:
    """Return the first words of a message, on one line, without control characters."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text[: 8 * limit]).split())
    return words if len(words) <= limit else f"{words[: limit - 1]}…"


def _address(backend: Backend) -> str:
    return "DOCMIND_VLLM__BASE_URL" if backend.name == "vllm" else "DOCMIND_BACKEND"


def _start_hint(backend: Backend) -> str:
    if backend.name == "engine":
        return "the embedded engine failed, which is a defect: please report it"
    return "start the server, set DOCMIND_VLLM__BASE_URL, or use DOCMIND_BACKEND=engine"


def _status_hint(failure: Failure, backend: Backend) -> str:
    status = failure.status or 0
    if backend.name == "engine":
        return "see DOCMIND_ENGINE__CONTEXT_WINDOW and the request's options"
    if status in (401, 403):
        return "set DOCMIND_VLLM__API_KEY"
    if status == 404:  # noqa: PLR2004 - an HTTP status is its own name
        return "check DOCMIND_VLLM__MODEL and DOCMIND_VLLM__BASE_URL (it ends in /v1)"
    if failure.can_pass:
        return "see the server's log, or use DOCMIND_BACKEND=engine"
    return "check DOCMIND_VLLM__BASE_URL, DOCMIND_VLLM__MODEL and the server's flags"
