"""The sections of `make bench` about the warehouse: reconciliation, report and loader, each compared with others.

pandas, Polars and the public target-duckdb are installed into environments made for the run. If the package registry
cannot be reached, a line says so instead.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from tables import table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BIN = Path(sys.executable).parent
SIZES = (10_000, 100_000, 1_000_000)
REPORT_INVOICES = 100_000
REPORT_CPU_SECONDS_MAX = 20  # twice the goal, since a second of CPU does less where cores are shared
PUBLIC_TARGET = "target-duckdb==0.8.0"
FRAMES = ("pandas==3.1.1", "polars==2.1.0", "duckdb==1.5.6")
LOADED = (10_000, 100_000, 500_000, 1_000_000)
COMPARED = 100_000
KIBIBYTE = 1024

NONE = "\u2013"
# A process inherits the peak memory of its parent: a small process in between keeps ours out of the figure.
MEASURE = """
import json, os, sys, time
started = time.perf_counter()
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as out:
    json.dump([time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss], out)
sys.exit(os.waitstatus_to_exitcode(status))
"""

WORLD = (HERE / "world.sql").read_text()
FLAT = {
    "own": "select id, number, {net}, {tax} from raw_opsmerge.invoices",
    "ledger": "select id as external_id, doc_number as number, {net_amount}, {tax_amount} from raw_quickbooks.invoices",
    "postings": "select opsmerge_invoice_id as id, external_id from raw_quickbooks.postings",
    "lines": (
        "select id, line ->> 'tax_code_id' as code, cast(line ->> 'tax_rate' as bigint) as rate,"
        " cast(round(cast(line ->> 'net_amount' as decimal(18,2)) * 100) as bigint) as net"
        " from (select id, unnest(cast(lines as json[])) as line from raw_opsmerge.invoices)"
    ),
    "own_payments": "select external_id as key, {amount} from raw_opsmerge.payments",
    "ledger_payments": (
        "select realm_id || ':' || id || ':' || (one ->> 'transaction_id') as key,"
        " cast(round(cast(one ->> 'amount' as decimal(18,2)) * 100) as bigint) as amount"
        " from (select realm_id, id, unnest(cast(allocations as json[])) as one from raw_quickbooks.payments)"
    ),
}
PENNIES = {
    "net": "subtotal",
    "tax": "tax_total",
    "net_amount": "net_amount",
    "tax_amount": "tax_amount",
    "amount": "amount",
}


@dataclass(frozen=True)
class Cost:
    """The cost of a process."""

    seconds: float
    cpu_seconds: float
    peak_mebibytes: float
    printed: str


def measured(command: list[Any], *, stdin: Path | None = None, **variables: Any) -> Cost:
    """Run a command and return its cost.

    Raises:
        RuntimeError: it failed.
    """
    source = stdin.open("rb") if stdin else subprocess.DEVNULL
    with tempfile.NamedTemporaryFile("r") as figures:
        done = subprocess.run(
            [sys.executable, "-S", "-c", MEASURE, figures.name, *(str(part) for part in command)],
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, **{name: str(value) for name, value in variables.items()}},
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command[:3]} ended with {done.returncode}:\n{done.stdout[-2000:]}")
        seconds, cpu_seconds, kibibytes = json.load(figures)
    return Cost(seconds, cpu_seconds, kibibytes / KIBIBYTE, done.stdout)


def environment(folder: Path, *packages: str) -> Path | None:
    """Return the Python of a new environment with these packages; None if they cannot be installed."""
    uv = BIN / "uv"
    made = [[uv, "venv", "-q", "--python", sys.executable, folder]]
    made.append([uv, "pip", "install", "-q", "--compile-bytecode", "--python", folder / "bin" / "python", *packages])
    for command in made:
        if subprocess.run([str(part) for part in command], check=False, capture_output=True).returncode != 0:
            return None
    return folder / "bin" / "python"


def load_now() -> str:
    """Return the machine's load, to print beside figures that depend on it."""
    return f"{os.getloadavg()[0]:.1f}"


# Reconciliation and report.


def reconciliation() -> str:
    """Measure `dbt build` over two sides of n invoices, the core joins in pandas and Polars, and the report."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        busy = load_now()
        empty = folder / "empty.duckdb"
        _dbt(empty, folder)
        frames = environment(folder / "frames", *FRAMES)
        measures = [_reconciled(size, empty, folder, frames) for size in SIZES]
    rows = [_reconciled_row(one, before) for one, before in zip(measures, [None, *measures], strict=False)]
    columns = ["invoices a side", "dbt build s", "its CPU s", "growth of CPU", "peak MB", "report CPU s", "report MB"]
    columns += ["pandas CPU s", "pandas MB", "Polars CPU s", "Polars MB", "dbt to pandas", "dbt to Polars"]
    [worst] = [one.worst_report for one in measures if one.worst_report]
    without = "" if frames else " pandas and Polars were left out: the package registry could not be reached."
    return (
        f"## Reconciliation\n\n{table(columns, rows)}\n\n"
        "`dbt build` is the whole of it as users run it: start-up, staging from nested JSON, pairs, bridge, control"
        " totals, drift, history, and every test; all gates passed and nothing was unexplained in each run. Growth and"
        " ratios are of CPU seconds, which depend less on what else the machine does. pandas and Polars do the core"
        " only: link, pair, classify, prove the"
        " VAT, join the payments; they read flat columns from Parquet and write nothing. All three found the same"
        f" documents.{without} The report is page, workbook, CSV and Markdown, start-up included; with"
        f" {REPORT_INVOICES:,} breaks it took {worst.cpu_seconds:.1f} s of CPU and {worst.peak_mebibytes:,.0f} MB."
        " Sown: four kinds of drift, one invoice in a thousand each, and VAT pennies as they come. Load of the machine"
        " when this began:"
        f" {busy} on {os.cpu_count()} cores."
    )


@dataclass(frozen=True)
class Reconciled:
    """The costs of one size."""

    size: int
    build: Cost
    report: Cost
    worst_report: Cost | None
    """The report with as many breaks as there are invoices."""
    frames: dict[str, Cost]


def _reconciled(size: int, empty: Path, folder: Path, frames: Path | None) -> Reconciled:
    database = Path(shutil.copy(empty, folder / f"{size}.duckdb"))
    with duckdb.connect(str(database)) as connection:
        connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false")
        connection.execute(WORLD.replace("$n", str(size)))
        for name, query in FLAT.items():
            connection.execute(f"copy ({query.format_map(_pennies())}) to '{folder / name}.parquet'")
    others = {engine: _framed(frames, engine, folder) for engine in ("pandas", "polars") if frames}
    build = _dbt(database, folder)
    _require_right(database, [json.loads(each.printed)["found"] for each in others.values()])
    report = _reported(database, folder)
    worst = _reported_worst(database, folder) if size == REPORT_INVOICES else None
    database.unlink()
    return Reconciled(size, build, report, worst, others)


def _pennies() -> dict[str, str]:
    names = {"net_amount": "net", "tax_amount": "tax"}
    return {name: f"cast({column} * 100 as bigint) as {names.get(name, name)}" for name, column in PENNIES.items()}


def _framed(python: Path, engine: str, folder: Path) -> Cost:
    return measured([python, HERE / "dataframes.py", engine, folder])


def _dbt(database: Path, folder: Path) -> Cost:
    options = ["--project-dir", "transform", "--profiles-dir", "transform", "--target-path", folder / "target"]
    moment = json.dumps({"run_id": "bench", "run_at": "2026-11-22 06:02:00"})
    return measured(
        [BIN / "dbt", "build", *options, "--log-path", folder / "target", "--vars", moment],
        BOOKS_BUILD_DATABASE=database,
        BOOKS_ACCEPTED_FILE=folder / "accepted.yml",
    )


def _require_right(database: Path, others: list[dict[str, int]]) -> None:
    """Raise if a result is wrong: speed does not count then."""
    with duckdb.connect(str(database), read_only=True) as connection:
        failed = connection.execute("select check_name from recon.checks where is_gate and not ok").fetchall()
        [unexplained] = connection.execute("select sum(abs(unexplained)) from recon.control_totals").fetchone() or [
            None
        ]
        found = dict(connection.execute("select class, count(*) from recon.drift group by class").fetchall())
    if failed or unexplained != 0:
        raise RuntimeError(f"the reconciliation is not trusted: {failed}, unexplained {unexplained}")
    for other in others:
        if any(found.get(name, 0) != count for name, count in other.items()):
            raise RuntimeError(f"the engines disagree: {found} and {other}")


def _reported(database: Path, folder: Path) -> Cost:
    code = (
        "import sys; from pathlib import Path; from books.report import build_report;"
        " build_report(Path(sys.argv[1]), Path(sys.argv[2]), environment='sandbox')"
    )
    return measured([sys.executable, "-c", code, database, folder / "reports"])


def _reported_worst(database: Path, folder: Path) -> Cost:
    """Return the cost of the report if every invoice is a break: it may take longer, within limits."""
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            "insert into recon.drift select drift.* replace (drift_key || i as drift_key, number || '/' || i as number,"
            " opsmerge_invoice_id || '/' || i as opsmerge_invoice_id) from recon.drift, range(?) as copies(i)"
            " where bucket = 'break' limit ?",
            [REPORT_INVOICES, REPORT_INVOICES],
        )
    cost = _reported(database, folder)
    if cost.cpu_seconds > REPORT_CPU_SECONDS_MAX:
        raise RuntimeError(f"the report of {REPORT_INVOICES:,} breaks took {cost.cpu_seconds:.1f} s of CPU")
    return cost


def _reconciled_row(one: Reconciled, before: Reconciled | None) -> list[str]:
    pandas, polars = one.frames.get("pandas"), one.frames.get("polars")
    return [
        f"{one.size:,}",
        f"{one.build.seconds:.1f}",
        f"{one.build.cpu_seconds:.1f}",
        _ratio(one.build, before.build if before else None),
        f"{one.build.peak_mebibytes:,.0f}",
        f"{one.report.cpu_seconds:.1f}",
        f"{one.report.peak_mebibytes:,.0f}",
        *_framed_cells(pandas),
        *_framed_cells(polars),
        _ratio(one.build, pandas),
        _ratio(one.build, polars),
    ]


def _ratio(cost: Cost, other: Cost | None) -> str:
    return f"{cost.cpu_seconds / other.cpu_seconds:.1f} x" if other else NONE


def _framed_cells(cost: Cost | None) -> list[str]:
    return [f"{cost.cpu_seconds:.1f}", f"{cost.peak_mebibytes:,.0f}"] if cost else [NONE, NONE]


# The loader.

INVOICES = {
    "id": {"type": "string"},
    "number": {"type": ["string", "null"]},
    "issue_date": {"type": ["string", "null"], "format": "date"},
    "client_name": {"type": ["string", "null"]},
    "billing_address": {"type": ["object", "null"]},
    "lines": {"type": ["array", "null"], "items": {"type": "object"}},
    "subtotal": {"type": ["number", "null"], "multipleOf": 0.01},
    "tax_total": {"type": ["number", "null"], "multipleOf": 0.01},
    "total": {"type": ["number", "null"], "multipleOf": 0.01},
    "notes": {"type": ["string", "null"]},
    "updated_at": {"type": ["string", "null"], "format": "date-time"},
}


def loader() -> str:
    """Measure loading nested records into DuckDB: ours at several sizes, the public target at one of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        busy = load_now()
        public = environment(folder / "public", PUBLIC_TARGET)
        rows = [row for count in LOADED for row in _loaded(count, folder, public if count == COMPARED else None)]
    without = "" if public else f" {PUBLIC_TARGET} was left out: the package registry could not be reached."
    columns = [
        "target",
        "records",
        "first load s",
        "its CPU s",
        "again s",
        "peak MB",
        "records a second",
        "rows kept",
        "money as",
    ]
    return (
        f"## Loading DuckDB\n\n{table([*columns, 'CPU to ours'], rows)}\n\n"
        "One stream of nested invoices of 1 kB with one to five lines, merged by key, through the command as Meltano"
        " starts it, start-up included. Again: the same records once more, every row replaced. Rows kept is"
        f" count(*) after both.{without} Load of the machine when this began: {busy} on {os.cpu_count()} cores."
    )


def _loaded(count: int, folder: Path, public: Path | None) -> Iterator[list[str]]:
    records = folder / "records.singer"
    with records.open("w") as out:
        out.writelines(_singer(count))
    ours = _load_twice(BIN / "target-duckdb", {"path": str(folder / f"ours-{count}.duckdb"), "schema": "raw"}, records)
    yield _loaded_row("target-duckdb (this one)", count, ours, ours)
    if public is not None:
        config = {"filepath": str(folder / "public.duckdb"), "path": str(folder / "public.duckdb")}
        config["default_target_schema"] = "raw"
        theirs = _load_twice(public.with_name("target-duckdb"), config, records)
        yield _loaded_row(f"{PUBLIC_TARGET.replace('==', ' ')} (public)", count, theirs, ours)


Loaded = tuple[Cost, Cost, int, str]


def _load_twice(command: Path, config: dict[str, str], records: Path) -> Loaded:
    settings = records.with_name("config.json")
    settings.write_text(json.dumps(config))
    first, again = (measured([command, "--config", settings], stdin=records) for _ in range(2))
    code = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print(*c.execute(sys.argv[2]).fetchone())"
    )
    query = "select count(*), replace(any_value(typeof(total)), ' ', '') from raw.invoices"
    output = measured([command.with_name("python"), "-c", code, config["path"], query]).printed.split()
    return first, again, int(output[0]), output[1]


def _loaded_row(name: str, count: int, loaded: Loaded, ours: Loaded) -> list[str]:
    first, again, kept, money = loaded
    return [
        name,
        f"{count:,}",
        f"{first.seconds:.1f}",
        f"{first.cpu_seconds:.1f}",
        f"{again.seconds:.1f}",
        f"{max(first.peak_mebibytes, again.peak_mebibytes):,.0f}",
        f"{count / first.seconds:,.0f}",
        f"{kept:,}",
        money,
        _ratio(first, ours[0]),
    ]


def _singer(count: int) -> Iterator[str]:
    """Yield a SCHEMA, the records and a STATE, the same on every machine."""
    shape = {"type": "object", "properties": INVOICES}
    yield json.dumps({"type": "SCHEMA", "stream": "invoices", "key_properties": ["id"], "schema": shape}) + "\n"
    for number in range(count):
        yield json.dumps({"type": "RECORD", "stream": "invoices", "record": _invoice(number)}) + "\n"
    yield json.dumps({"type": "STATE", "value": {"upto": count}}) + "\n"


def _invoice(number: int) -> dict[str, Any]:
    dice = number * 2654435761 % 2**32
    lines = [
        {
            "id": f"li_{number}_{at}",
            "position": at,
            "description": f"Managed support, seat {dice >> at & 1023}",
            "quantity": 1 + (dice >> at & 7),
            "unit_price": (100 + (dice >> at & 65535)) / 100,
            "service_id": f"svc_{at}",
            "service_name": "Managed Support",
            "tax_code_id": "tx_1",
            "tax_code_name": "VAT Standard 20%",
            "tax_rate": 20,
            "net_amount": (100 + (dice >> at & 131071)) / 100,
            "tax_amount": (20 + (dice >> at & 32767)) / 100,
        }
        for at in range(1 + dice % 5)
    ]
    return {
        "id": f"inv_{number}",
        "number": f"INV-2026-{number:07}",
        "issue_date": f"2026-{1 + dice % 12:02}-{1 + dice % 28:02}",
        "client_name": f"Client {dice % 5000}",
        "billing_address": {
            "line1": f"{dice % 200} High Street",
            "city": "Leeds",
            "postcode": "LS1 1AA",
            "country": "GB",
        },
        "lines": lines,
        "subtotal": (dice % 10**8) / 100,
        "tax_total": (dice % 10**7) / 100,
        "total": (dice % 10**8 + dice % 10**7) / 100,
        "notes": None,
        "updated_at": "2026-11-22T06:00:00Z",
    }


SECTIONS: dict[str, Callable[[], str]] = {"reconciliation": reconciliation, "loader": loader}
