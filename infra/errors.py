"""What can go wrong, as one family.

Every error a person can meet says who failed, what was needed, what was there, and which setting or command helps.
Vendor errors are mapped to these at the vendor's door with ``raise ... from``.

DocMindError
├── ConfigurationError      a setting, argument or file of the user's is wrong (exit code 2)
├── QuestionError           the question itself cannot be worked on: empty, too long (exit code 2)
├── BudgetExceeded          a model call would not fit its window or its budget; it never left
├── BackendError            the model server refused, failed or answered what nobody can read
│   └── BackendUnavailable  it could not be reached at all
├── StoreError              the data directory cannot be read or written
│   └── StoreLocked         another process owns it
└── DocumentError           one file cannot be read; the others go on
"""


class DocMindError(RuntimeError):
    """Base of everything DocMind raises on purpose; its text is fit to be shown to a person.

    A RuntimeError, because the LangGraph server passes on the text of Python's own errors only
    (``langgraph_api.serde.default``); of others a person would read "An internal error occurred".
    """


class ConfigurationError(DocMindError):
    """A setting, an argument or a file of the user's is wrong."""


class QuestionError(DocMindError):
    """The question cannot be worked on: it is empty or too long."""


class BudgetExceeded(DocMindError):  # noqa: N818 - the field's word
    """A model call does not fit its window or its budget; it was not sent.

    Attributes:
        needed: tokens the call needs.
        available: tokens there are.
        setting: name of the setting that decides.
    """

    def __init__(self, what: str, *, needed: int, available: int, setting: str) -> None:
        """Build the message from the numbers."""
        super().__init__(f"{what}: needs {needed:,} tokens, {available:,} are available; {setting} decides")
        self.needed = needed
        self.available = available
        self.setting = setting


class BackendError(DocMindError):
    """The model server refused, failed, or answered what cannot be read."""


class BackendUnavailable(BackendError):  # noqa: N818 - the field's word
    """The model server could not be reached."""


class StoreError(DocMindError):
    """The data directory cannot be read or written."""


class StoreLocked(StoreError):  # noqa: N818 - the field's word
    """Another process owns the data directory."""


class DocumentError(DocMindError):
    """One document cannot be read."""
