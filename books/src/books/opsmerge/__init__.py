"""Everything that is known and assumed about OpsMerge. `api` is the one place that describes its API.

api         calls, parameters and fields
client      make the calls
payments    payments as OpsMerge stores them
belonging   which connection may write an invoice there (pure)
contract    compare `api` with OpsMerge's own OpenAPI document (`books contract-check`)
settings    the address of OpsMerge and the API key

May import transport and core. Start with `api`.
"""

from books.opsmerge.client import OpsMergeClient, open_client
from books.opsmerge.settings import OpsMergeSettings

__all__ = ["OpsMergeClient", "OpsMergeSettings", "open_client"]
