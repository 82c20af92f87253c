from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from books.core import redact
from books.core.redact import MASK, mask


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer canary-value-1",
        "{'Authorization': 'Bearer canary-value-1'}",
        "authorization=Basic canary-value-1==",
        "bearer canary-value-1",
        '{"refresh_token":"canary-value-1","expires_in":3600}',
        "grant_type=refresh_token&refresh_token=canary-value-1&x=1",
        "client_secret = canary-value-1",
        "'api_key': 'canary-value-1'",
        "intuit-signature: canary-value-1",
        "key om_canary-value-1 refused",
        "Token expired: eyJcanary-value-1.abc.def",
        "postgresql://books:canary-value-1@db.example/books",
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str) -> None:
    """A secret that nobody told us about is masked by its shape."""
    assert "canary-value-1" not in mask(text)
    assert MASK in mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "INV-2026-00042 posted as 130",
        "code 6240: name exists",
        "https://example.com/a:b",
        "rejected at lines[0].tax_code: missing TaxCodeRef",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    """Masking does not eat what a user needs to read."""
    assert mask(text) == text


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """A handler at DEBUG, with redaction installed for the time of a test."""
    factory, root, level = logging.getLogRecordFactory(), logging.getLogger(), logging.getLogger().level
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(message)s %(extra_field)s", defaults={"extra_field": ""}))
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    redact.install()
    redact.install()
    yield written
    root.removeHandler(handler)
    root.setLevel(level)
    logging.setLogRecordFactory(factory)


def test_no_canary_leaves_by_any_way(log: io.StringIO) -> None:
    """Message, arguments, traceback and extra fields at DEBUG: a known secret is in none of them."""
    redact.register(["canary-secret-1", None, "short"])
    logger = logging.getLogger("somebody.else")
    logger.debug("the secret is canary-secret-1")
    logger.debug("the secret is %s in %r", "canary-secret-1", {"k": "canary-secret-1"})
    logger.debug("extra", extra={"extra_field": "canary-secret-1"})
    logger.debug("not a format %d", "canary-secret-1")
    try:
        int("canary-secret-1")
    except ValueError:
        logger.exception("failed")
    assert "canary-secret-1" not in log.getvalue()
    assert log.getvalue().count(MASK) >= 6
    assert "short" in mask("a short word")


def test_known_secrets_are_bounded() -> None:
    """A process that runs for months does not gather tokens without end."""
    redact.register(f"token-number-{number:06}" for number in range(2_000))
    assert len(redact._known) == redact.SECRETS_MAX
    assert mask("token-number-001999") == MASK
