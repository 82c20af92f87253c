"""What each of QuickBooks' refusals becomes: decided by code, in every casing and encoding, also inside HTTP 200."""

from __future__ import annotations

import json

import pytest

from books.core.faults import Exit, Fault, Halt, Reject, Retry, ServerError
from books.ledgers.quickbooks import faults
from books.transport.call import Response


def _fault(code, *, detail="Detail", kind="ValidationFault"):
    return {"Fault": {"Error": [{"Message": "M", "Detail": detail, "code": code, "element": "Line"}], "type": kind}}


def _response(body, status=400):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {"intuit_tid": "tid-1"}, text)


def _raised(response):
    with pytest.raises(Fault) as caught:
        faults.read(response)
    return caught.value


KINDS = {
    Reject: "500 610 620 1040 2010 2020 2030 2040 2050 2060 2130 2280 2290 2500 4000 4001 4002 5010 6000 6070 6080 "
    "6100 6140 6160 6170 6200 6210 6230 6240 6470 6540",
    Retry: "3001",
    ServerError: "600 10000",
    Halt: "100 120 3100 3200 5020 5030 6190",
}


@pytest.mark.parametrize(("kind", "code"), [(kind, code) for kind, codes in KINDS.items() for code in codes.split()])
def test_each_code_has_one_kind_of_fault_and_a_remedy(kind, code):
    """No code of the table is left to chance, and each says what to do."""
    fault = _raised(_response(_fault(code)))
    assert type(fault) is kind
    assert fault.code == code
    assert fault.remedy
    assert fault.vendor_request_id == "tid-1"


def test_the_table_has_no_code_that_is_not_tried():
    """A new row of the table needs a row here."""
    assert set(faults.RULES) == {code for codes in KINDS.values() for code in codes.split()}


LOWER = {"fault": {"error": [{"message": "m", "detail": "d", "code": "6240", "element": None}], "type": "SERVICE"}}
XML = (
    b'<IntuitResponse xmlns="http://schema.intuit.com/finance/v3"><Fault type="ValidationFault">'
    b'<Error code="2050" element="DocNumber"><Message>Too long</Message><Detail>Max 21 &amp; more</Detail></Error>'
    b"</Fault></IntuitResponse>"
)
SHAPES = {
    "lower case": (_response(LOWER), Reject, "6240"),
    "XML": (_response(XML), Reject, "2050"),
    "inside HTTP 200": (_response(_fault("6000"), 200), Reject, "6000"),
    "system fault inside HTTP 200": (_response(_fault("10000", kind="SystemFault"), 200), ServerError, "10000"),
    "with leading zeros": (_response(_fault("003100"), 403), Halt, "3100"),
    "gateway page 502": (_response(b"<html>Bad gateway</html>", 502), ServerError, "http_502"),
    "500 with a validation fault inside": (_response(_fault("6000"), 500), ServerError, "6000"),
    "HTML with HTTP 200": (_response(b"<html>Sign in</html>", 200), ServerError, "unreadable"),
    "cut JSON": (_response(b'{"Invoice": {"Id": "1"', 200), ServerError, "unreadable"),
    "a list": (_response(b"[1]", 200), ServerError, "unreadable"),
    "429 without a body": (_response(b"", 429), Retry, "3001"),
    "403 without a body": (_response(b"", 403), Halt, "3100"),
    "401 without a body": (_response(b"", 401), Halt, "3200"),
    "404": (_response(b"nothing here", 404), Halt, "http_404"),
    "an unknown code": (_response(_fault("9999")), Reject, "9999"),
    "400 without a fault": (_response({}, 400), Reject, "http_400"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_of_refusal_is_understood(name):
    """Casing, encoding and status vary; what to do next does not."""
    response, kind, code = SHAPES[name]
    fault = _raised(response)
    assert (type(fault), fault.code) == (kind, code)


def test_of_several_errors_the_one_that_stops_most_decides():
    """A dead connection beside a bad record ends the run."""
    body = {"Fault": {"Error": [{"code": "6000"}, {"code": "6190"}]}}
    fault = _raised(_response(body))
    assert isinstance(fault, Halt)
    assert fault.exit_code is Exit.DEAD_CONNECTION


def test_the_words_never_decide_and_the_token_is_never_repeated():
    """Intuit translates its texts; a 401's detail quotes the token."""
    french = _raised(_response(_fault("6140", detail="Numéro déjà utilisé")))
    assert "Numéro déjà utilisé" in french.message
    dead = _raised(_response(_fault("3200", detail="Token expired: AB01secret"), 401))
    assert "secret" not in f"{dead.message}{dead.remedy}"


def test_a_good_answer_is_given_back():
    """No fault, no exception, numbers exact."""
    assert str(faults.read(_response(b'{"Invoice": {"TotalAmt": 0.10}}', 200))["Invoice"]["TotalAmt"]) == "0.10"
