"""Refusals of the OpsMerge API, one class for all: what differs is data."""

from __future__ import annotations

from collections.abc import Iterable


class ApiError(Exception):
    """An answer that is not a success: HTTP status, the vendor's code, a sentence, and headers if any."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def not_found(what: str, identifier: str) -> ApiError:
    """Return fault 404: no such document in this tenant."""
    return ApiError(404, "not_found", f"There is no {what} {identifier}.")


def conflict(message: str) -> ApiError:
    """Return fault 409: well formed, but not possible for this document as it stands."""
    return ApiError(409, "conflict", message)


def invalid(problems: Iterable[str]) -> ApiError:
    """Return fault 422: every problem of the body or the parameters, each beginning with the field's name."""
    return ApiError(422, "validation_failed", "; ".join(problems) + ".")
