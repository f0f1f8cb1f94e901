"""What a failed model call means to a person, and what can be done about it.

Gives `Failure` (the facts of one failure, without any vendor's type) and `explain` (facts → one of our errors with one
line: who, what, which setting helps). Which vendor exception means what is decided at the vendor's door, in
`infra.llm.diagnose`; HTTP statuses are vLLM's and OpenAI's.
"""

from dataclasses import dataclass

from infra.errors import BackendError, BackendUnavailable
from infra.llm.endpoint import Backend
from infra.llm.ledger import FailureKind
from infra.text.plain import short_line

_PASSING_STATUSES = (408, 429)
_DEAD_STATUSES = (500, 502, 504)
_NOT_IMPLEMENTED = 501
_FIRST_SERVER_ERROR = 500
_TAKES_A_KEY = ("vllm", "llamacpp", "openai")


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure of a call.

    Attributes:
        kind: ``unreachable`` no connection; ``timeout`` nothing came for too long; ``status`` the server refused;
            ``broken`` the reply stopped half-way; ``unreadable`` the reply is not what the protocol says.
        message: the server's or the vendor's own words.
        status: HTTP status, where there was one.
        setting: name of the setting that decided, where one did.
        retry_after: seconds the server asks to wait before another try.
        ours: the fault is this program's own and says nothing of the server: all connections to it were in use.
    """

    kind: FailureKind
    message: str
    status: int | None = None
    setting: str = ""
    retry_after: float | None = None
    ours: bool = False

    @property
    def can_pass(self) -> bool:
        """Whether the same call may succeed a little later."""
        if self.kind == "status":
            return self.status in _PASSING_STATUSES or (self.server_failed and self.status != _NOT_IMPLEMENTED)
        return self.kind in ("unreachable", "timeout", "broken")

    @property
    def server_failed(self) -> bool:
        """Whether the server says that the fault is its own."""
        return (self.status or 0) >= _FIRST_SERVER_ERROR

    @property
    def shows_life(self) -> bool | None:
        """Whether the server lives, if only busy or of another opinion; False: it may be dead; None: not known."""
        if self.ours:
            return None
        return self.status not in _DEAD_STATUSES if self.kind == "status" else not self.can_pass

    @property
    def nothing_used(self) -> bool:
        """Whether the server cannot have used any tokens."""
        return self.kind in ("unreachable", "status")


def explain(failure: Failure, backend: Backend) -> BackendError:
    """Return our error for a failure; raise it ``from`` the vendor's."""
    who = who_is(backend)
    said = short_line(failure.message)
    match failure.kind:
        case "unreachable" if failure.ours:
            return BackendUnavailable(
                f"{who} was not asked: all connections to it are in use ({said}); ask less at once"
            )
        case "unreachable":
            return BackendUnavailable(f"{who} cannot be reached ({said}); {_start_hint(backend)}")
        case "timeout":
            setting = failure.setting or "DOCMIND_CALLS__TOTAL_SECONDS"
            return BackendUnavailable(
                f"{who} did not answer in time ({said}); raise {setting} or {_start_hint(backend)}"
            )
        case "status":
            return BackendError(f"{who} answered {failure.status}: {said}; {_status_hint(failure, backend)}")
        case "broken":
            return BackendUnavailable(f"{who} broke off its reply ({said}); see its log, or {_start_hint(backend)}")
        case "unreadable":
            return BackendError(
                f"{who} answered what is not a chat completion ({said}); "
                f"check that {_setting(backend, 'BASE_URL')} names an OpenAI-compatible server"
            )


def who_is(backend: Backend) -> str:
    """Return a server's name and address, as messages give them."""
    return f"{backend.name} at {backend.base_url}"


def _setting(backend: Backend, key: str) -> str:
    return "DOCMIND_BACKEND" if backend.name == "engine" else f"DOCMIND_{backend.name.upper()}__{key}"


def _start_hint(backend: Backend) -> str:
    if backend.name == "engine":
        return "the embedded engine failed, which is a defect: please report it"
    return f"start the server, set {_setting(backend, 'BASE_URL')}, or use DOCMIND_BACKEND=engine"


def _status_hint(failure: Failure, backend: Backend) -> str:
    if backend.name == "engine":
        return "see DOCMIND_ENGINE__CONTEXT_WINDOW and the request's options"
    address, model = _setting(backend, "BASE_URL"), _setting(backend, "MODEL")
    if failure.status in (401, 403):
        return f"set {_setting(backend, 'API_KEY')}" if backend.name in _TAKES_A_KEY else f"check {address}"
    if failure.status == 404:  # noqa: PLR2004 - an HTTP status is its own name
        return f"check {model} and {address} (it ends in /v1)"
    if failure.can_pass:
        return "see the server's log, or use DOCMIND_BACKEND=engine"
    return f"check {address}, {model} and the server's flags"
