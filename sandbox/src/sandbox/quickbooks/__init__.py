"""A simulator of QuickBooks Online's Accounting API, version 3, minor version 75.

Use: `app = create_app(QuickBooksState())`, or with a folder to keep the books. See docs/quickbooks.md of the package.
"""

from sandbox.quickbooks.app import create_app
from sandbox.quickbooks.state import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, QuickBooksState

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN", "QuickBooksState", "create_app"]
