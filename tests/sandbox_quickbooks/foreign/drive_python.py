"""Run by the test in an environment of its own: `intuit-oauth` and `python-quickbooks`, untouched.

Prints one JSON object of what happened; the test judges it.
"""

from __future__ import annotations

import json
import os
import re
import sys

import requests
from intuitlib.client import AuthClient
from intuitlib.enums import Scopes
from intuitlib.exceptions import AuthClientError
from quickbooks import QuickBooks
from quickbooks.batch import batch_create, batch_delete, batch_update
from quickbooks.cdc import change_data_capture
from quickbooks.exceptions import (
    AuthorizationException,
    ObjectNotFoundException,
    QuickbooksException,
    ValidationException,
)
from quickbooks.objects import (
    Customer,
    Invoice,
    Item,
    Payment,
    PaymentLine,
    SalesItemLine,
    SalesItemLineDetail,
    TaxCode,
)
from quickbooks.objects.base import LinkedTxn, Ref
from quickbooks.objects.detailline import DescriptionOnlyLine

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
URL = sys.argv[1]
REDIRECT = "http://localhost:9/callback"
done: dict[str, object] = {}


def connect() -> AuthClient:
    auth = AuthClient("sandbox-client", "sandbox-secret", REDIRECT, f"{URL}/.well-known/openid_sandbox_configuration")
    page = auth.get_authorization_url([Scopes.ACCOUNTING], state_token="state-1")
    assert "Connect" in requests.get(page, timeout=5).text
    target = requests.post(page, data={"decision": "connect"}, allow_redirects=False, timeout=5).headers["location"]
    code, realm = re.search(r"code=([^&]+)&realmId=(\d+)", target).groups()
    auth.get_bearer_token(code, realm_id=realm)
    done["exchanged"] = bool(auth.access_token and auth.refresh_token)
    return auth


def books(auth: AuthClient) -> QuickBooks:
    QuickBooks.api_url_v3 = QuickBooks.sandbox_api_url_v3 = f"{URL}/v3"
    return QuickBooks(auth_client=auth, refresh_token=auth.refresh_token, company_id=auth.realm_id, minorversion=75)


def invoice_for(customer: Customer, item: Item, code: str, number: str) -> Invoice:
    invoice = Invoice()
    invoice.CustomerRef = customer.to_ref()
    invoice.DocNumber = number
    line = SalesItemLine()
    line.Amount = 100
    line.Description = "Support"
    line.SalesItemLineDetail = SalesItemLineDetail()
    line.SalesItemLineDetail.ItemRef = item.to_ref()
    line.SalesItemLineDetail.Qty = 2
    line.SalesItemLineDetail.UnitPrice = 50
    line.SalesItemLineDetail.TaxCodeRef = Ref()
    line.SalesItemLineDetail.TaxCodeRef.value = code
    note = DescriptionOnlyLine()
    note.Description = "PO 1"
    invoice.Line = [line, note]
    return invoice


def payment_for(customer: Customer, invoice: Invoice) -> Payment:
    link = LinkedTxn()
    link.TxnId, link.TxnType = invoice.Id, "Invoice"
    line = PaymentLine()
    line.Amount, line.LinkedTxn = 50, [link]
    payment = Payment()
    payment.TotalAmt, payment.CustomerRef, payment.Line = 60, customer.to_ref(), [line]
    return payment


def fault(kind: type[Exception], action: object) -> int | str:
    try:
        action()
    except kind as error:
        return error.error_code
    return "no fault"


def run() -> None:
    auth = connect()
    qb = books(auth)
    customer = Customer()
    customer.DisplayName = "O'Brien & Söhne"
    customer.save(qb=qb)
    item = Item()
    item.Name, item.Type = "Support", "Service"
    for name, value in (("IncomeAccountRef", "1"), ("ExpenseAccountRef", "2")):
        ref = Ref()
        ref.value = value
        setattr(item, name, ref)
    item.save(qb=qb)
    code = next(c for c in TaxCode.all(qb=qb) if c.Name == "20.0% S").Id
    done["filtered"] = [c.Id for c in Customer.filter(Active=True, DisplayName="O'Brien & Söhne", qb=qb)]
    done["chosen"] = [c.Id for c in Customer.choose([customer.Id], field="Id", qb=qb)]
    invoice = invoice_for(customer, item, code, "PQ-1")
    invoice.save(qb=qb, request_id="pq-1")
    twin = invoice_for(customer, item, code, "PQ-1")
    twin.save(qb=qb, request_id="pq-1")
    done["replayed"] = twin.Id == invoice.Id
    done["count"] = Invoice.count(qb=qb)
    done["total"] = str(Invoice.get(invoice.Id, qb=qb).TotalAmt)
    done["where"] = [
        i.DocNumber
        for i in Invoice.where("TotalAmt > '100'", order_by="DocNumber", start_position=1, max_results=5, qb=qb)
    ]
    invoice.PrivateNote = "changed"
    invoice.save(qb=qb)
    invoice = Invoice.get(invoice.Id, qb=qb)
    done["updated"] = [invoice.PrivateNote, invoice.SyncToken]
    sparse = Customer()
    sparse.Id, sparse.SyncToken, sparse.sparse, sparse.DisplayName = customer.Id, customer.SyncToken, True, "Renamed"
    sparse.save(qb=qb)
    done["sparse"] = Customer.get(customer.Id, qb=qb).DisplayName
    run_payments(qb, customer, invoice)
    run_batches(qb, customer, item, code)
    finish(auth, qb)


def run_payments(qb: QuickBooks, customer: Customer, invoice: Invoice) -> None:
    payment = payment_for(customer, invoice)
    payment.save(qb=qb)
    done["unapplied"] = str(Payment.get(payment.Id, qb=qb).UnappliedAmt)
    done["balance"] = str(Invoice.get(invoice.Id, qb=qb).Balance)
    payment.void(qb=qb)
    done["balance_after_void"] = str(Invoice.get(invoice.Id, qb=qb).Balance)
    done["bytes"] = Invoice.get(invoice.Id, qb=qb).download_pdf(qb=qb)[:4].decode()


def run_batches(qb: QuickBooks, customer: Customer, item: Item, code: str) -> None:
    more = batch_create([invoice_for(customer, item, code, f"PQ-B{n}") for n in range(35)], qb=qb)
    bad = batch_create([invoice_for(customer, item, code, "PQ-B0")], qb=qb)
    done["batch"] = [len(more.successes), len(more.faults), bad.faults[0].Error[0].code]
    some = more.successes[:3]
    for row in some:
        row.PrivateNote = "batch"
    some = batch_update(some, qb=qb).successes
    done["batch_deleted"] = len(batch_delete(some[:2], qb=qb).successes)
    some[2].void(qb=qb)
    done["voided"] = str(Invoice.get(some[2].Id, qb=qb).TotalAmt)
    gone = Invoice.get(more.successes[5].Id, qb=qb)
    gone.delete(qb=qb)
    changes = change_data_capture([Invoice, Customer], "2026-11-20T08:00:00+00:00", qb=qb)
    done["cdc"] = [len(changes.Invoice._object_list), len(changes.Customer._object_list)]
    done["faults"] = [
        fault(ObjectNotFoundException, lambda: Invoice.get("99999", qb=qb)),
        fault(QuickbooksException, lambda: invoice_for(customer, item, code, "PQ-1").save(qb=qb)),
        fault(ValidationException, lambda: Customer.query("select * from Customer where Nonsense = 'x'", qb=qb)),
    ]


def finish(auth: AuthClient, qb: QuickBooks) -> None:
    before = auth.refresh_token
    requests.post(f"{URL}/_control/clock", json={"advance_seconds": 90_000}, timeout=5)
    auth.refresh()
    done["rotated"] = auth.refresh_token != before
    try:
        auth.refresh(refresh_token=before)
    except AuthClientError as error:
        done["old_token"] = error.status_code
    done["revoked"] = auth.revoke()
    done["after_revoke"] = fault(AuthorizationException, lambda: Customer.all(qb=books(auth)))


if __name__ == "__main__":
    run()
    print(json.dumps(done))  # noqa: T201 -- the answer to the test
