"""All that is known and assumed of OpsMerge: `api` is the one place where its API is written down.

api         calls, parameters and fields, as assumed
client      makes the calls
payments    payments as OpsMerge keeps them
belonging   which connection may write an invoice there (pure)
contract    the assumption against OpsMerge's own description (`books contract-check`)
settings    where OpsMerge is, and as whom we come

May import transport and core. Start with `api`.
"""

from books.opsmerge.client import OpsMergeClient, open_client
from books.opsmerge.settings import OpsMergeSettings

__all__ = ["OpsMergeClient", "OpsMergeSettings", "open_client"]
