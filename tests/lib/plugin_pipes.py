"""A job of meltano.yml without Meltano: `tap | target`, with the settings, catalogs and STATE that Meltano gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from forked_commands import forks

STATES = ".pipes"
"""Where each pair's STATE is kept, in the project's folder."""


def run_pipes(root: Path, job: str, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run each `tap | target` of a job, up to the first that fails: its exit code, and what all have logged."""
    definition = yaml.safe_load((root / "meltano.yml").read_text())
    [tasks] = [each["tasks"] for each in definition["jobs"] if each["name"] == job]
    words = " ".join(tasks).split()
    settings = _settings(root, words, environment)
    logged = ""
    for tap, target in zip(words[::2], words[1::2], strict=True):
        code, told = _pipe(root, settings[tap], settings[target], environment)
        logged += told
        if code:
            return code, logged
    return 0, logged


def _settings(root: Path, names: list[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """What Meltano itself makes of meltano.yml and the environment, by plugin."""
    done = forks().run(["settings", *names], root, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def _pipe(root: Path, tap: Any, target: Any, environment: Mapping[str, str]) -> tuple[int, str]:
    step = root / STATES / f"{tap['name']}-to-{target['name']}"
    step.mkdir(parents=True, exist_ok=True)
    state = step / "state.json"
    words = ["--catalog", tap["catalog"], *(["--state", str(state)] if state.exists() else [])]
    environment = {
        **environment,
        **tap["variables"],
        "MELTANO_EXTRACTOR_NAME": tap["name"],
        "MELTANO_LOADER_NAME": target["name"],
    }
    read = _run(step, tap, words, root, environment)
    written = _run(step, target, [], root, environment, read.stdout)
    if states := written.stdout.splitlines():
        state.write_text(states[-1])
    return read.returncode or written.returncode, read.stderr + written.stderr


def _run(step: Path, plugin: Any, words: list[str], *where: Any) -> Any:
    """Run a plugin on a settings file that is gone afterwards, as with Meltano."""
    file = step / f"{plugin['name']}.config.json"
    file.write_text(json.dumps(plugin["settings"]))
    try:
        return forks().run([plugin["executable"], "--config", str(file), *words], *where)
    finally:
        file.unlink()
