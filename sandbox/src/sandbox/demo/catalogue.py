"""Who the demo's MSP works for and what it sells. Every name is invented.

QuickBooks side: about half of the customers and items are there already and are found by name; the rest are for the
bridge to create.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

STANDARD, REDUCED, ZERO_RATED, EXEMPT, OUTSIDE = "tax_1", "tax_2", "tax_3", "tax_4", "tax_5"
"""OpsMerge's five tax codes: 20 %, 5 %, 0 %, exempt, outside VAT."""


@dataclass(frozen=True)
class Client:
    """A client of the MSP. `in_quickbooks` is the customer it has in QuickBooks before the bridge first runs."""

    id: str
    name: str
    town: str
    in_quickbooks: str | None = None


@dataclass(frozen=True)
class Service:
    """Something the MSP sells, with its price for one unit.

    `item` is the QuickBooks item that OpsMerge's own mapping names, if any; `exists` says that the item (or one of the
    service's own name) is in QuickBooks already.
    """

    id: str
    name: str
    price: Decimal
    tax_code: str
    item: str | None = None
    exists: bool = False


_CLIENTS: tuple[tuple[str, str, bool], ...] = (
    ("Abbott & Sons Ltd", "Harrogate", True),
    ("O'Brien Joinery Ltd", "Leeds", True),
    ("D'Arcy & Co Solicitors", "York", False),
    ("Café Zoë Ltd", "Brighton", True),
    ("Müller Präzision UK Ltd", "Coventry", False),
    ("Siân Rees Architects", "Cardiff", True),
    ("Łukasz Nowak Transport", "Slough", False),
    ("Brontë Hall Care Homes", "Keighley", True),
    ("St. John's Parish Trust", "Derby", False),
    ("Smith, Jones & Partners LLP", "Bristol", True),
    ("Northgate Media Ltd", "Leeds", False),
    ("NORTHGATE MEDIA LTD", "Chester", False),
    ("Ashdown Veterinary Group", "Lewes", True),
    ("Beacon Hill Primary School", "Truro", True),
    ("Calder Valley Brewing Co.", "Hebden Bridge", False),
    ("Dunmore Estates", "Perth", True),
    ("Eversley Dental Practice", "Reading", True),
    ("Fenwick & Fenwick Opticians", "Durham", False),
    ("Glasshouse Interiors", "Sunderland", True),
    ("Hartley's Bakery (Wholesale) Ltd", "Bolton", False),
    ("Isle of Wight Chandlers", "Cowes", True),
    ("Jubilee Community Centre", "Oldham", False),
    ("Kestrel Logistics Ltd", "Daventry", True),
    ("Larkspur Garden Design", "Malvern", False),
    ("Meridian 0° Surveyors", "Greenwich", True),
    ("Nightingale Home Nursing", "Salisbury", True),
    ("Oakfield Letting Agents", "Ipswich", False),
    ("Penhaligon Fish Merchants", "Newlyn", True),
    ('Quill "Q" Publishing', "Oxford", False),
    ("Ravensworth Engineering plc", "Gateshead", True),
    ("Saffron Walden Cycles", "Saffron Walden", False),
    ("Thistle & Thorn Florists", "Stirling", True),
    ("Ullswater Outdoor Centre", "Penrith", False),
    ("Vale Royal Accountancy", "Northwich", True),
    ("Whitby Smokehouse", "Whitby", False),
    ("Xanthe Blake Photography", "Bath", True),
    ("Yarrow & Yates Chartered Surveyors", "Kelso", False),
    ("Zenith Flooring Solutions", "Luton", True),
    ("Ærø Shipping Agency", "Felixstowe", False),
    ("80/20 Fitness Studios", "Nottingham", True),
)

TWINS = {"cl_11": "Northgate Media Ltd (Leeds)", "cl_12": "Northgate Media Ltd (Chester)"}
"""Two clients whose names differ only in case. QuickBooks takes such names for one, so a person has to say which
customer is which: that is what the demo's mappings.yml is for."""

CLIENTS: tuple[Client, ...] = tuple(
    Client(f"cl_{n}", name, town, TWINS.get(f"cl_{n}", name if exists else None))
    for n, (name, town, exists) in enumerate(_CLIENTS, start=1)
)

_SERVICES: tuple[tuple[str, str, str, str | None, bool], ...] = (
    ("Managed Support (per user)", "42.50", STANDARD, "Managed Support", True),
    ("Managed Support (per server)", "85.00", STANDARD, "Managed Server", True),
    ("Microsoft 365 Business Premium", "18.12", STANDARD, None, True),
    ("Microsoft 365 Business Basic", "4.91", STANDARD, None, False),
    ("Cloud Backup (per 100 GB)", "7.35", STANDARD, "Backup", True),
    ("Endpoint Protection", "3.47", STANDARD, None, False),
    ("Email Security", "2.15", STANDARD, None, True),
    ("Leased Line 100 Mbps", "289.00", STANDARD, "Connectivity", True),
    ("Broadband FTTP", "46.95", STANDARD, "Connectivity", True),
    ("VoIP Extension", "8.73", STANDARD, None, False),
    ("Call Charges", "0.0173", STANDARD, None, True),
    ("Remote Labour", "78.20", STANDARD, "Labour", True),
    ("On-site Labour", "92.45", STANDARD, "Labour", True),
    ("Out-of-hours Labour", "138.75", STANDARD, None, False),
    ("Project Work (day rate)", "650.00", STANDARD, None, True),
    ("Hardware (resale)", "100.00", STANDARD, "Hardware", True),
    ("Smart Heating Controls (fitted)", "184.60", REDUCED, None, False),
    ("Printed User Handbook", "12.80", ZERO_RATED, None, False),
    ("Device Insurance", "6.40", EXEMPT, None, True),
    ("Companies House Fee (disbursement)", "34.00", OUTSIDE, None, False),
)

SERVICES: tuple[Service, ...] = tuple(
    Service(f"svc_{n}", name, Decimal(price), tax_code, item, exists)
    for n, (name, price, tax_code, item, exists) in enumerate(_SERVICES, start=1)
)
