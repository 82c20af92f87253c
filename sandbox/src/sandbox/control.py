"""A small client of `/_control`, the part of each simulator that no real vendor has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
import simplejson

TIMEOUT_SECONDS = 60.0


class ControlError(RuntimeError):
    """The simulator refused the request; the message is its own."""


class Control:
    """What both simulators offer: reset, seed, clock, faults, switches, deeds and the request log.

    `url` is the base URL of a running simulator. Every method raises `ControlError` when the simulator refuses.
    """

    def __init__(self, url: str) -> None:
        self._base = url.rstrip("/") + "/_control"
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of this machine has no business with a loopback address

    def reset(self) -> None:
        """Forget everything: documents, faults, switches and the request log."""
        self.post("reset", {})

    def seed(self, data: Mapping[str, Any]) -> Any:
        """Load documents in bulk; the shape is each simulator's own (see the README)."""
        return self.post("seed", data)

    def clock(self) -> str:
        """Return the simulator's time, ISO 8601."""
        return str(self.get("clock")["now"])

    def advance(self, seconds: float) -> str:
        """Move the simulator's time on; returns the new time."""
        return str(self.post("clock", {"advance_seconds": seconds})["now"])

    def set_clock(self, now: str) -> str:
        """Set the simulator's time, ISO 8601; returns it."""
        return str(self.post("clock", {"now": now})["now"])

    def real_time(self) -> str:
        """Let the simulator's time be the machine's; returns it."""
        return str(self.post("clock", {"real": True})["now"])

    def fault(self, kind: str, *, method: str | None = None, path: str | None = None, **details: Any) -> Any:
        """Plan a fault for requests that match; `details` are nth, times and what the kind itself needs."""
        wanted = {"method": method, "path": path}
        match = {name: value for name, value in wanted.items() if value is not None}
        return self.post("faults", {"match": match, "kind": kind, **details})

    def requests(self) -> list[dict[str, Any]]:
        """Return the log of all requests to the vendor's API, oldest first."""
        answer = self.get("requests")
        return list(answer["requests"] if isinstance(answer, dict) else answer)

    def switches(self, **switches: Any) -> dict[str, Any]:
        """Set switches of behaviour; returns all of them."""
        return dict(self.post("switches", switches))

    def deed(self, deed: str, /, **details: Any) -> Any:
        """Do what a person does in the product's own screens; returns what came of it."""
        return self.post("deeds", {"deed": deed, **details})

    def get(self, path: str) -> Any:
        """Return the parsed answer of a GET below `/_control`; numbers with a point become Decimal."""
        return _answer(self._session.get(f"{self._base}/{path}", timeout=TIMEOUT_SECONDS))

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the parsed answer of a POST below `/_control`; Decimals in the body are sent as exact JSON numbers."""
        headers = {"Content-Type": "application/json"}
        data = simplejson.dumps(body, use_decimal=True).encode()
        return _answer(self._session.post(f"{self._base}/{path}", data=data, headers=headers, timeout=TIMEOUT_SECONDS))


def _answer(response: requests.Response) -> Any:
    if not response.ok:
        raise ControlError(f"{response.request.method} {response.url}: {response.status_code} {response.text[:500]}")
    return simplejson.loads(response.text, use_decimal=True) if response.text else {}
