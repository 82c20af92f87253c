"""`books contract-check`: every difference that a go-live would meet is named, with what follows; nothing else is."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files

import pytest
import yaml

from books.core.clock import VirtualClock
from books.core.faults import Exit, Halt
from books.opsmerge import api, contract
from books.opsmerge.client import fetch_description, open_client
from books.opsmerge.description import Description
from books.opsmerge.fields import Field
from books.opsmerge.settings import OpsMergeSettings

TEXT = files("sandbox.opsmerge").joinpath("openapi.yaml").read_text()
AS_IT_IS = yaml.safe_load(TEXT)
AS_JSON = json.dumps(AS_IT_IS)


def check(document, path="/api/v1"):
    return contract.compare(Description.read(json.dumps(document).encode(), "the document"), path)


def changed(change):
    document = json.loads(AS_JSON)
    change(document, document["paths"], document["components"]["schemas"])
    return document


def test_the_simulator_is_as_assumed():
    """The description that the simulator serves has no difference, in JSON as in YAML."""
    assert contract.compare(Description.read(TEXT.encode(), "yaml"), "/api/v1") == check(AS_IT_IS) == []


def properties(schemas, place, path):
    """The properties that hold a field of a schema, however deep."""
    *above, name = path.split(".")
    schema = schemas[place]
    for step in above:
        schema = schema["properties"][step]
        schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return schema["properties"], name


FIELDS = [
    *(("Invoice", each) for each in api.INVOICE),
    *(("Line", each) for each in api.LINE),
    *(("Address", each) for each in api.ADDRESS),
    *(("Client", each) for each in api.CLIENT),
    *(("Service", each) for each in api.SERVICE),
    *(("TaxCode", each) for each in api.TAX_CODE),
    *(("Accounting", each) for each in api.ACCOUNTING),
]


@pytest.mark.parametrize(("schema", "field"), FIELDS, ids=lambda each: each if isinstance(each, str) else each.path)
def test_every_field_that_is_read_is_compared(schema, field):
    """Taken away, each is named, with what follows; of another type, each breaks."""

    def take_away(_document, _paths, schemas):
        holder, name = properties(schemas, schema, field.path)
        del holder[name]

    (first, *_) = [each for each in check(changed(take_away)) if each.place.endswith(field.path)]
    assert (first.what.partition(";")[0], bool(first.effect)) == ("is missing", True)

    def make_boolean(_document, _paths, schemas):
        holder, name = properties(schemas, schema, field.path)
        holder[name] = {"type": "boolean" if not is_flag(field) else "object"}

    if isinstance(field, Field):
        assert any(each.breaks and each.place.endswith(field.path) for each in check(changed(make_boolean)))


def is_flag(field):
    return isinstance(field, Field) and field.kind.json_type == "boolean"


def without(path):
    return lambda _document, paths, _schemas: paths.pop(path)


def moved(before, after):
    return lambda _document, paths, _schemas: paths.update({after: paths.pop(before)})


def set_in(*steps, to):
    """Put a value at a place in the document."""

    def change(document, _paths, _schemas):
        for step in steps[:-1]:
            document = document[step]
        document[steps[-1]] = to

    return change


def other_method(_document, paths, _schemas):
    item = paths["/psa/invoices/{id}/accounting"]
    item["patch"] = item.pop("put")


def no_updated_since(_document, paths, _schemas):
    paths["/psa/payments"]["get"]["parameters"].pop(0)


SCHEMAS = ("components", "schemas")
PARAMETERS = ("components", "parameters")
BREAKS = {
    "a path is gone": (without("/psa/invoices/{id}"), "GET /psa/invoices/{id}", "there is no such path"),
    "a path is renamed": (
        moved("/psa/tax-codes", "/psa/tax_codes"),
        "GET /psa/tax-codes",
        "the nearest is /api/v1/psa/tax_codes",
    ),
    "a method differs": (other_method, "PUT /psa/invoices/{id}/accounting", "no PUT; it has PATCH"),
    "a parameter is gone": (no_updated_since, "GET /psa/payments, parameter updated_since", "is missing"),
    "an id is a number": (
        set_in(*SCHEMAS, "Payment", "allOf", 1, "properties", "id", to={"type": "integer"}),
        "GET /psa/payments, answer, id",
        "integer, not string",
    ),
    "more is required": (
        set_in(*SCHEMAS, "PaymentIn", "required", to=["amount", "currency", "paid_on", "bank_account"]),
        "body, bank_account",
        "is required",
    ),
    "the cursor is called otherwise": (
        set_in(*SCHEMAS, "ClientPage", "properties", to={"data": {"type": "array"}, "next": {"type": "string"}}),
        "GET /clients, answer, next_cursor",
        "the document has: data, next",
    ),
    "a reference to what does not exist": (
        set_in(*SCHEMAS, "Invoice", "properties", "total", to={"$ref": "#/components/schemas/Pounds"}),
        "GET /psa/invoices/{id}",
        "does not exist",
    ),
    "a reference leaves the document": (
        set_in(*SCHEMAS, "Line", "properties", "net", to={"$ref": "money.yaml#/Pounds"}),
        "GET /psa/invoices",
        "not in this document",
    ),
    "references form a cycle": (
        set_in(*SCHEMAS, "Money", to={"allOf": [{"$ref": "#/components/schemas/Money"}]}),
        "GET /psa/invoices",
        "form a cycle",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_what_breaks_is_named(name):
    """Each is a break with its place, what is there instead, and what follows."""
    change, place, what = BREAKS[name]
    found = [each for each in check(changed(change)) if place in each.place and what in each.what]
    assert found
    assert found[0].breaks
    assert found[0].effect


def test_another_base_address_is_one_difference_and_names_the_setting():
    """Not every call anew: the setting to correct is OPSMERGE_API_URL."""
    (found,) = check(changed(set_in("servers", to=[{"url": "https://app.opsmerge.cloud/api/v2"}])))
    assert "/api/v2" in found.what
    assert "OPSMERGE_API_URL" in found.effect


HARMLESS = {
    "placeholders are called otherwise": moved("/psa/invoices/{id}", "/psa/invoices/{invoice_id}"),
    "the base stands in the paths": lambda document, paths, _schemas: document.update(
        servers=[{"url": "https://app.opsmerge.cloud"}], paths={"/api/v1" + path: item for path, item in paths.items()}
    ),
    "no servers, the base in the paths": lambda document, paths, _schemas: (
        document.pop("servers"),
        document.update(paths={"/api/v1" + path: item for path, item in paths.items()}),
    ),
    "money comes as text": set_in(*SCHEMAS, "Line", "properties", "net", to={"type": "string", "example": "1.00"}),
    "null as OpenAPI 3.0 spells it": set_in(
        *SCHEMAS, "Accounting", "properties", "error", to={"type": "string", "nullable": True}
    ),
    "null beside a reference, in 3.0": set_in(
        *SCHEMAS,
        "Accounting",
        "properties",
        "external_id",
        to={"nullable": True, "allOf": [{"$ref": "#/components/schemas/Text"}]},
    ),
    "a schema in parts, within parts": lambda _document, _paths, schemas: schemas.update(
        Invoice={"allOf": [{"oneOf": [{"$ref": "#/components/schemas/Whole"}]}, {"properties": {"id": {}}}]},
        Whole=schemas["Invoice"],
    ),
    "status codes are numbers, which JSON cannot say": lambda _document, paths, _schemas: paths["/auth/me"][
        "get"
    ].update(responses={"2XX": paths["/auth/me"]["get"]["responses"]["200"]}),
    "a field and a path more": lambda _document, paths, schemas: (
        schemas["Invoice"]["properties"].update(purchase_order={"type": "string"}),
        paths.update({"/tickets": {"get": {}}}),
    ),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_is_no_difference(name):
    """Spelt otherwise, or more than we use: nothing breaks, nothing degrades."""
    document = changed(HARMLESS[name])
    document["components"]["schemas"]["Text"] = {"type": "string"}
    assert check(document) == []


def test_what_stays_empty_is_no_break():
    """A note that is not there stays empty: exit code 0."""
    document = changed(lambda _document, _paths, schemas: schemas["Invoice"]["properties"].pop("notes"))
    assert {(each.breaks, each.what) for each in check(document)} == {(False, "is missing")}


RUBBISH = {
    "nothing": (b"", "is empty"),
    "a page": (b"<html><body>Not found</body></html>", "not a JSON or YAML object"),
    "a list": (b"[1, 2]", "not a JSON or YAML object"),
    "half a document": (TEXT.encode()[:3000] + b"\n  : [", "neither JSON nor YAML"),
    "no text": (b"\x00\xff\xfe\x01" * 50, "neither JSON nor YAML"),
    "another version": (b'{"swagger": "2.0", "paths": {}}', "not an OpenAPI 3"),
    "another JSON": (b'{"error": "no"}', "not an OpenAPI 3"),
    "too deep in JSON": (b"[" * 200_000, "neither|nested|read"),
    "too deep in YAML": (b"openapi: 3.1.0\npaths: " + b"[" * 5_000, "neither|nested|read"),
    "a tag that runs code": (b"!!python/object/apply:os.system ['true']", "not a JSON or YAML object"),
}


@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish_is_refused_in_words(name):
    """Exit code 78, what it is instead, and what to give."""
    text, words = RUBBISH[name]
    with pytest.raises(Halt, match=words) as caught:
        Description.read(text, "the document")
    assert caught.value.exit_code is Exit.MISCONFIGURED
    assert "--file" in caught.value.remedy


def test_a_date_or_a_no_in_yaml_does_not_stop_it():
    """YAML would make a date of an impossible day, and false of the country NO."""
    text = TEXT.replace(
        "type: string, format: date}", "type: string, format: date, example: 2026-02-30, enum: [no]}", 1
    )
    assert Description.read(text.encode(), "yaml").document["components"]


def test_megabytes_are_read(tmp_path):
    """Ten thousand paths more, eight megabytes: compared in seconds, with the same result."""
    document = json.loads(AS_JSON)
    operation = document["paths"]["/psa/invoices"]["get"]
    document["paths"] |= {f"/more/{n}": {"get": {**operation, "summary": "x" * 300}} for n in range(10_000)}
    text = json.dumps(document).encode()
    assert len(text) > 8_000_000
    assert contract.compare(Description.read(text, "json"), "/api/v1") == []


@contextmanager
def serving(status, body=b"{}"):
    """A host that answers every GET alike, and the keys that it was shown."""
    shown = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            shown.append(self.headers.get("Authorization"))
            self.send_response(status if self.headers.get("Authorization") is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", shown
        server.shutdown()


def test_a_real_page_that_cannot_be_read_is_named():
    """Whatever the description says: a row of a real answer that cannot be read is a break, with number and field."""
    page = {
        "data": [{"id": "in_1", "number": "INV-1", "lines": [], "updated_at": "2026-11-01T00:00:00Z", "total": "?"}]
    }
    with serving(200, json.dumps(page).encode()) as (url, _):
        settings = OpsMergeSettings.from_config({"api_url": f"{url}/api/v1", "api_key": "om_canary"})
        found = contract.read_pages(open_client(settings, VirtualClock()))
    (invoices,) = [each for each in found if each.place == "GET /psa/invoices, a real page"]
    assert invoices.breaks
    assert "INV-1: total" in invoices.what


def test_the_key_goes_only_where_it_is_asked_for_and_only_to_its_own_host():
    """First without; where a login is wanted, once more with the key, if the host is that of api_url."""
    with serving(200) as (open_to_all, shown):
        fetch_description(f"{open_to_all}/doc", f"{open_to_all}/api/v1", "om_canary", VirtualClock())
        assert shown == [None]
    with serving(401) as (own, shown):
        assert fetch_description(f"{own}/doc", f"{own}/api/v1", "om_canary", VirtualClock()) == b"{}"
        assert shown == [None, "Bearer om_canary"]
    with serving(401) as (foreign, shown):
        with pytest.raises(Halt, match="answers 401") as caught:
            fetch_description(f"{foreign}/doc", "https://app.opsmerge.cloud/api/v1", "om_canary", VirtualClock())
        assert caught.value.exit_code is Exit.MISCONFIGURED
        assert shown == [None]


@pytest.mark.parametrize(
    ("status", "code"), [(404, Exit.MISCONFIGURED), (503, Exit.TRY_LATER), (302, Exit.MISCONFIGURED)]
)
def test_a_host_without_a_description_is_said(status, code):
    """Not there, or not now: the exit code, the status, and the way out."""
    with serving(status) as (url, _), pytest.raises(Halt, match=str(status)) as caught:
        fetch_description(f"{url}/doc", f"{url}/api/v1", None, VirtualClock())
    assert caught.value.exit_code is code
    assert "--file" in caught.value.remedy


def test_nobody_there_and_plain_http_are_said():
    """Exit code 75 where nobody listens; 78 for a document that anybody on the way could change."""
    with pytest.raises(Halt) as nobody:
        fetch_description("http://127.0.0.1:9/doc", "http://127.0.0.1:9/api/v1", None, VirtualClock())
    with pytest.raises(Halt, match="not an https address") as plain:
        fetch_description("http://192.0.2.1/doc", "https://app.opsmerge.cloud/api/v1", None, VirtualClock())
    assert (nobody.value.exit_code, plain.value.exit_code) == (Exit.TRY_LATER, Exit.MISCONFIGURED)
