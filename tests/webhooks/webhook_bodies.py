"""Deliveries in the shapes that Intuit sends."""

from __future__ import annotations

import uuid
from typing import Any

from books.core import money

REALM = "9341453000000001"
CONNECTION = f"sandbox:{REALM}"
TOKEN = "verifier-of-the-portal"


def cloud_event(entity_id: str = "190", kind: str = "qbo.payment.created.v1", **changes: Any) -> dict[str, Any]:
    """An event as Intuit sends it since 2026."""
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "intuit.dsnBgbseACLLRZNxo2dfc4evmEJdxde58xeeYcZliOU=",
        "type": kind,
        "datacontenttype": "application/json",
        "time": "2026-11-02T08:59:30.179851517Z",
        "intuitentityid": entity_id,
        "intuitaccountid": REALM,
        "data": {},
        **changes,
    }


def legacy(*entities: dict[str, Any], realm: str = REALM) -> dict[str, Any]:
    """The shape before 31 July 2026."""
    return {"eventNotifications": [{"realmId": realm, "dataChangeEvent": {"entities": list(entities)}}]}


def body_of(*events: Any) -> bytes:
    """A body of CloudEvents."""
    return money.dumps(list(events)).encode()
