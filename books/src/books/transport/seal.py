"""Encrypt secrets at rest (Fernet) where `token_key` is set; without it they are stored as they are."""

from __future__ import annotations

from typing import Any

from books.core import redact
from books.core.faults import Exit, Halt

PREFIX = "fernet:"


class Seal:
    """Encrypts and decrypts secrets. Values that were stored before there was a key are still read.

    `keys` is one Fernet key or several, separated by commas: the first encrypts, all decrypt.

    Raises:
        Halt: MISCONFIGURED; the key is not a Fernet key.
    """

    def __init__(self, keys: str | None) -> None:
        self._fernet = _fernet(keys) if keys else None

    def close(self, secret: str | None) -> str | None:
        """Return the text to store for a secret."""
        if secret is None or self._fernet is None:
            return secret
        return PREFIX + str(self._fernet.encrypt(secret.encode()).decode("ascii"))

    def open(self, stored: str | None) -> str | None:
        """Return the secret of a stored text, and register it with the log filter.

        Raises:
            Halt: MISCONFIGURED; it is encrypted, and the key is missing or wrong.
        """
        secret = self._decrypt(stored) if stored is not None and is_sealed(stored) else stored
        redact.register((secret,))
        return secret

    def _decrypt(self, stored: str) -> str:
        from cryptography.fernet import InvalidToken

        if self._fernet is None:
            raise _wrong_key("the stored tokens are encrypted, and token_key is not set")
        try:
            return str(self._fernet.decrypt(stored.removeprefix(PREFIX)).decode())
        except InvalidToken:
            raise _wrong_key("the stored tokens were encrypted with another token_key") from None


def is_sealed(stored: str | None) -> bool:
    """Return whether a stored value is encrypted."""
    return stored is not None and stored.startswith(PREFIX)


def _fernet(keys: str) -> Any:
    """Return the cipher. Imported late: most runs have no key and the import takes time."""
    from cryptography.fernet import Fernet, MultiFernet

    try:
        return MultiFernet([Fernet(key.strip()) for key in keys.split(",")])
    except ValueError:
        raise _wrong_key("token_key is not a Fernet key (32 bytes as URL-safe base64)") from None


def _wrong_key(message: str) -> Halt:
    return Halt(
        message,
        exit_code=Exit.MISCONFIGURED,
        code="token_key",
        remedy="set token_key to the key that the tokens were encrypted with, or start again with a new refresh_token",
    )
