r"""From text to a statement: words, quoted values with `\'`, AND only."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sandbox.quickbooks import faults

TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:\\.|[^'\\])*')|(?P<op><=|>=|!=|<>|=|<|>)|(?P<mark>[(),*])|(?P<word>[A-Za-z0-9_.+:\-%]+))""",
    re.DOTALL,
)
OPERATORS = frozenset({"=", "<", ">", "<=", ">="})
UNSUPPORTED = frozenset({"OR", "NOT", "JOIN", "GROUP"})
QUERY_CHARACTERS_MAX = 100_000
CONDITIONS_MAX = 200
VALUES_MAX = 5000


@dataclass(frozen=True)
class Token:
    """A piece of the statement."""

    kind: str
    text: str


@dataclass(frozen=True)
class Condition:
    """`field operator value(s)`."""

    field: str
    operator: str
    values: tuple[str, ...]


@dataclass
class Statement:
    """A parsed query; numbers as written, not yet checked."""

    entity: str
    count: bool = False
    fields: list[str] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    order: list[tuple[str, bool]] = field(default_factory=list)
    """(field, descending)."""
    start: str | None = None
    most: str | None = None


def parse(text: str) -> Statement:
    """Read a query.

    Raises:
        ApiFault: 4000, naming what was met and what was expected.
    """
    return _Parser(_tokens(text)).statement()


def _error(what: str) -> faults.ApiFault:
    return faults.query_fault("4000", f"Error parsing query, QueryParserError: {what}")


def _tokens(text: str) -> list[Token]:
    if len(text) > QUERY_CHARACTERS_MAX:
        raise _error("the query is too long")
    tokens, position, text = [], 0, text.strip().rstrip(";").rstrip()
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise _error(f"Encountered {text[position : position + 20]!r} at column {position + 1}")
        tokens.append(Token(str(match.lastgroup), str(match.group(str(match.lastgroup)))))
        position = match.end()
    return tokens


def unquote(text: str) -> str:
    """Return the value of a quoted text: a backslash escapes the next character."""
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def statement(self) -> Statement:
        self._expect("SELECT")
        count, fields = self._projection()
        self._expect("FROM")
        statement = Statement(self._take("word").text, count, fields)
        if self._accept("WHERE"):
            self._where(statement)
        self._tail(statement)
        if self._at < len(self._tokens):
            raise _error(f"Encountered {self._tokens[self._at].text!r}")
        return statement

    def _projection(self) -> tuple[bool, list[str]]:
        if self._accept("*"):
            return False, []
        if self._accept("COUNT"):
            for mark in "(*)":
                self._expect(mark)
            return True, []
        fields = [self._take("word").text]
        while self._accept(","):
            if self._accept("*"):
                continue
            fields.append(self._take("word").text)
        return False, fields

    def _where(self, statement: Statement) -> None:
        bracket = self._accept("(")
        statement.conditions.append(self._condition())
        while self._accept("AND"):
            statement.conditions.append(self._condition())
            if len(statement.conditions) > CONDITIONS_MAX:
                raise _error("too many conditions")
        if bracket:
            self._expect(")")

    def _condition(self) -> Condition:
        name = self._take("word").text
        if name.upper() in UNSUPPORTED:
            raise _error(f"Encountered {name!r}")
        token = self._next()
        word = token.text.upper()
        if token.kind == "op" and token.text in OPERATORS:
            return Condition(name, token.text, (self._value(),))
        if token.kind == "word" and word == "LIKE":
            return Condition(name, "LIKE", (self._value(),))
        if token.kind == "word" and word == "IN":
            return Condition(name, "IN", self._values())
        raise _error(f"Encountered {token.text!r}, expected one of = < > <= >= IN LIKE")

    def _values(self) -> tuple[str, ...]:
        self._expect("(")
        values = [self._value()]
        while self._accept(","):
            values.append(self._value())
        self._expect(")")
        if len(values) > VALUES_MAX:
            raise _error("too many values")
        return tuple(values)

    def _value(self) -> str:
        token = self._next()
        if token.kind == "text":
            return unquote(token.text)
        if token.kind == "word":
            return token.text
        raise _error(f"Encountered {token.text!r}, expected a value")

    def _tail(self, statement: Statement) -> None:
        if self._accept("ORDERBY") or (self._peek("ORDER") and self._order_by()):
            statement.order.append(self._ordering())
            while self._accept(","):
                statement.order.append(self._ordering())
        while True:
            if self._accept("STARTPOSITION"):
                statement.start = self._next().text
            elif self._accept("MAXRESULTS"):
                statement.most = self._next().text
            else:
                return

    def _order_by(self) -> bool:
        self._expect("ORDER")
        self._expect("BY")
        return True

    def _ordering(self) -> tuple[str, bool]:
        name = self._take("word").text
        if self._accept("DESC"):
            return name, True
        self._accept("ASC")
        return name, False

    def _next(self) -> Token:
        if self._at >= len(self._tokens):
            raise _error("Encountered the end of the query")
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, kind: str) -> Token:
        token = self._next()
        if token.kind != kind:
            raise _error(f"Encountered {token.text!r}")
        return token

    def _peek(self, word: str) -> bool:
        here = self._tokens[self._at] if self._at < len(self._tokens) else None
        return here is not None and here.kind != "text" and here.text.upper() == word

    def _accept(self, word: str) -> bool:
        found = self._peek(word)
        self._at += found
        return found

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            here = self._tokens[self._at].text if self._at < len(self._tokens) else "the end of the query"
            raise _error(f"Encountered {here!r}, expected {word}")
