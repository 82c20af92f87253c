"""One call to a vendor: a `Request` in, a `Response` out, and wrappers around that one method."""

from books.transport.base import CallKind, Request, Response, Transport

__all__ = ["CallKind", "Request", "Response", "Transport"]
