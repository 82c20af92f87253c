"""`make catalogs`: write the catalog of each tap of meltano.yml into `catalogs/`, so that no run needs discovery.

Meltano uses a tap's `catalog` as it is: no discovery process, and no file that two runs write at once. The selection
and replication settings stay in meltano.yml (`select`, `metadata`); the catalogs are generated from them.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog
import yaml
from meltano.core.plugin.singer.catalog import MetadataExecutor, select_metadata_rules
from meltano.core.plugin.singer.tap import config_metadata_rules

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "catalogs"

TAPS = {"tap-opsmerge": "TapOpsMerge", "tap-quickbooks-payments": "TapQuickBooksPayments"}
EVERYTHING = ("*.*",)

# No call is made and no store opened: the catalog does not depend on these values.
SETTINGS = {
    "api_key": "om_none",
    "realm_id": "1",
    "client_id": "none",
    "client_secret": "none",
}


def main() -> int:
    """Write every catalog; print which have changed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    FOLDER.mkdir(exist_ok=True)
    for path, text in catalogs():
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)
            print(f"written: {path.relative_to(ROOT)}")
    return 0


def catalogs() -> Iterator[tuple[Path, str]]:
    """Yield each catalog's file and text."""
    plugins = {
        each["name"]: each for each in yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]["extractors"]
    }
    for name, plugin in plugins.items():
        parent = plugins[plugin.get("inherit_from", name)]
        yield FOLDER / f"{name}.json", _catalog(parent["name"], {**parent, **plugin})


def _catalog(tap_name: str, plugin: Mapping[str, Any]) -> str:
    module = importlib.import_module(tap_name.replace("-", "_") + ".tap")
    tap = getattr(module, TAPS[tap_name])(config=SETTINGS, validate_config=False)
    catalog = json.loads(tap.catalog_json_text)
    rules = [
        *select_metadata_rules(["!*.*"]),
        *select_metadata_rules(plugin.get("select", EVERYTHING)),
        *config_metadata_rules(plugin.get("metadata", {})),
    ]
    MetadataExecutor(rules).visit(catalog)
    return json.dumps(catalog, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.exit(main())
