"""Everything one simulated QuickBooks Online is: companies, tokens, clock, switches, plans of trouble."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox.common import FaultPlan, RequestLog, SimClock
from sandbox.quickbooks import chart, codec, webhooks
from sandbox.quickbooks.books import Books
from sandbox.quickbooks.company import DEFAULT_REALM, Company
from sandbox.quickbooks.db import Database
from sandbox.quickbooks.limits import Limiter
from sandbox.quickbooks.oauth.consents import Consents
from sandbox.quickbooks.switches import Switches

CLIENT_ID, CLIENT_SECRET = "sandbox-client", "sandbox-secret"
REFRESH_TOKEN = "RT-sandbox-0001"  # noqa: S105 -- a simulator's, published


class QuickBooksState:
    """The simulator's state: in memory when `path` is None, else kept in that folder across restarts and kills.

    A fresh state has one British company (`company.DEFAULT_REALM`), one client and one refresh token for it.
    """

    def __init__(self, path: Path | str | None = None, *, clock: SimClock | None = None) -> None:
        self.db = Database(Path(path) if path is not None else None)
        self.clock = clock or SimClock()
        self.switches = Switches()
        self.faults = FaultPlan()
        self.log = RequestLog()
        self.limiter = Limiter()
        self.consents = Consents(self.db, self.clock, self.switches)
        self.webhooks = webhooks.Webhooks(self.db, self.clock, self.switches)
        self._books: dict[str, Books] = {}
        self._restore()
        self.clock.on_change.append(lambda moved: self._keep("clock", moved.snapshot()))

    def close(self) -> None:
        """Close the files."""
        self.db.close()

    def reset(self, setup: Mapping[str, Any] | None = None) -> None:
        """Reset everything; `setup` changes the default company.

        Raises:
            ValueError: an unknown setting; nothing is forgotten then.
        """
        company = Company()
        company.update(setup or {})
        self.db.empty()
        self.switches.__init__()  # type: ignore[misc] # the same object, because others hold it
        self.faults.clear()
        self.log.clear()
        self.limiter.clear()
        self._books.clear()
        self.webhooks.restore({})
        self.clock.real_time()
        self._begin(company)

    def companies(self) -> list[Books]:
        """Return the books of every company."""
        return list(self._books.values())

    def books(self, realm: str | None = None) -> Books | None:
        """Return the books of a company; without a realm, the default one's."""
        return self._books.get(realm or DEFAULT_REALM)

    def add_company(self, setup: Mapping[str, Any]) -> Books:
        """Open a company with an empty chart, or change the setup of one that exists.

        Raises:
            ValueError: an unknown setting.
        """
        realm = str(setup.get("realm") or DEFAULT_REALM)
        if not realm.isdigit():
            raise ValueError("realm must be digits")
        books = self._books.get(realm)
        company = books.company if books else Company(realm=realm)
        company.update(setup)
        self.save_company(company)
        return books or self._open(company, fresh=True)

    def save_company(self, company: Company) -> None:
        """Keep a changed setup."""
        self.db.run("INSERT OR REPLACE INTO company VALUES (?, ?)", company.realm, codec.encode(company.as_json()))

    def turn(self, changes: Mapping[str, Any]) -> None:
        """Set switches and store them.

        Raises:
            ValueError: see `Switches.update`.
        """
        self.switches.update(changes)
        self._keep("switches", self.switches.as_json())

    def keep_webhooks(self) -> None:
        """Keep the endpoints of webhooks."""
        self._keep("webhooks", self.webhooks.snapshot())

    @contextmanager
    def writing(self, books: Books, *, by_app: bool = False) -> Iterator[None]:
        """Run one request's writes: committed together with the notices they cause, or not at all.

        `by_app` distinguishes an app's write from a bookkeeper's, for the switch that suppresses an app's own notices.
        """
        books.changed.clear()
        with self.db.transaction():
            yield
            if self.switches.webhook_own_writes or not by_app:
                self.webhooks.note(books.realm, books.changed)
        books.changed.clear()

    def _keep(self, name: str, value: Any) -> None:
        self.db.run("INSERT OR REPLACE INTO setting VALUES (?, ?)", name, codec.encode(value))

    def _restore(self) -> None:
        settings = {str(name): codec.decode(value) for name, value in self.db.all("SELECT name, value FROM setting")}
        self.switches.update({**settings.get("switches", {})})
        if "clock" in settings:
            self.clock.restore(settings["clock"])
        self.webhooks.restore(settings.get("webhooks", {}))
        rows = self.db.all("SELECT setup FROM company ORDER BY realm")
        for (setup,) in rows:
            company = Company()
            company.update(codec.decode(setup))
            self._open(company, fresh=False)
        if not rows:
            self._begin(Company())

    def _begin(self, company: Company) -> None:
        with self.db.transaction():
            self.save_company(company)
            self._open(company, fresh=True)
            self.consents.add_client(CLIENT_ID, CLIENT_SECRET, company.environment)
            self.consents.grant(CLIENT_ID, company.realm, refresh_token=REFRESH_TOKEN)

    def _open(self, company: Company, *, fresh: bool) -> Books:
        books = Books(self.db, company, self.clock, self.switches)
        self._books[company.realm] = books
        if fresh:
            books.quiet = True
            chart.open_books(books)
            books.quiet = False
        return books
