"""OpsMerge over HTTP: `api` is what is assumed of it, `client` makes the calls, `settings` says where and as whom."""

from books.opsmerge.client import OpsMergeClient, open_client
from books.opsmerge.settings import OpsMergeSettings

__all__ = ["OpsMergeClient", "OpsMergeSettings", "open_client"]
