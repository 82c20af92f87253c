"""A simulator of the part of OpsMerge's HTTP API that billing uses."""

from sandbox.opsmerge.app import create_app
from sandbox.opsmerge.state import OpsMergeState

__all__ = ["OpsMergeState", "create_app"]
