"""Load so many rows of about 1 kB and print the peak memory in kilobytes: a process, so that the peak is its own."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from target_duckdb.database import Database
from target_duckdb.loader import Loader, Options
from target_duckdb.messages import Decoder

SCHEMA = b"""{"type": "SCHEMA", "stream": "s", "key_properties": ["id"], "schema": {"properties": {
"id": {"type": "integer"}, "lines": {"type": "array"}, "total": {"type": "number", "multipleOf": 0.01}}}}"""


def main(path: str, rows: int) -> None:
    loader = Loader(Database(Path(path), memory_limit="200MB"), Options(batch_rows=10_000), lambda _state: None)
    decoder = Decoder()
    loader.schema(decoder.decode(SCHEMA, 1))
    for number in range(rows):
        filler = f"{number * 2654435761 % 2**32:08x}" * 120
        line = f'{{"type":"RECORD","stream":"s","record":{{"id":{number},"lines":["{filler}"],"total":{number}.10}}}}'
        loader.record(decoder.decode(line, number))
    loader.finish()
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}\n")


main(sys.argv[1], int(sys.argv[2]))
