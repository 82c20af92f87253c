"""Declare a setting once and read it: its type, default, bounds and words give the plugin's schema and the value.

    @dataclass(frozen=True, kw_only=True)
    class OneCompany(Settings):
        realm_id: str = setting("The company's id: digits", check=digits)
        http_timeout: int = setting("Seconds to wait for an answer", default=130, least=1)

A field without a default is required; `X | None` may be left out. A field whose type is itself a `Settings` is read
from the same configuration. Types: str, int, bool, date, a Literal of words, a tuple of words. msgspec converts them.
"""

from __future__ import annotations

import ipaddress
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from datetime import date
from typing import Annotated, Any, ClassVar, Literal, Self, Union, cast, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import msgspec

from books.core import redact
from books.core.faults import Exit, Halt

Check = Callable[[str], str]
"""Returns the text to use. Raises ValueError with what is wrong, to follow `setting NAME`: "must be ..."."""

FLAGS = {"yes": "true", "no": "false"}
"""Words for true and false that people use besides those that msgspec knows."""


@dataclass(frozen=True)
class _Declaration:
    words: str
    secret: bool = False
    least: int | None = None
    most: int | None = None
    check: Check | None = None
    schema: Mapping[str, Any] = field(default_factory=dict)


def setting(
    words: str,
    *,
    default: Any = MISSING,
    secret: bool = False,
    least: int | None = None,
    most: int | None = None,
    check: Check | None = None,
    **schema: Any,
) -> Any:
    """Declare one setting: what it means, with its unit. Secrets are left out of the repr and masked in every message.

    `schema` adds keywords of JSON schema, such as `format`. Without `default` the setting is required.
    """
    declaration = _Declaration(words, secret, least, most, check, schema)
    return field(default=default, repr=not secret, metadata={"setting": declaration})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings that were read and checked."""

    may_be_missing: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, without: str = "") -> Self:
        """Read a plugin's configuration. An empty text counts as not set: an unset `${VARIABLE}` becomes one.

        `without` names a required setting that may be missing: it is read as an empty text.

        Raises:
            Halt: MISCONFIGURED; the message names the setting and what it should be, never a secret.
        """
        values: dict[str, Any] = {}
        for each, kind in _fields(cls):
            if isinstance(kind, type) and issubclass(kind, Settings):
                values[each.name] = kind.from_config(config, without=without)
            else:
                values[each.name] = _read(each, kind, config.get(each.name), required=each.name != without)
        settings = cls(**values)
        redact.register(getattr(settings, name) for name in _secret(cls))
        settings.check()
        return settings

    @classmethod
    def properties(cls) -> dict[str, dict[str, Any]]:
        """Return every setting as a JSON schema property, new at each call. Optional ones may be null."""
        found: dict[str, dict[str, Any]] = {}
        for each, kind in _fields(cls):
            if isinstance(kind, type) and issubclass(kind, Settings):
                found |= kind.properties()
            else:
                found[each.name] = _property(each, kind)
        return found

    @classmethod
    def required(cls) -> list[str]:
        """Return the names of the settings without a default."""
        found: list[str] = []
        for each, kind in _fields(cls):
            if isinstance(kind, type) and issubclass(kind, Settings):
                found += kind.required()
            elif each.default is MISSING:
                found.append(each.name)
        return found

    @classmethod
    def config_schema(cls) -> dict[str, Any]:
        """Return a plugin's `config_jsonschema`, new at each call, because the Singer SDK adds its own to it."""
        return {"type": "object", "properties": cls.properties(), "required": cls.required()}

    def check(self) -> None:
        """Raise Halt (`refusal`) where two settings do not go together."""


def _fields(cls: type[Settings]) -> Iterator[tuple[Field[Any], Any]]:
    kinds = get_type_hints(cls)
    return ((each, kinds[each.name]) for each in fields(cls))


def _secret(cls: type[Settings]) -> list[str]:
    return [each.name for each in fields(cls) if "setting" in each.metadata and _declared(each).secret]


def _declared(each: Field[Any]) -> _Declaration:
    return cast("_Declaration", each.metadata["setting"])


def _bare(kind: Any) -> Any:
    """Return a type without its `| None`."""
    if get_origin(kind) in (Union, types.UnionType):
        [kind] = [each for each in get_args(kind) if each is not type(None)]
    return kind


def _read(each: Field[Any], kind: Any, value: Any, *, required: bool) -> Any:
    declared, bare = _declared(each), _bare(kind)
    value = value.strip() if isinstance(value, str) else value
    if value in (None, ""):
        if each.default is not MISSING:
            return each.default
        if required:
            raise refusal(each.name, "is required")
        return ""
    try:
        read = msgspec.convert(_as_text(value, bare), _bounded(bare, declared), strict=False)
        return declared.check(read) if declared.check else read
    except msgspec.ValidationError:
        raise refusal(each.name, _expected(bare, declared, value)) from None
    except ValueError as error:
        raise refusal(each.name, str(error)) from None


def _as_text(value: Any, kind: Any) -> Any:
    """Return a value in the form that msgspec reads: YAML reads an unquoted id as a number, people say yes and no."""
    if kind is str and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if kind is bool and isinstance(value, str):
        return FLAGS.get(value.lower(), value)
    return value


def _bounded(kind: Any, declared: _Declaration) -> Any:
    return Annotated[kind, msgspec.Meta(ge=declared.least, le=declared.most)] if kind is int else kind


def _expected(kind: Any, declared: _Declaration, value: Any) -> str:
    """Return what a setting must be. The value is repeated only where it is no text: that may be a secret."""
    if kind is str:
        return f"must be a text, not {type(value).__name__}"
    if kind is int:
        most = declared.most
        bounds = f"from {declared.least} to {most}" if most is not None else f"of at least {declared.least}"
        return f"must be a whole number {bounds}, not {value!r}"
    if kind is bool:
        return f"must be true or false, not {value!r}"
    if kind is date:
        return f"must be a date such as 2026-11-01, not {value!r}"
    if get_origin(kind) is Literal:
        return f"must be {' or '.join(get_args(kind))}, not {value!r}"
    return f"must be a list, not {type(value).__name__}"


def _property(each: Field[Any], kind: Any) -> dict[str, Any]:
    """Return one setting as JSON schema, with the Singer SDK's flags for a secret."""
    declared, bare = _declared(each), _bare(kind)
    schema: dict[str, Any] = {"type": [*_TYPES.get(bare, ("string",)), "null"], "description": declared.words}
    if get_origin(bare) is Literal:
        schema["enum"] = [*get_args(bare), None]
    if bare is date:
        schema["format"] = "date"
    bounds = {"minimum": declared.least, "maximum": declared.most}
    schema |= {name: bound for name, bound in bounds.items() if bound is not None} | dict(declared.schema)
    if each.default not in (MISSING, None):
        schema["default"] = each.default
    if declared.secret:
        schema |= {"secret": True, "writeOnly": True}
    return schema


_TYPES: dict[Any, tuple[str, ...]] = {
    int: ("integer",),
    bool: ("boolean", "string"),  # also as text, so that a mistyped word can be refused
}


def refusal(name: str, problem: str, remedy: str = "") -> Halt:
    """Return the fault for a setting that cannot be used."""
    return Halt(
        f"setting {name} {problem}",
        exit_code=Exit.MISCONFIGURED,
        code="setting_refused",
        remedy=remedy or f"correct {name} in meltano.yml, the .env file of the environment or the shell",
    )


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


def loopback_only(url: str) -> str:
    """Return an address on this machine; a `Check`: tokens would be sent to any other host."""
    if not is_loopback(url):
        raise ValueError("is accepted only for this machine (http://127.0.0.1:<port>), for simulators and tests")
    return url


def host_of(url: str) -> str:
    """Return an address without its path."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def endpoint(url: str, path: str) -> str:
    """Return the address itself if it has a path, else `path` on that host."""
    return url if urlsplit(url).path.strip("/") else url.rstrip("/") + path
