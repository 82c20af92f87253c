"""`make catalogs`: what each tap of meltano.yml sends, written into `catalogs/`, so that no run has to discover it.

Meltano takes a tap's `catalog` as it is: no process for discovery, and no file that two runs write at once. What is
selected, and how it is replicated, stays in meltano.yml (`select`, `metadata`), from which this is made.
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

# No call is made and no store opened: what a tap can send does not depend on its settings.
SETTINGS = {
    "api_key": "om_none",
    "realm_id": "1",
    "client_id": "none",
    "client_secret": "none",
}


def main() -> int:
    """Write every catalog; say which have changed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    FOLDER.mkdir(exist_ok=True)
    for path, text in catalogs():
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)
            print(f"written: {path.relative_to(ROOT)}")
    return 0


def catalogs() -> Iterator[tuple[Path, str]]:
    """Each catalog's file and its text."""
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
