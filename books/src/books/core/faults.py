"""The four kinds of fault; nothing else leaves a ledger.

    Fault
    ├── Retry    did not happen: the same call may be made again, bounded
    ├── Unknown  may have happened: never blindly repeated, settled by a look-up
    │   └── ServerError  as Unknown, but the vendor answered: nothing is still under way, so it may be looked up at once
    ├── Reject   this record is wrong: nothing was written, go on with the others
    └── Halt     nothing further can succeed in this run; carries the exit code

The type says what the caller must do next. Every fault carries the vendor's request id where one was given,
because the vendor's support asks for it. No fault ever carries a token, a secret or a whole response body.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes as users and schedulers see them."""

    DONE = 0
    FAILED = 1
    REJECTED = 65
    DEAD_CONNECTION = 69
    TRY_LATER = 75
    MISCONFIGURED = 78


RECONNECT = (
    "reconnect: run `books connect` (or put a new refresh token into the setting refresh_token, "
    "QUICKBOOKS_REFRESH_TOKEN)"
)
"""What to do about a dead connection, wherever it shows."""


class Fault(Exception):  # noqa: N818 -- the contract's word
    """A vendor's or the network's refusal, in words a user can act on.

    `code` is the vendor's (or our own, lower_snake) fault code, `remedy` what the user should do,
    `vendor_request_id` the id that the vendor's support asks for (QuickBooks: `intuit_tid`).
    """

    def __init__(self, message: str, *, code: str = "", remedy: str = "", vendor_request_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.remedy = remedy
        self.vendor_request_id = vendor_request_id


class Retry(Fault):
    """The call did not happen. How long to wait stands in the answer's Retry-After, which the transport reads."""


class Unknown(Fault):
    """The call may have happened: an answer was lost, cut, unreadable, or was a 5xx."""


class ServerError(Unknown):
    """The vendor answered without an outcome: a 5xx, an unreadable body, an item left out of a batch's answer."""


class Reject(Fault):
    """This record is wrong and nothing was written. `field` names where, e.g. `lines[3].service`."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        field: str = "",
        remedy: str = "",
        vendor_request_id: str | None = None,
    ) -> None:
        super().__init__(message, code=code, remedy=remedy, vendor_request_id=vendor_request_id)
        self.field = field


class Halt(Fault):
    """Nothing further can succeed in this run: revoked, wrong realm, misconfigured, out of time."""

    def __init__(
        self,
        message: str,
        *,
        exit_code: Exit,
        code: str = "",
        remedy: str = "",
        vendor_request_id: str | None = None,
    ) -> None:
        super().__init__(message, code=code, remedy=remedy, vendor_request_id=vendor_request_id)
        self.exit_code = exit_code
