"""Keep secrets out of logs: replace known secrets, and whatever looks like one, before it is written."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from books.core.printable import printable_lines

MASK = "[redacted]"

SECRETS_MAX = 512
"""Known secrets kept. A process that refreshes hourly forgets a token after ten days, long after it expired."""

SECRET_LENGTH_MIN = 8
"""Shorter values would mask ordinary words."""

_SHAPES = (
    re.compile(r"(?i)(authorization[\"']?\s*[:=]\s*[\"']?(?:bearer|basic)?\s*)[^\s\"',}]+"),
    re.compile(r"(?i)\b((?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(
        r"(?i)((?:access_token|refresh_token|client_secret|token_key|api_key|intuit-signature)[\"']?\s*[:=]\s*[\"']?)"
        r"[^\s\"'&,}]+"
    ),
    re.compile(r"((?:^|[?&\"'])code=)[^\s&]+"),
    re.compile(r"()\bom_[A-Za-z0-9_-]{6,}"),
    re.compile(r"()\beyJ[A-Za-z0-9._-]{16,}"),
    re.compile(r"(\w+://[^\s:/@]*:)[^\s@]+(?=@)"),
)
"""What secrets look like: headers, form and JSON fields, OpsMerge keys, JSON web tokens, passwords in addresses."""

_known: OrderedDict[str, None] = OrderedDict()


def register(secrets: Iterable[str | None]) -> None:
    """Register values as secrets, so that they are masked wherever they occur."""
    for secret in secrets:
        if secret and len(secret) >= SECRET_LENGTH_MIN:
            _known[secret] = None
            _known.move_to_end(secret)
    while len(_known) > SECRETS_MAX:
        _known.popitem(last=False)


def mask(text: str) -> str:
    """Return the text with every known secret, and everything that looks like one, replaced."""
    for secret in tuple(_known):
        text = text.replace(secret, MASK)
    for shape in _SHAPES:
        text = shape.sub(rf"\g<1>{MASK}", text)
    return text


class RedactingFilter(logging.Filter):
    """Masks secrets in a record: message, arguments, traceback, stack and extra fields. Every record passes.

    It also escapes control characters: a message may contain a client's name.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record and let it pass."""
        record.msg, record.args = printable_lines(mask(_message(record))), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        for name, value in vars(record).items():
            if name != "msg" and isinstance(value, str):
                setattr(record, name, mask(value))
        return True


def _message(record: logging.LogRecord) -> str:
    """Return the formatted message; if its arguments do not fit, the message and the arguments."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} {record.args}"


_filter = RedactingFilter()


def install() -> None:
    """Mask every log record of this process from now on, for all loggers and handlers.

    The record factory sees all records, also those for handlers that are added later; the filter on the handlers
    sees the extra fields, which are set after the factory has run.
    """
    factory = logging.getLogRecordFactory()
    if not getattr(factory, "redacts", False):
        logging.setLogRecordFactory(_redacting(factory))
    for handler in logging.getLogger().handlers:
        handler.addFilter(_filter)


def _redacting(factory: Any) -> Any:
    """Return a record factory that masks what the given one makes."""

    def make(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = factory(*args, **kwargs)
        _filter.filter(record)
        return record

    make.redacts = True  # type: ignore[attr-defined] # marks our own, so that a second install adds nothing
    return make
