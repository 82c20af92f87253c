"""Read and check the settings of the QuickBooks plugins; a wrong one is refused in a message that names it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

from books.core import redact
from books.core.faults import Exit, Halt

API_HOSTS = {
    "sandbox": "https://sandbox-quickbooks.api.intuit.com",
    "production": "https://quickbooks.api.intuit.com",
}
"""Intuit's API hosts by environment (Intuit, "REST API features"). Both use the same token host."""

TOKEN_HOST = "https://oauth.platform.intuit.com"  # noqa: S105 -- an address, not a secret
TOKEN_PATH = "/oauth2/v1/tokens/bearer"  # noqa: S105 -- a path, not a secret
AUTHORIZE_HOST = "https://appcenter.intuit.com"
AUTHORIZE_PATH = "/connect/oauth2"
REVOKE_HOST = "https://developer.api.intuit.com"
REVOKE_PATH = "/v2/oauth2/tokens/revoke"

REALM_ID = re.compile(r"[0-9]{1,20}")

BATCH_SIZE_MAX = 30
"""Operations in one batch (Intuit, "API call limits and throttles")."""


SETTLE_SECONDS_MIN = 300
"""In production: more than twice the 120 seconds after which Intuit gives up a request."""


def _property(kind: str, description: str, *, default: Any = None, secret: bool = False, **more: Any) -> dict[str, Any]:
    """Return one setting as JSON schema. Optional ones may be null; secrets have the flags of the Singer SDK."""
    kinds = [kind, "string"] if kind == "boolean" else [kind]  # also as text, so that a mistyped word can be refused
    schema: dict[str, Any] = {"type": [*kinds, "null"], "description": description, **more}
    if default is not None:
        schema["default"] = default
    if secret:
        schema |= {"secret": True, "writeOnly": True}
    return schema


QUICKBOOKS_PROPERTIES: dict[str, dict[str, Any]] = {
    "environment": _property(
        "string",
        "`sandbox` or `production`; picks the Intuit API host",
        default="sandbox",
        enum=["sandbox", "production", None],
    ),
    "realm_id": _property("string", "The company's id at Intuit: digits"),
    "client_id": _property("string", "The Intuit app's client id", secret=True),
    "client_secret": _property("string", "The Intuit app's client secret", secret=True),
    "refresh_token": _property(
        "string", "Seeds the token store once; a newly pasted one wins over the stored chain", secret=True
    ),
    "token_key": _property(
        "string",
        "Fernet key that encrypts tokens at rest; several, separated by commas: the first encrypts, all decrypt",
        secret=True,
    ),
    "store_url": _property(
        "string",
        "State shared by all processes: `sqlite:///<path>`, or `postgresql://...` when several machines work",
        default="sqlite:///.books/books.db",
    ),
    "api_url": _property("string", "Another API host; accepted only for loopback addresses (simulators, tests)"),
    "token_url": _property("string", "Another token host; accepted only for loopback addresses (simulators, tests)"),
    "requests_per_minute": _property("integer", "Calls a minute and company (Intuit allows 500)", default=450),
    "requests_per_second": _property("integer", "Calls a second and company (Intuit allows 10)", default=8),
    "batches_per_minute": _property("integer", "Batches a minute and company (Intuit allows 40)", default=36),
    "http_timeout": _property(
        "integer", "Seconds to wait for an answer (Intuit gives up at 120); connecting may take 10", default=130
    ),
    "max_wait_seconds": _property(
        "integer", "Longest wait for grants or Retry-After; beyond it the run ends with exit code 75", default=300
    ),
}
"""The settings that both QuickBooks plugins have, as JSON schema properties."""

QUICKBOOKS_REQUIRED = ("realm_id", "client_id", "client_secret")

TARGET_PROPERTIES: dict[str, dict[str, Any]] = {
    "mapping_file": _property(
        "string", "Services, tax codes and clients by hand; a missing file is an empty one", default="mappings.yml"
    ),
    "default_income_account": _property("string", "Name of an income account: lets a missing item be created"),
    "default_expense_account": _property("string", "Name of an expense account: lets a missing item be created"),
    "batch_size": _property("integer", "Invoices in one call, 1 to 30", default=30, minimum=1, maximum=BATCH_SIZE_MAX),
    "settle_seconds": _property(
        "integer",
        "How long an unknown posting rests before it may be sent again; at least 300 in production",
        default=900,
        minimum=0,
    ),
    "duplicate_numbers_checked": _property(
        "string",
        "`yes`: a person saw that QuickBooks warns of duplicate numbers; `accepted`: it does not, and you accept that. "
        "Required in production",
        enum=["yes", "accepted", None],
    ),
    "vat_difference": _property(
        "string",
        "`post` or `hold` when QuickBooks' VAT will differ from OpsMerge's by proved rounding",
        default="post",
        enum=["post", "hold", None],
    ),
    "post_from": _property(
        "string",
        "Go-live date (YYYY-MM-DD): earlier invoices are never posted, only adopted. Required in production",
        format="date",
    ),
    "dry_run": _property("boolean", "Plan only: read QuickBooks, write nothing there, emit no STATE", default=False),
    "plan_file": _property("string", "Where a dry run writes its plan, besides stderr"),
    "plan": _property("string", "A plan file: create exactly what it shows, and hold everything else"),
    "fail_on_rejected": _property("boolean", "End with exit code 65 when records were rejected", default=False),
}
"""What target-quickbooks adds, as JSON schema properties."""

TAP_PROPERTIES: dict[str, dict[str, Any]] = {
    "start_date": _property(
        "string", "Read changes from this moment on, when there is no bookmark yet", format="date-time"
    ),
    "overlap_seconds": _property(
        "integer", "How far each read reaches back before the bookmark", default=300, minimum=0
    ),
    "full_refresh": _property("boolean", "Read every stream completely, in the order of creation", default=False),
}
"""What tap-quickbooks-payments adds, as JSON schema properties."""


WATCH_PROPERTIES: dict[str, dict[str, Any]] = {
    "alert_urls": _property(
        "string", "Where alerts go: Apprise addresses (mailtos://, slack://, ...), separated by spaces", secret=True
    ),
    "alert_quiet_hours": _property(
        "integer", "Alert when no job has ended, or a frequent one has not ended well, for so long", default=3
    ),
    "monthly_reads": _property(
        "integer", "Metered reads a month that the Intuit app's tier allows (Builder: 500,000)", default=500_000
    ),
}
"""The alert settings of the utility plugin `books`, as JSON schema properties."""


def config_schema(added: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return a complete `config_jsonschema` for the Singer SDK: the shared settings and those that a plugin adds.

    It is a new object at each call, because the SDK adds its own settings to it.
    """
    return {
        "type": "object",
        "properties": {**QUICKBOOKS_PROPERTIES, **added},
        "required": list(QUICKBOOKS_REQUIRED),
    }


@dataclass(frozen=True)
class QuickBooksSettings:
    """One company at Intuit: address, credentials and limits. Secrets are left out of the repr."""

    realm_id: str
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    environment: str = "sandbox"
    refresh_token: str | None = field(default=None, repr=False)
    token_key: str | None = field(default=None, repr=False)
    store_url: str = field(default="sqlite:///.books/books.db", repr=False)
    api_url: str | None = None
    token_url: str | None = None
    requests_per_minute: int = 450
    requests_per_second: int = 8
    batches_per_minute: int = 36
    http_timeout: int = 130
    max_wait_seconds: int = 300

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, needs_realm: bool = True) -> QuickBooksSettings:
        """Read a plugin's configuration. Unknown settings belong to another plugin, and are ignored.

        Without `needs_realm` the company may be missing: `realm_id` is empty until a person chooses one.

        Raises:
            Halt: MISCONFIGURED; the message names the setting and what it should be.
        """
        read = _Reader(config, QUICKBOOKS_PROPERTIES)
        wanted = needs_realm or read.text("realm_id") is not None
        settings = cls(
            environment=read.choice("environment"),
            realm_id=read.required("realm_id", REALM_ID, "the company's id: digits only") if wanted else "",
            client_id=read.required("client_id"),
            client_secret=read.required("client_secret"),
            refresh_token=read.text("refresh_token"),
            token_key=read.text("token_key"),
            store_url=str(read.text("store_url")),
            api_url=read.loopback_url("api_url"),
            token_url=read.loopback_url("token_url"),
            requests_per_minute=read.number("requests_per_minute", least=1),
            requests_per_second=read.number("requests_per_second", least=1),
            batches_per_minute=read.number("batches_per_minute", least=1),
            http_timeout=read.number("http_timeout", least=1),
            max_wait_seconds=read.number("max_wait_seconds", least=0),
        )
        redact.register((settings.client_id, settings.client_secret, settings.refresh_token, settings.token_key))
        return settings

    @property
    def connection(self) -> str:
        """The company's key in the store: `<environment>:<realm_id>`."""
        return f"{self.environment}:{self.realm_id}"

    @property
    def api_base(self) -> str:
        """The API's address without a trailing slash; `/v3/company/...` follows."""
        return (self.api_url or API_HOSTS[self.environment]).rstrip("/")

    @property
    def token_endpoint(self) -> str:
        """The address for token requests. `token_url` may be a host alone or the whole address."""
        return _endpoint(self.token_url or TOKEN_HOST, TOKEN_PATH)

    @property
    def authorize_endpoint(self) -> str:
        """The address of the consent page: on the host of `token_url` if that is set."""
        return (_host(self.token_url) if self.token_url else AUTHORIZE_HOST) + AUTHORIZE_PATH

    @property
    def revoke_endpoint(self) -> str:
        """The address for revoking tokens: on the host of `token_url` if that is set."""
        return _endpoint(_host(self.token_url) if self.token_url else REVOKE_HOST, REVOKE_PATH)


@dataclass(frozen=True)
class TargetSettings:
    """The settings of target-quickbooks: the company, and how to post to it."""

    quickbooks: QuickBooksSettings
    mapping_file: str = "mappings.yml"
    default_income_account: str | None = None
    default_expense_account: str | None = None
    batch_size: int = BATCH_SIZE_MAX
    settle_seconds: int = 900
    duplicate_numbers_checked: str | None = None
    vat_difference: str = "post"
    post_from: date | None = None
    dry_run: bool = False
    plan_file: str | None = None
    plan: str | None = None
    fail_on_rejected: bool = False

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TargetSettings:
        """Read the target's configuration.

        Raises:
            Halt: MISCONFIGURED; the message names the setting and what it should be.
        """
        read = _Reader(config, TARGET_PROPERTIES)
        settings = cls(
            quickbooks=QuickBooksSettings.from_config(config),
            mapping_file=str(read.text("mapping_file")),
            default_income_account=read.text("default_income_account"),
            default_expense_account=read.text("default_expense_account"),
            batch_size=read.number("batch_size", least=1, most=BATCH_SIZE_MAX),
            settle_seconds=read.number("settle_seconds", least=0),
            duplicate_numbers_checked=read.optional_choice("duplicate_numbers_checked"),
            vat_difference=read.choice("vat_difference"),
            post_from=read.day("post_from"),
            dry_run=read.flag("dry_run"),
            plan_file=read.text("plan_file"),
            plan=read.text("plan"),
            fail_on_rejected=read.flag("fail_on_rejected"),
        )
        if settings.quickbooks.environment == "production" and settings.post_from is None:
            raise _refusal("post_from", "is required in production: the date from which invoices are posted")
        if settings.quickbooks.environment == "production" and settings.settle_seconds < SETTLE_SECONDS_MIN:
            raise _refusal(
                "settle_seconds",
                f"must be at least {SETTLE_SECONDS_MIN} in production, not {settings.settle_seconds}: a request whose "
                "answer was lost may still arrive",
            )
        return settings


@dataclass(frozen=True)
class TapSettings:
    """The settings of tap-quickbooks-payments: the company, and how far to read."""

    quickbooks: QuickBooksSettings
    start_date: str | None = None
    overlap_seconds: int = 300
    full_refresh: bool = False

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TapSettings:
        """Read the tap's configuration.

        Raises:
            Halt: MISCONFIGURED; the message names the setting and what it should be.
        """
        read = _Reader(config, TAP_PROPERTIES)
        return cls(
            quickbooks=QuickBooksSettings.from_config(config),
            start_date=read.text("start_date"),
            overlap_seconds=read.number("overlap_seconds", least=0),
            full_refresh=read.flag("full_refresh"),
        )


@dataclass(frozen=True)
class WatchSettings:
    """The alert settings: whom to notify, and from when on."""

    alert_urls: str = field(default="", repr=False)
    alert_quiet_hours: int = 3
    monthly_reads: int = 500_000

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> WatchSettings:
        """Read the utility plugin's configuration.

        Raises:
            Halt: MISCONFIGURED; the message names the setting and what it should be.
        """
        read = _Reader(config, WATCH_PROPERTIES)
        return cls(
            alert_urls=read.text("alert_urls") or "",
            alert_quiet_hours=read.number("alert_quiet_hours", least=1),
            monthly_reads=read.number("monthly_reads", least=1),
        )


class _Reader:
    """Reads single settings. An empty text counts as not set: an unset `${VARIABLE}` becomes one."""

    def __init__(self, config: Mapping[str, Any], properties: Mapping[str, Mapping[str, Any]]) -> None:
        self._config = config
        self._properties = properties

    def _value(self, name: str) -> Any:
        value = self._config.get(name)
        value = value.strip() if isinstance(value, str) else value
        return self._properties[name].get("default") if value in (None, "") else value

    def text(self, name: str) -> str | None:
        """Return a text, or None if it is not set."""
        value = self._value(name)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)  # YAML reads an unquoted id as a number
        raise _refusal(name, f"must be a text, not {type(value).__name__}")

    def required(self, name: str, shape: re.Pattern[str] | None = None, meaning: str = "") -> str:
        """Return a required text. Messages do not repeat the value: it may be a secret."""
        value = self.text(name)
        if value is None:
            raise _refusal(name, "is required")
        if shape and not shape.fullmatch(value):
            raise _refusal(name, f"must be {meaning}")
        return value

    def optional_choice(self, name: str) -> str | None:
        """Return one of the schema's values, or None if it is not set."""
        return None if self._value(name) is None else self.choice(name)

    def choice(self, name: str) -> str:
        """Return one of the schema's values."""
        value = self.text(name)
        allowed = [each for each in self._properties[name]["enum"] if each is not None]
        if value not in allowed:
            raise _refusal(name, f"must be {' or '.join(allowed)}, not {value!r}")
        return str(value)

    def number(self, name: str, *, least: int, most: int | None = None) -> int:
        """Return a whole number within bounds. Environment variables give it as text."""
        value = self._value(name)
        try:
            number = int(str(value)) if not isinstance(value, bool) else None
        except ValueError:
            number = None
        if number is None or number < least or (most is not None and number > most):
            bounds = f"from {least} to {most}" if most is not None else f"of at least {least}"
            raise _refusal(name, f"must be a whole number {bounds}, not {value!r}")
        return number

    def flag(self, name: str) -> bool:
        """Return true or false. Environment variables give it as text."""
        value = self._value(name)
        flags = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        flag = flags.get(str(value).lower())
        if flag is None:
            raise _refusal(name, f"must be true or false, not {value!r}")
        return flag

    def day(self, name: str) -> date | None:
        """Return a date given as YYYY-MM-DD, or None if it is not set."""
        value = self._value(name)
        if value is None or (isinstance(value, date) and type(value) is date):
            return value
        try:
            return datetime.strptime(str(value), "%Y-%m-%d").date()  # noqa: DTZ007 -- a day has no time zone
        except ValueError:
            raise _refusal(name, f"must be a date such as 2026-11-01, not {value!r}") from None

    def loopback_url(self, name: str) -> str | None:
        """Return an address on this machine, or None. Any other host is refused: tokens would be sent to it."""
        value = self.text(name)
        if value is not None and not is_loopback(value):
            raise _refusal(
                name, "is accepted only for this machine (http://127.0.0.1:<port>), for simulators and tests"
            )
        return value


def is_loopback(url: str) -> bool:
    """Return whether an http(s) address is on this machine: `localhost` or a loopback IP address, without a user."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
        if parts.scheme not in ("http", "https") or parts.username is not None or host is None:
            return False
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _endpoint(url: str, path: str) -> str:
    """Return the address itself if it has a path, else `path` on that host."""
    return url if urlsplit(url).path.strip("/") else url.rstrip("/") + path


def _refusal(name: str, problem: str) -> Halt:
    return Halt(
        f"setting {name} {problem}",
        exit_code=Exit.MISCONFIGURED,
        code="setting_refused",
        remedy=f"correct {name} in meltano.yml, the .env file of the environment or the shell",
    )
