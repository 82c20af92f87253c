"""Runs a plugin's command line inside this process: the real command, settings file and streams."""

from __future__ import annotations

import io
import json
import logging
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import simplejson

LINE = {"id": "li_1", "position": 1, "description": "Support", "quantity": 1, "unit_price": Decimal("100.00"),
        "service_id": "svc_1", "service_name": "Managed Support", "tax_code_id": "tx_1", "tax_code_name": "20.0% S",
        "tax_rate": 20, "net_amount": Decimal("100.00"), "tax_amount": Decimal("20.00")}  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """How a run ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Singer messages, or STATE values, one a line."""
        return [simplejson.loads(line, use_decimal=True) for line in self.out.splitlines()]

    def rows(self, stream: str) -> list[dict[str, Any]]:
        return [each["record"] for each in self.messages if each["type"] == "RECORD" and each["stream"] == stream]

    @property
    def counts(self) -> Counter[str]:
        return Counter(each["type"] for each in self.messages)


class _Stdin(io.TextIOWrapper):
    """Standard input of bytes."""


def run(plugin: Any, folder: Path, config: dict[str, Any], *lines: Any, arguments: Iterable[str] = ()) -> Ended:
    """Run `plugin --config FILE ...` on these lines (messages, texts or bytes)."""
    settings = folder / "config.json"
    settings.write_text(json.dumps(config))
    return command(plugin, "--config", str(settings), *arguments, lines=lines)


def command(plugin: Any, *arguments: str, lines: Iterable[Any] = ()) -> Ended:
    """Run `plugin ARGUMENTS` on these lines."""
    log, out = io.StringIO(), io.StringIO()
    handler = logging.StreamHandler(log)
    root = logging.getLogger()
    before = (root.level, logging.getLogRecordFactory(), sys.excepthook, sys.stdin)
    signals = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    sys.stdin = _Stdin(io.BytesIO(b"".join(_line(each) for each in lines)))  # type: ignore[assignment]
    code = 0
    try:
        with redirect_stdout(out):
            plugin.get_singer_command().main(list(arguments), prog_name=plugin.name)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:  # noqa: BLE001 -- as the interpreter itself would end
        code, _ = 1, log.write(traceback.format_exc())
    finally:
        root.removeHandler(handler)
        root.setLevel(before[0])
        logging.setLogRecordFactory(before[1])
        sys.excepthook, sys.stdin = before[2], before[3]
        for number, action in signals.items():
            signal.signal(number, action)
    return Ended(code, out.getvalue(), log.getvalue())


def _line(message: Any) -> bytes:
    if isinstance(message, bytes):
        return message
    text = message if isinstance(message, str) else simplejson.dumps(message, use_decimal=True)
    return text.encode("utf-8", "surrogatepass") + b"\n"


def schema(stream: str, *keys: str, **properties: Any) -> dict[str, Any]:
    shape = {"type": "object", "properties": {**{key: {"type": "string"} for key in keys}, **properties}}
    return {"type": "SCHEMA", "stream": stream, "schema": shape, "key_properties": list(keys)}


def record(stream: str, row: dict[str, Any]) -> dict[str, Any]:
    return {"type": "RECORD", "stream": stream, "record": row}


def invoice(number: str, **changes: Any) -> dict[str, Any]:
    """A record of the stream `invoices`: one line of 100.00, with VAT 120.00."""
    return {
        "id": f"id-{number}", "number": number, "status": "open", "issue_date": "2026-11-02", "due_date": "2026-12-02",
        "currency": "GBP", "client_id": "cl_1", "client_name": "Hartley & Sons", "client_email": None,
        "billing_address": None, "lines": [LINE], "subtotal": Decimal("100.00"), "tax_total": Decimal("20.00"),
        "total": Decimal("120.00"), "accounting_excluded": False, "updated_at": "2026-11-02T00:01:00Z", **changes,
    }  # fmt: skip
