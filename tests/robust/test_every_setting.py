"""Every setting of every plugin is tried with a value that is not its default, on the real plugin."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from cryptography.fernet import Fernet
from meltano_project import ROOT, make_project
from plugin_process import LINE, Ended, invoice, record, schema
from sqlalchemy import insert, select

from books.singer.endings import OF_THE_SDK
from books.store import Store
from books.store.tables_infra import token
from books.store.tables_posting import posting
from books.transport.seal import is_sealed
from tap_opsmerge.tap import TapOpsMerge
from tap_quickbooks_payments.tap import TapQuickBooksPayments
from target_duckdb.target import TargetDuckDB
from target_opsmerge.target import TargetOpsMerge
from target_quickbooks.target import TargetQuickBooks

NOWHERE = "http://127.0.0.1:9"
PLUGINS = (TapOpsMerge, TapQuickBooksPayments, TargetQuickBooks, TargetOpsMerge, TargetDuckDB)
STATE = {"type": "STATE", "value": {"bookmarks": {"upto": 1}}}

Try = Callable[[Any], None]
TRIES: dict[Any, dict[str, Try]] = {plugin: {} for plugin in PLUGINS}


def of(*plugins: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a function the try of the setting that it is named after; it is given the plugin where it serves several."""

    def keep(function: Callable[..., None]) -> Callable[..., None]:
        for plugin in plugins:
            name = function.__name__.rstrip("_")
            TRIES[plugin][name] = (lambda world, p=plugin: function(world, p)) if len(plugins) > 1 else function
        return function

    return keep


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda each: each.name)
def test_no_setting_is_left_untried(plugin):
    """A new setting has a try here before it is released."""
    plugin.append_builtin_config(plugin.config_jsonschema)
    assert set(TRIES[plugin]) == set(plugin.config_jsonschema["properties"])


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda each: each.name)
def test_a_setting_of_other_singer_plugins_is_refused(sqlite_world, plugin):
    """What the SDK offers in general and this plugin does not honour ends with 78, by name; none is passed over."""
    plugin.append_builtin_config(plugin.config_jsonschema)
    foreign = OF_THE_SDK - set(plugin.config_jsonschema["properties"])
    assert {"flattening_enabled", "batch_config", "load_method"} <= foreign
    for name in sorted(foreign):
        ended = sqlite_world.run(plugin, **{name: {"x": 1}})
        assert (ended.code, ended.out, name in ended.err, "Traceback" in ended.err) == (78, "", True, False), ended.err


def _cases() -> list[Any]:
    cases = [(plugin, name) for plugin in PLUGINS for name in TRIES[plugin]]
    return [pytest.param(*case, id=f"{case[0].name}-{case[1]}") for case in cases]


# --- what several plugins have -------------------------------------------------------------------------------------


def used(world: Any, plugin: Any, **settings: Any) -> Ended:
    """A run that has something to do."""
    if plugin is TargetQuickBooks:
        return world.push(invoice(world.number()), **settings)
    if plugin is TargetOpsMerge:
        return world.run(plugin, *blocks(world), STATE, **settings)
    return world.run(plugin, **settings)


def blocks(world: Any) -> list[Any]:
    """Messages that put a block on a new invoice in OpsMerge."""
    made = world.opsmerge.control.deed("create_invoice", client_id="cl_1", lines=[OPSMERGE_LINE])
    row = {
        "provider": "quickbooks", "connection": "sandbox:9341453000000001", "company_id": "9341453000000001",
        "opsmerge_invoice_id": made["id"], "number": made["number"], "outcome": "created", "external_id": "130",
        "finished_at": "2026-11-02T09:00:00+00:00", "seq": 1,
    }  # fmt: skip
    return [schema("postings", "connection", "opsmerge_invoice_id"), record("postings", row)]


OPSMERGE_LINE = {"description": "Support", "quantity": 1, "unit_price": 100, "service_id": "svc_1",
                 "tax_code_id": "tax_1"}  # fmt: skip


def refused(ended: Ended, code: int, *words: str) -> None:
    assert ended.code == code, ended.err
    assert all(word in ended.err for word in words), ended.err
    assert "Traceback" not in ended.err


def good(ended: Ended) -> Ended:
    assert ended.code == 0, ended.err
    return ended


@of(TapQuickBooksPayments, TargetQuickBooks)
def environment(world, plugin):
    """Production is another connection."""
    ended = used(world, plugin, environment="production", post_from="2026-01-01", dry_run=True)
    good(ended)
    said = ended.err if plugin is TargetQuickBooks else ended.out
    assert "production:9341453000000001" in said
    refused(used(world, plugin, environment="staging"), 78, "environment")


@of(TapQuickBooksPayments, TargetQuickBooks)
def realm_id(world, plugin):
    """Another company than the app may see is refused."""
    ended = used(world, plugin, realm_id="1234567890")
    assert ended.code in (69, 78), ended.err
    refused(used(world, plugin, realm_id="none"), 78, "realm_id")


@of(TapQuickBooksPayments, TargetQuickBooks)
def client_id(world, plugin):
    refused(used(world, plugin, client_id="wrong-app"), 78, "client_id")


@of(TapQuickBooksPayments, TargetQuickBooks)
def client_secret(world, plugin):
    ended = used(world, plugin, client_secret="wrong-canary")
    refused(ended, 78, "client_secret")
    assert "canary" not in ended.err


@of(TapQuickBooksPayments, TargetQuickBooks)
def refresh_token(world, plugin):
    ended = used(world, plugin, refresh_token="RT-canary")
    refused(ended, 69, "books connect")
    assert "canary" not in ended.err


@of(TapQuickBooksPayments, TargetQuickBooks)
def token_key(world, plugin):
    """Tokens at rest are sealed."""
    good(used(world, plugin, token_key=Fernet.generate_key().decode()))
    store = Store.open(world.store_url)
    with store.read() as connection:
        kept = connection.execute(select(token.c.refresh_token, token.c.access_token)).one()
    store.close()
    assert all(is_sealed(each) for each in kept)


@of(TapQuickBooksPayments, TargetQuickBooks, TargetOpsMerge)
def store_url(world, plugin):
    """The state is kept there and nowhere else."""
    other = world.folder / "elsewhere" / "state.db"
    good(used(world, plugin, store_url=f"sqlite:///{other}"))
    assert other.is_file()
    assert not (world.folder / "books" / "books.db").exists()


@of(TapOpsMerge, TapQuickBooksPayments, TargetQuickBooks, TargetOpsMerge)
def api_url(world, plugin):
    path = "/api/v1" if plugin in (TapOpsMerge, TargetOpsMerge) else ""
    refused(used(world, plugin, api_url=NOWHERE + path, max_wait_seconds=1), 75, "127.0.0.1")


@of(TapQuickBooksPayments, TargetQuickBooks)
def token_url(world, plugin):
    refused(used(world, plugin, token_url=NOWHERE, max_wait_seconds=1), 75, "token service")


@of(TapOpsMerge, TargetOpsMerge)
def api_key(world, plugin):
    ended = used(world, plugin, api_key="om_wrong_canary")
    refused(ended, 78, "API key")
    assert "canary" not in ended.err


@of(TapQuickBooksPayments, TargetQuickBooks)
def requests_per_minute(world, plugin):
    refused(used(world, plugin, requests_per_minute=1, max_wait_seconds=0), 75, "max_wait_seconds")


@of(TapQuickBooksPayments, TargetQuickBooks)
def requests_per_second(world, plugin):
    refused(used(world, plugin, requests_per_second=1, max_wait_seconds=0), 75, "max_wait_seconds")


@of(TapQuickBooksPayments, TargetQuickBooks)
def batches_per_minute(world, plugin):
    """A second batch within the minute waits; the tap sends none."""
    settings = {"batches_per_minute": 1, "max_wait_seconds": 0}
    if plugin is TapQuickBooksPayments:
        good(used(world, plugin, **settings))
    else:
        ended = world.push(invoice(world.number()), invoice(world.number()), batch_size=1, **settings)
        refused(ended, 75, "max_wait_seconds")


@of(TapQuickBooksPayments, TargetQuickBooks)
def http_timeout(world, plugin):
    """An answer that takes longer is given up."""
    world.quickbooks.control.fault("hang", path="*/companyinfo/*" if plugin is TargetQuickBooks else "*/query", times=9)
    ended = used(world, plugin, http_timeout=1, max_wait_seconds=1)
    world.quickbooks.state.faults.clear()
    refused(ended, 75)


@of(TapQuickBooksPayments, TargetQuickBooks)
def max_wait_seconds(world, plugin):
    refused(used(world, plugin, requests_per_minute=1, max_wait_seconds=2), 75, "max_wait_seconds")


# --- tap-opsmerge --------------------------------------------------------------------------------------------------


@of(TapOpsMerge, TapQuickBooksPayments)
def start_date(world, plugin):
    """Where there is no bookmark, what changed from then on is read; what the store knows is read whole."""
    if plugin is TapOpsMerge:
        blocks(world)
        assert good(world.run(plugin, start_date="2000-01-01T00:00:00Z")).rows("invoices")
        assert good(world.run(plugin, start_date="2090-01-01T00:00:00Z")).rows("invoices") == []
        return
    posted(world)
    world.quickbooks.control.real_time()
    first = good(world.run(plugin, start_date=_days_ago(2)))
    assert [row["seq"] for row in first.rows("postings")] == [1]
    assert {
        each["extract"]["mode"] for each in first.messages if each.get("stream") == "payments" and "extract" in each
    } == {"incremental"}
    state = world.folder / "state.json"
    state.write_text(json.dumps([each["value"] for each in first.messages if each["type"] == "STATE"][-1]))
    again = world.run(plugin, start_date=_days_ago(1), arguments=("--state", str(state)))
    assert (good(again).rows("postings"), again.rows("push_runs")) == ([], [])


def _days_ago(days: int) -> str:
    import pendulum

    return pendulum.now("UTC").subtract(days=days).to_iso8601_string()


def posted(world: Any) -> None:
    """One posting in the store."""
    row = {
        "connection": "sandbox:9341453000000001", "opsmerge_invoice_id": "om_1", "provider": "quickbooks",
        "company_id": "9341453000000001", "number": "INV-1", "outcome": "created", "external_id": "7", "attempts": 1,
        "seq": 1, "generation": 0, "content_sha256": "", "seen_sha256": "", "mapping_sha256": "", "record": "{}",
        "retry": False,
    }  # fmt: skip
    store = Store.open(world.store_url)
    with store.begin() as connection:
        connection.execute(insert(posting).values(**row))
    store.close()


@of(TapOpsMerge)
def page_size(world):
    """Small pages bring the same rows."""
    blocks(world), blocks(world)
    before = len(world.opsmerge.control.requests())
    whole = good(world.run(TapOpsMerge)).rows("invoices")
    middle = len(world.opsmerge.control.requests())
    assert good(world.run(TapOpsMerge, page_size=1)).rows("invoices") == whole
    assert len(world.opsmerge.control.requests()) - middle > middle - before


@of(TapOpsMerge)
def invoice_status(world):
    blocks(world)
    assert {row["status"] for row in good(world.run(TapOpsMerge, invoice_status=["open"])).rows("invoices")} == {"open"}
    assert good(world.run(TapOpsMerge, invoice_status="voided")).rows("invoices") == []
    refused(world.run(TapOpsMerge, invoice_status="lost"), 78, "invoice_status")


@of(TapOpsMerge, TapQuickBooksPayments)
def stream_maps(world, plugin):
    """A stream can be left out and a column added; what cannot be understood is refused."""
    stream = "clients" if plugin is TapOpsMerge else "accounts"
    assert good(world.run(plugin)).rows(stream)
    maps = {stream: {"name": "'x-' + name"}}
    assert all(row["name"].startswith("x-") for row in good(world.run(plugin, stream_maps=maps)).rows(stream))
    assert good(world.run(plugin, stream_maps={stream: None})).rows(stream) == []
    refused(world.run(plugin, stream_maps={stream: {"name": "no such("}}), 78, "stream_maps")


@of(TapOpsMerge, TapQuickBooksPayments)
def stream_map_config(world, plugin):
    stream = "clients" if plugin is TapOpsMerge else "accounts"
    maps = {stream: {"name": "config['tag']"}}
    rows = good(world.run(plugin, stream_maps=maps, stream_map_config={"tag": "T"})).rows(stream)
    assert {row["name"] for row in rows} == {"T"}


# --- tap-quickbooks-payments ---------------------------------------------------------------------------------------


@of(TapQuickBooksPayments)
def overlap_seconds(world):
    """Each read reaches back so far before the bookmark."""
    world.quickbooks.control.real_time()
    first = good(world.run(TapQuickBooksPayments))
    state = world.folder / "state.json"
    state.write_text(json.dumps([each["value"] for each in first.messages if each["type"] == "STATE"][-1]))
    asked = []
    for seconds in (0, 7200):
        before = len(world.quickbooks.control.requests())
        good(world.run(TapQuickBooksPayments, overlap_seconds=seconds, arguments=("--state", str(state))))
        asked.append([each for each in world.quickbooks.control.requests()[before:] if each["path"].endswith("/cdc")])
    assert asked[0], "the second run reads changes"
    assert asked[0][0]["query"] != asked[1][0]["query"]


@of(TapQuickBooksPayments)
def full_refresh(world):
    """Everything is read, whatever was read before."""
    first = good(world.run(TapQuickBooksPayments))
    state = world.folder / "state.json"
    state.write_text(json.dumps([each["value"] for each in first.messages if each["type"] == "STATE"][-1]))
    again = good(world.run(TapQuickBooksPayments, full_refresh=True, arguments=("--state", str(state))))
    assert again.counts["ACTIVATE_VERSION"] == 7


# --- target-quickbooks ---------------------------------------------------------------------------------------------


@of(TargetQuickBooks)
def mapping_file(world):
    """The file beats what OpsMerge carries; a key that nobody knows is refused."""
    path = world.folder / "mine.yml"
    path.write_text('version: 1\ntax_codes: {tx_1: {tax_code: "no such code"}}\n')
    number = world.number()
    good(world.push(invoice(number), mapping_file=str(path)))
    assert world.in_quickbooks(number) == 0
    path.write_text("version: 1\nfruit: {}\n")
    refused(world.push(invoice(number), mapping_file=str(path)), 78, "fruit")


@of(TargetQuickBooks)
def default_income_account(world):
    _item_is_made_with(world, "default_income_account")


@of(TargetQuickBooks)
def default_expense_account(world):
    _item_is_made_with(world, "default_expense_account")


def _item_is_made_with(world: Any, setting: str) -> None:
    """Without it a missing item is a rejection, with it the item is made; an account that is not there is refused."""
    number = world.number()
    line = {**LINE, "service_id": f"svc-{number}", "service_name": f"Service {number}"}
    good(world.push(invoice(number, lines=[line]), **{setting: None}))
    assert world.in_quickbooks(number) == 0
    refused(world.push(invoice(number, lines=[line]), **{setting: "No such account"}), 78, setting)
    good(world.push(invoice(number, lines=[line])))
    assert world.in_quickbooks(number) == 1


@of(TargetQuickBooks)
def batch_size(world):
    """Three invoices in one call each."""
    before = _batches(world)
    good(world.push(*(invoice(world.number()) for _ in range(3)), batch_size=1))
    assert _batches(world) - before == 3
    refused(world.push(batch_size=31), 78, "batch_size")


def _batches(world: Any) -> int:
    return sum(each["path"].endswith("/batch") for each in world.quickbooks.control.requests())


@of(TargetQuickBooks)
def settle_seconds(world):
    """A posting whose answer was lost is looked up by the next run, and is there once."""
    number = world.number()
    world.quickbooks.control.fault("cut_after", path="*/batch", times=1)
    good(world.push(invoice(number), settle_seconds=1))
    good(world.push(invoice(number), settle_seconds=1))
    assert world.in_quickbooks(number) == 1
    refused(world.push(settle_seconds=-1), 78, "settle_seconds")


@of(TargetQuickBooks)
def vat_difference(world):
    number = world.number()
    good(world.push(invoice(number), vat_difference="hold"))
    assert world.in_quickbooks(number) == 1
    refused(world.push(vat_difference="ignore"), 78, "vat_difference")


@of(TargetQuickBooks)
def post_from(world):
    """Earlier invoices are never posted."""
    number = world.number()
    good(world.push(invoice(number), post_from="2026-11-03"))
    assert world.in_quickbooks(number) == 0
    good(world.push(invoice(number), post_from="2026-11-02"))
    assert world.in_quickbooks(number) == 1


@of(TargetQuickBooks)
def dry_run(world):
    number = world.number()
    ended = good(world.push(invoice(number), dry_run=True))
    assert (ended.out, number in ended.err, world.in_quickbooks(number)) == ("", True, 0)


@of(TargetQuickBooks)
def plan_file(world):
    number = world.number()
    good(world.push(invoice(number), dry_run=True, plan_file=str(world.folder / "plans" / "mine.json")))
    assert number in (world.folder / "plans" / "mine.json").read_text()


@of(TargetQuickBooks)
def plan(world):
    """What the plan shows is posted, and nothing else."""
    planned, other = world.number(), world.number()
    path = str(world.folder / "plan.json")
    good(world.push(invoice(planned), dry_run=True, plan_file=path))
    good(world.push(invoice(planned), invoice(other), plan=path))
    assert (world.in_quickbooks(planned), world.in_quickbooks(other)) == (1, 0)


@of(TargetQuickBooks)
def fail_on_rejected(world):
    """65 after the others were posted and STATE has left."""
    fine = world.number()
    ended = world.push(invoice(world.number(), currency=None), invoice(fine), fail_on_rejected=True)
    assert (ended.code, ended.out, world.in_quickbooks(fine)) == (65, '{"upto": 1}\n', 1), ended.err


@of(TargetQuickBooks)
def duplicate_numbers_checked(world):
    """A person's answer, which production asks for (tests/target_quickbooks); another word is refused."""
    number = world.number()
    good(world.push(invoice(number), duplicate_numbers_checked="accepted"))
    assert world.in_quickbooks(number) == 1
    refused(world.push(invoice(number), duplicate_numbers_checked="maybe"), 78, "duplicate_numbers_checked")


@of(TargetOpsMerge)
def opsmerge_is_test(world):
    """A sandbox writes to an OpsMerge that is said to be a test one, and only shows what it would write to another."""
    ended = good(world.run(TargetOpsMerge, *blocks(world), STATE, opsmerge_is_test=False))
    assert "would be written" in ended.err
    ended = good(world.run(TargetOpsMerge, *blocks(world), STATE, opsmerge_is_test=True))
    assert "would be written" not in ended.err
    refused(world.run(TargetOpsMerge, *blocks(world), opsmerge_is_test="maybe"), 78, "opsmerge_is_test")


# --- target-duckdb -------------------------------------------------------------------------------------------------

ROWS = [
    schema("orders", "id", total={"type": ["number", "null"], "multipleOf": 0.01}, status={"type": "string"}),
    *(record("orders", {"id": str(each), "total": 1.10, "status": "open"}) for each in range(4)),
    STATE,
]


def loaded(
    world: Any, *lines: Any, table: str = "raw.orders", file: str = "build.duckdb", **settings: Any
) -> list[Any]:
    good(world.run(TargetDuckDB, *(lines or ROWS), **settings))
    with duckdb.connect(str(world.folder / file), read_only=True) as connection:
        return connection.execute(f"SELECT id, status, _sdc_deleted_at IS NULL FROM {table} ORDER BY id").fetchall()


@of(TargetDuckDB)
def path(world):
    assert len(loaded(world, path=str(world.folder / "new" / "other.duckdb"), file="new/other.duckdb")) == 4
    refused(world.run(TargetDuckDB, *ROWS, path="/dev/null/x.duckdb"), 78, "/dev/null")


@of(TargetDuckDB)
def schema_(world):
    assert len(loaded(world, schema='odd "name"', table='"odd ""name""".orders')) == 4


@of(TargetDuckDB)
def hard_delete(world):
    """What a complete read no longer holds is removed."""
    loaded(world)
    only = [{**ROWS[0]}, {**record("orders", {"id": "1", "status": "open"}), "version": 9}]
    gone = {"type": "ACTIVATE_VERSION", "stream": "orders", "version": 9}
    assert [row[0] for row in loaded(world, *only, gone, hard_delete=True)] == ["1"]


@of(TargetDuckDB)
def deleted_column(world):
    loaded(world)
    rows = loaded(
        world, ROWS[0], record("orders", {"id": "1", "total": None, "status": "deleted"}), deleted_column="id"
    )
    assert all(row[2] for row in rows)


@of(TargetDuckDB)
def deleted_value(world):
    loaded(world)
    rows = loaded(world, ROWS[0], record("orders", {"id": "1", "total": None, "status": "gone"}), deleted_value="gone")
    assert [row[0] for row in rows if not row[2]] == ["1"]


@of(TargetDuckDB)
def checkpoint_rows(world):
    """A STATE comes out on the way."""
    more = [record("orders", {"id": "9", "total": 1, "status": "open"}), {"type": "STATE", "value": {"upto": 2}}]
    ended = good(world.run(TargetDuckDB, *ROWS, *more, checkpoint_rows=2))
    assert len(ended.messages) == 2


@of(TargetDuckDB)
def batch_size_rows(world):
    assert len(loaded(world, batch_size_rows=1)) == 4


@of(TargetDuckDB)
def batch_size_mebibytes(world):
    assert len(loaded(world, batch_size_mebibytes=1)) == 4


@of(TargetDuckDB)
def memory_limit(world):
    assert len(loaded(world, memory_limit="100MB")) == 4
    refused(world.run(TargetDuckDB, *ROWS, memory_limit="plenty"), 78, "memory_limit")


@of(TargetDuckDB)
def lock_wait_seconds(world):
    assert len(loaded(world, lock_wait_seconds=0.5)) == 4


@pytest.mark.parametrize(("plugin", "name"), _cases())
def test_a_setting_does_what_its_page_says(sqlite_world, plugin, name):
    """Given another value than its default, the plugin runs well and shows the effect."""
    TRIES[plugin][name](sqlite_world)


# --- the utility plugin `books` ------------------------------------------------------------------------------------

BOOKS: dict[str, tuple[str, tuple[str, ...], int, str]] = {
    "ledger": ("sage", ("status",), 78, "there is no ledger 'sage'"),
    "webhook_verifier_tokens": ("old,new", ("webhooks", "log"), 0, ""),
    "redirect_uri": ("ftp://example.com/x", ("connect", "--no-browser", "--timeout", "1"), 78, "redirect_uri"),
    "alert_urls": ("nonsense://x", ("alerts", "--test"), 78, "BOOKS_ALERT_URLS"),
    "alert_quiet_hours": ("0", ("status",), 78, "alert_quiet_hours"),
    "monthly_reads": ("123456", ("status",), 0, "123,456"),
}
"""Value, command, exit code and a word of its output."""


def test_no_setting_of_books_is_left_untried():
    """As above, for the settings that meltano.yml declares."""
    plugins = yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]["utilities"]
    [books] = [each for each in plugins if each["name"] == "books"]
    assert set(BOOKS) == {each["name"] for each in books["settings"]}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_project(Path(tmp_path_factory.mktemp("settings")) / "project")


@pytest.mark.parametrize("name", BOOKS)
def test_a_setting_of_books_is_read(project, name):
    """Given another value than its default, the command that reads it shows so or refuses it by name."""
    value, words, code, word = BOOKS[name]
    done = project.command("books", *words, **{f"BOOKS_{name.upper()}": value})
    assert (done.code, word in done.out, "Traceback" in done.out) == (code, True, False), done.out
