"""One row of OpsMerge that cannot be read stops no other."""

from __future__ import annotations

import io
import json
import threading
from contextlib import redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tap_opsmerge.tap import TapOpsMerge


def invoice(number: int, net: object) -> dict:
    """An invoice as OpsMerge answers it."""
    line = {
        "id": "l1",
        "position": 1,
        "description": "Support",
        "quantity": 1,
        "unit_price": 100,
        "net": net,
        "tax": 20,
    }
    return {
        "id": f"in_{number}", "number": f"INV-{number}", "status": "open", "issue_date": "2026-11-02",
        "currency": "GBP", "client": {"id": "cl_1", "name": "Acme"}, "lines": [line], "subtotal": 100,
        "tax_total": 20, "total": 120, "updated_at": f"2026-11-02T00:00:0{number}Z",
    }  # fmt: skip


@pytest.fixture
def opsmerge():
    """A host that answers every list with the same rows."""
    page = {"data": [invoice(1, 100.001), invoice(2, 100)], "next_cursor": None}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(page if "invoices" in self.path else {"data": []}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api/v1"
        server.shutdown()


def test_an_amount_finer_than_a_penny_reaches_the_target_as_it_is(opsmerge, caplog):
    """The tap names it and goes on: the target refuses that invoice by its field, and posts the others."""
    out = io.StringIO()
    with redirect_stdout(out):
        TapOpsMerge(config={"api_url": opsmerge, "api_key": "om_sandbox_key"}).sync_all()
    messages = [json.loads(line) for line in out.getvalue().splitlines()]
    nets = [
        each["record"]["lines"][0]["net_amount"]
        for each in messages
        if each.get("stream") == "invoices" and "record" in each
    ]
    assert nets == [100.001, 100]
    assert "invoices INV-1: lines[0].net: 100.001 has more decimal places than 0.01" in caplog.text
