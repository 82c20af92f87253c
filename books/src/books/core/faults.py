"""The four kinds of fault; nothing else leaves a ledger.

    Fault
    ├── Retry    did not happen: the same call may be made again, a bounded number of times
    ├── Unknown  may have happened: never blindly repeated, settled by a look-up
    │   └── ServerError  as Unknown, but the vendor answered: no request is under way, so it may be looked up at once
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


class Fault(Exception):  # noqa: N818 -- the contract's word
    """A refusal by a vendor or the network, in words that a user can act on.

    `code` is the vendor's fault code (or ours, lower_snake), `remedy` what the user should do, `vendor_request_id`
    the id that the vendor's support asks for.
    """

    def __init__(self, message: str, *, code: str = "", remedy: str = "", vendor_request_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.remedy = remedy
        self.vendor_request_id = vendor_request_id


class Retry(Fault):
    """The call did not happen. The transport reads from Retry-After how long to wait."""


class Unknown(Fault):
    """The call may have happened: its answer was lost, cut off, unreadable, or a 5xx."""


class ServerError(Unknown):
    """The vendor's answer gives no outcome: a 5xx, an unreadable body, an item missing from a batch's answer."""


class Reject(Fault):
    """This record is wrong and nothing was written. `field` says where, e.g. `lines[3].service`."""

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
    """Nothing further can succeed in this run: consent revoked, wrong company, misconfigured, out of time."""

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
