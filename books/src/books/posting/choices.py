"""What is meant by a line or an invoice, before the ledger was asked: pure.

Order of belief: the mapping file, then what OpsMerge carries, then the name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from books.ledgers.contract import Client, Invoice, Line, Service, SourceTaxCode
from books.posting.mappings import Mappings, Named
from books.posting.records import plain, sha256

BY_FILE = "mappings.yml"
BY_OPSMERGE = "OpsMerge's own mapping"
BY_NAME = "its name"
BY_STORED_ID = "the id stored when this client was first posted"
BY_CREATION = "created for it"
"""The ways in which a customer, item or tax code is found, in words."""


@dataclass
class Catalogue:
    """OpsMerge's own lists, as far as this run's input has them, and the names of the clients of its invoices."""

    services: dict[str, Service] = field(default_factory=dict)
    tax_codes: dict[str, SourceTaxCode] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    invoiced: dict[str, str] = field(default_factory=dict)
    """Client id to name, of the invoices."""

    def client_name(self, invoice: Invoice) -> str:
        """Return the client's name today; the invoice's where the list of clients does not have the client."""
        client = self.clients.get(invoice.client_id)
        return client.name if client else invoice.client_name

    def names(self) -> dict[str, str]:
        """Return client id to name, of all clients that are active or have an invoice here."""
        active = {client.id: client.name for client in self.clients.values() if client.active}
        invoiced = {key: self.clients[key].name if key in self.clients else name for key, name in self.invoiced.items()}
        return {**active, **invoiced}


@dataclass(frozen=True)
class Choices:
    """Which customer, item and tax code of the ledger the mapping file and OpsMerge name."""

    mappings: Mappings
    catalogue: Catalogue
    income_account: str | None = None
    expense_account: str | None = None

    def item(self, line: Line) -> Named:
        """Return the item of a line: the file's, what OpsMerge carries, else one of the service's own name."""
        return self.item_and_way(line)[0]

    def item_and_way(self, line: Line) -> tuple[Named, str]:
        """Return the item of a line, and by which way it was chosen."""
        chosen = self.mappings.service(line.service_id, line.service_name)
        if chosen is not None:
            return chosen, BY_FILE
        service = self.catalogue.services.get(line.service_id or "")
        if service is not None:
            way = BY_OPSMERGE if service.item else BY_NAME
            return Named(name=service.item or service.name or line.service_name), way
        return Named(name=line.service_name or line.service_id), BY_NAME

    def tax_code(self, line: Line) -> Named:
        """Return the tax code of a line, chosen in the same order."""
        return self.tax_code_and_way(line)[0]

    def tax_code_and_way(self, line: Line) -> tuple[Named, str]:
        """Return the tax code of a line, and by which way it was chosen."""
        chosen = self.mappings.tax_code(line.tax_code_id, line.tax_code_name)
        if chosen is not None:
            return chosen, BY_FILE
        code = self.catalogue.tax_codes.get(line.tax_code_id or "")
        if code is not None:
            way = BY_OPSMERGE if code.code else BY_NAME
            return Named(name=code.code or code.name or line.tax_code_name), way
        return Named(name=line.tax_code_name or line.tax_code_id), BY_NAME

    def tax_rate(self, line: Line) -> Decimal | None:
        """Return the rate that OpsMerge means, per cent; None where it names none."""
        if line.tax_rate is not None:
            return line.tax_rate
        code = self.catalogue.tax_codes.get(line.tax_code_id or "")
        return code.rate if code else None

    @cached_property
    def _clients_sha256(self) -> str:
        clients = sorted(self.mappings.clients.items())
        return sha256("\x1d".join(f"{client_id}\x1f{_to_text(named)}" for client_id, named in clients))

    def sha256(self, invoice: Invoice, vat_policy: str) -> str:
        """Return one hash of all that the mappings say about an invoice: when it changes, a refusal is tried again.

        Every client counts: mapping one of two clients of the same name settles the other.
        """
        parts = [vat_policy, self.income_account, self.expense_account, self._clients_sha256]
        for line in invoice.lines:
            parts += [_to_text(self.item(line)), _to_text(self.tax_code(line)), plain(self.tax_rate(line))]
        return sha256("\x1f".join(part or "" for part in parts))


def _to_text(named: Named) -> str:
    return f"{named.id or ''}\x1e{named.name or ''}"
