"""Only what Intuit signed is taken in: the signature over the raw bytes decides."""

from __future__ import annotations

import base64

import pytest
from webhook_bodies import TOKEN, body_of, cloud_event

from books.ledgers.quickbooks.webhook import SIGNATURE, QuickBooksWebhooks
from sandbox.quickbooks.webhooks import sign

BODY = body_of(cloud_event(id="5d0c6f1e-0000-4000-8000-000000000001"))  # fixed: all workers collect the same tests
GENUINE = sign(BODY, TOKEN)


def accepts(body: bytes, signature: str, *tokens: str) -> bool:
    return QuickBooksWebhooks(tokens or (TOKEN,)).is_genuine(body, {SIGNATURE: signature})


def test_what_intuit_signed_is_genuine():
    """The signature of these bytes under the verifier token is accepted."""
    assert accepts(BODY, GENUINE)


def test_every_flipped_bit_of_the_body_is_refused():
    """No body that differs in one bit passes under the signature of the true one."""
    for place in range(len(BODY)):
        for bit in range(8):
            changed = bytearray(BODY)
            changed[place] ^= 1 << bit
            assert not accepts(bytes(changed), GENUINE), (place, bit)


def test_every_flipped_bit_of_the_signature_is_refused():
    """No signature that differs in one bit of its text or of its digest passes, whatever base64 makes of it."""
    for place in range(len(GENUINE)):
        for bit in range(8):
            changed = bytearray(GENUINE.encode())
            changed[place] ^= 1 << bit
            assert not accepts(BODY, changed.decode("latin-1")), (place, bit)
    digest = base64.b64decode(GENUINE)
    for place in range(len(digest)):
        for bit in range(8):
            changed = bytearray(digest)
            changed[place] ^= 1 << bit
            assert not accepts(BODY, base64.b64encode(changed).decode()), (place, bit)


@pytest.mark.parametrize("length", range(len(GENUINE)))
def test_a_truncated_signature_is_refused(length):
    """A part of the signature is none, from nothing to all but the last character."""
    assert not accepts(BODY, GENUINE[:length])


@pytest.mark.parametrize("length", [0, 1, len(BODY) // 2, len(BODY) - 1])
def test_a_truncated_body_is_refused(length):
    """A part of the body is not what was signed."""
    assert not accepts(BODY[:length], GENUINE)


@pytest.mark.parametrize(
    "forged",
    [
        sign(BODY, "another token"),
        sign(BODY, ""),
        sign(b"", TOKEN),
        sign(BODY + b" ", TOKEN),
        GENUINE + "\n",
        " " + GENUINE,
        GENUINE * 2,
        base64.b64encode(BODY).decode(),
        "é" * 44,
        "\x00",
    ],
    ids=range(10),
)
def test_a_forged_signature_is_refused(forged):
    """Another key, another body, decoration, rubbish: all refused, none an error."""
    assert not accepts(BODY, forged)


def test_two_tokens_let_one_be_rotated():
    """While two verifier tokens are set, deliveries under either pass; under a third none does."""
    assert accepts(BODY, GENUINE, "the new one", TOKEN)
    assert accepts(BODY, sign(BODY, "the new one"), "the new one", TOKEN)
    assert not accepts(BODY, sign(BODY, "a third"), "the new one", TOKEN)


def test_without_a_token_nothing_is_genuine():
    """No verifier token, no delivery: not even one that is signed with nothing."""
    assert not QuickBooksWebhooks(()).is_genuine(BODY, {SIGNATURE: sign(BODY, "")})


def test_the_receiver_answers_401_and_keeps_nothing(receiver):
    """Over HTTP a forged delivery gets 401 without a word, and leaves no trace but a count."""
    assert receiver.post(BODY, signature=sign(BODY, "another token")) == 401
    assert receiver.post(BODY, signature="") == 401
    assert receiver.health()["lag"]["deliveries_unsplit"] == 0
    assert receiver.health()["since_start"] == {"accepted": 0, "refused": 2, "failed": 0}
    assert receiver.post(BODY) == 200
