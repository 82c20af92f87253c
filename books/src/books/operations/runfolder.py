"""Meltano's folder `.meltano`: keep it private, delete what killed runs left, and run each step of a job only once.

During a run Meltano writes each plugin's settings, secrets included, into a file that everybody can read; a killed run
leaves it. And two runs of one job that were both started with `--force` share the tap's catalog and state files. Each
plugin of ours, and `books`, repairs that when it starts: Meltano has no hook for it.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from books.core import paths
from books.core.clock import Clock
from books.core.faults import Exit, Halt
from books.core.processes import Process, processes

try:
    import fcntl
except ImportError:  # pragma: no cover -- Windows
    fcntl = None  # type: ignore[assignment] # Meltano's own locks do not work there either

SETTINGS_FILES = "run/**/t*.*.config.json"
"""Where Meltano writes a plugin's settings: `tap.<uuid of the run>.config.json`, `target. ...`."""

CLOCK_SLACK_SECONDS = 5
"""How far the start of a process and the time of a file may differ."""

ALREADY_RUNNING = "already_running"

WORDS_MAX = 200

LOADED_SECONDS_MAX = 60
"""How long a refused run waits until the other one has read its files: Meltano deletes them once we have ended."""

LOADED_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Claim:
    """The run of Meltano that works on a step, since when, and whether its tap has read the files that both share."""

    pid: int
    key: str
    since: str
    words: str
    loaded: bool = False

    def is_alive(self) -> bool:
        """Return whether that process still runs."""
        return any((each.pid, each.key) == (self.pid, self.key) for each in processes())


def folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder in which Meltano keeps its files."""
    named = environment.get("MELTANO_SYS_DIR_ROOT", "").strip()
    return Path(named) if named else paths.project_root() / ".meltano"


def tidy(root: Path) -> None:
    """Make the folder private and delete the settings files of runs that have ended; never fail a run."""
    with suppress(OSError):
        mode = stat.S_IMODE(root.stat().st_mode)
        if mode & 0o077:
            root.chmod(mode & 0o700)
    files = [*root.glob(SETTINGS_FILES)]
    owners = [each for each in processes() if _writes_settings(each)] if files else []
    for file in files:
        with suppress(OSError):
            written_at = file.stat().st_mtime
            if not any(each.started_at <= written_at + CLOCK_SLACK_SECONDS for each in owners):
                file.unlink()


def _writes_settings(process: Process) -> bool:
    """Return whether a process is a Meltano that writes settings files: `meltano run ...`, not `books:webhooks`."""
    return _is_meltano(process) and not any(re.match(r"books(:|$)", word) for word in process.words)


def _command(meltano: Process) -> str:
    """Return the command line without paths, for example `meltano run push-invoices`."""
    names = [Path(word).name for word in meltano.words[:3]]
    return " ".join(["meltano", *meltano.words[names.index("meltano") + 1 :]])[:WORDS_MAX]


def _is_meltano(process: Process) -> bool:
    return "meltano" in (Path(word).name for word in process.words[:3])


def claim(root: Path, step: str, parent_pid: int, clock: Clock) -> Claim | None:
    """Claim a step for the Meltano that started us, as long as it runs; or return the running one that has it.

    Where no Meltano started us there is nothing to claim. Machines that share a store have a folder each.
    """
    meltano = next((each for each in processes() if each.pid == parent_pid and _is_meltano(each)), None)
    if meltano is None:
        return None
    with _locked(root, step) as file:
        other = _read(file)
        if other and (other.pid, other.key) == (meltano.pid, meltano.key):
            return None
        if other and other.is_alive():
            return other
        since = f"{clock.now().to_datetime_string()}Z"
        _write(file, Claim(meltano.pid, meltano.key, since, _command(meltano)))
    return None


def loaded(root: Path, step: str, parent_pid: int) -> None:
    """Record in the claim that the tap has read its files."""
    with _locked(root, step) as file:
        mine = _read(file)
        if mine and mine.pid == parent_pid:
            _write(file, replace(mine, loaded=True))


def wait_until_loaded(root: Path, step: str, other: Claim, clock: Clock) -> None:
    """Wait until the other run has read its files, has ended, or takes too long."""
    give_up_at = clock.monotonic() + LOADED_SECONDS_MAX
    while clock.monotonic() < give_up_at:
        with _locked(root, step) as file:
            now = _read(file)
        if now is None or now.loaded or (now.pid, now.key) != (other.pid, other.key) or not now.is_alive():
            return
        clock.sleep(LOADED_LOOK_SECONDS)


def at_work(root: Path) -> list[Claim]:
    """Return the runs of Meltano on this machine now, each by its first step."""
    found = {each for file in root.glob("run/*.claim") if (each := _read(file)) and each.is_alive()}
    by_pid = {each.pid: each for each in sorted(found, key=lambda each: each.since, reverse=True)}
    return sorted(by_pid.values(), key=lambda each: each.since)


def busy(step: str, other: Claim) -> Halt:
    """Return the fault for a run that found another one running."""
    return Halt(
        f"another run of {step} has been running since {other.since}, pid {other.pid} ({other.words}); "
        "this one changed nothing",
        exit_code=Exit.TRY_LATER,
        code=ALREADY_RUNNING,
        remedy="wait until it has ended; `books status` shows what is running",
    )


@contextmanager
def _locked(root: Path, step: str) -> Iterator[Path]:
    """Lock a step's claim file and yield its path."""
    path = root / "run" / f"{re.sub(r'[^A-Za-z0-9.-]+', ' ', step)}.claim"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield path
    finally:
        os.close(descriptor)


def _read(file: Path) -> Claim | None:
    try:
        return Claim(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _write(file: Path, claimed: Claim) -> None:
    file.write_text(json.dumps(asdict(claimed)))
