"""Mail (eml): who wrote to whom, when and about what; then the text, or the HTML where there is no text.

Attachments are named, not opened: saved as files of their own they are read as such.
"""

from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

from infra.errors import DocumentError
from tools.context import MAX_PEOPLE, written_time
from tools.extracted import Extracted, clean
from tools.readers.outline import Outline
from tools.readers.source import Source, decode
from tools.readers.web import add_html

_SHOWN = ("Subject", "From", "To", "Cc", "Date")


def read_mail(source: Source) -> Extracted:
    """Read one message.

    Raises:
        DocumentError: it has no header that a message has.
    """
    with source.path.open("rb") as file:
        message: Any = BytesParser(EmailMessage, policy=policy.default).parse(file)
    shown = [f"{name}: {_line(message[name])}" for name in _SHOWN if message[name]]
    if not shown:
        raise DocumentError("it is not a mail: it has neither a subject nor a sender")
    outline = Outline()
    outline.block("\n".join(shown))
    _add_body(outline, message)
    names = [_line(part.get_filename() or part.get_content_type()) for part in message.iter_attachments()]
    if names:
        outline.block(f"Attachments: {', '.join(names)}")
    read = outline.extracted(_line(message["Subject"] or ""), source.name)
    return Extracted(read.text, read.title, read.sections, _date(message) or read.date, _people(message))


def _add_body(outline: Outline, message: Any) -> None:  # noqa: ANN401 - the standard library types it by policy
    for kind in ("plain", "html"):
        body = message.get_body((kind,))
        text = clean(_content(body)).strip() if body is not None else ""
        if text and kind == "html":
            add_html(outline, text)
        elif text:
            outline.block(text)
            return


def _content(part: Any) -> str:  # noqa: ANN401 - as above
    try:
        return str(part.get_content())
    except LookupError:
        # a character set nobody knows
        return decode(part.get_payload(decode=True))


def _date(message: Any) -> str:  # noqa: ANN401 - as above
    when = message["Date"] and message["Date"].datetime
    return written_time(when) if when else ""


def _people(message: Any) -> tuple[str, ...]:  # noqa: ANN401 - as above
    addresses = [address for name in ("From", "To", "Cc") if message[name] for address in message[name].addresses]
    names = [_line(address.display_name or address.addr_spec) for address in addresses]
    return tuple(dict.fromkeys(name for name in names if name))[:MAX_PEOPLE]


def _line(text: str) -> str:
    return " ".join(clean(text).split())
