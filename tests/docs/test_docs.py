"""What the documents name exists, and what exists is in the documents: commands, options, settings, jobs, targets."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from books.cli import group
from books.operations.settings import WatchSettings
from tap_opsmerge.tap import TapOpsMerge
from tap_quickbooks_payments.tap import TapQuickBooksPayments
from target_duckdb.target import TargetDuckDB
from target_opsmerge.target import TargetOpsMerge
from target_quickbooks.target import TargetQuickBooks

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = {
    each.name: each for each in (TapOpsMerge, TapQuickBooksPayments, TargetQuickBooks, TargetOpsMerge, TargetDuckDB)
}
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")])
HISTORY = ROOT / "CHANGELOG.md"
SDK_SETTINGS = re.compile(
    r"add_record_metadata|batch_config|batch_size_rows|faker_|flattening_|load_method|stream_map|validate_records"
)
VARIABLE = re.compile(r"\b(?:BOOKS|QUICKBOOKS|OPSMERGE|TAP|TARGET|DBT|MELTANO)_[A-Z0-9_]*[A-Z0-9]\b")
OF_THE_WIRING = {"QUICKBOOKS_ENVIRONMENT", "BOOKS_DEFAULT_STORE_URL", "QUICKBOOKS_API_URL", "QUICKBOOKS_TOKEN_URL"}
"""Variables that meltano.yml sets for itself, by environment: nobody has to."""


def snippets(text: str) -> Iterator[str]:
    """Everything in a page that is code: fenced and indented lines, and code within sentences."""
    fenced = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
    for block in fenced.findall(text):
        yield from block.splitlines()[1:-1]
    rest = fenced.sub("", text)
    yield from (line.strip() for line in rest.splitlines() if line.startswith("    "))
    yield from re.findall(r"`([^`\n]+)`", rest)


CODE = {page: list(snippets(page.read_text())) for page in PAGES if page != HISTORY}


def words_after(program: str, code: str) -> Iterator[list[str]]:
    """The words that follow each call of a program in a line of code, up to the end of that command."""
    for command in re.split(r"[;|&#]+ |\s#\s", code):
        try:
            words = shlex.split(command)
        except ValueError:
            words = command.split()
        for place, word in enumerate(words):
            if word == program or word.endswith(f"/bin/{program}"):
                yield words[place + 1 :]
                break


def called(words: list[str]) -> tuple[tuple[str, ...], set[str]] | None:
    """The command path and the options of one call of `books`; None where no command is named."""
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    values = {words[place + 1] for place, word in enumerate(words[:-1]) if word == "--environment"}
    plain = [word for word in words if re.fullmatch(r"[a-z][a-z-]*", word) and word not in values]
    if not plain or not words or (words[0] != plain[0] and not words[0].startswith("--")):
        return None
    path, place = [plain[0]], group.get_command(None, plain[0])
    if isinstance(place, click.Group) and plain[1:] and place.get_command(None, plain[1]):
        path.append(plain[1])
    return tuple(path), options


def command_at(path: tuple[str, ...]) -> click.Command | None:
    found: click.Command | None = group
    for name in path:
        found = found.get_command(None, name) if isinstance(found, click.Group) else None
    return found


def options_of(command: click.Command) -> set[str]:
    return {
        name for each in command.params if isinstance(each, click.Option) for name in (*each.opts, *each.secondary_opts)
    }


def all_commands() -> dict[tuple[str, ...], click.Command]:
    """Every command of `books` by its path; a group that does nothing by itself is none."""
    found = {}
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        subcommands = command.commands if isinstance(command, click.Group) else {}
        if not subcommands or command.invoke_without_command:
            found[name,] = command
        found |= {(name, each): sub for each, sub in subcommands.items()}
    return found


CALLS = [
    (page, call)
    for page, lines in CODE.items()
    for line in lines
    for words in words_after("books", line)
    if (call := called(words))
]


def test_every_command_and_option_in_the_documents_exists():
    """`books X --y` in any page: X is a command, --y one of its options."""
    for page, (path, options) in CALLS:
        command = command_at(path)
        assert command is not None, f"{page.name} names `books {' '.join(path)}`"
        known = options_of(command) | options_of(group) | {"--help"}
        if len(path) > 1:
            known |= options_of(command_at(path[:1]))
        assert options <= known, f"{page.name}: books {' '.join(path)} {options - known}"


def test_every_command_is_in_the_documents_with_every_option():
    """Nothing that `books --help` shows has to be found out there first."""
    named = {path for _page, (path, _options) in CALLS}
    options = {word.strip("[]").partition("=")[0] for lines in CODE.values() for line in lines for word in line.split()}
    commands = all_commands()
    assert {" ".join(path) for path in commands} - {" ".join(path) for path in named} == set()
    assert {
        f"{' '.join(path)} {option}"
        for path, command in commands.items()
        for option in options_of(command)
        if option.startswith("--") and option not in options
    } == set()


def meltano() -> dict:
    return yaml.safe_load((ROOT / "meltano.yml").read_text())


def plugins() -> dict[str, dict]:
    return {each["name"]: each for kind in meltano()["plugins"].values() for each in kind}


def test_the_utility_plugin_has_the_same_words():
    """Each command of `books` is one of the Meltano plugin `books`, under the same name, and the reverse."""
    commands = plugins()["books"]["commands"]
    assert set(commands) == set(group.list_commands(None))
    assert {name: each["args"].split()[0] for name, each in commands.items()} == {name: name for name in commands}


def settings_in(page: str) -> set[str]:
    """The names in the first column of the settings tables of a page."""
    section = page.partition("\n## Settings")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([a-z_]+)`", cell)}


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_s_page_lists_its_settings_and_no_other(name):
    """The table in its README against what `--about` says, both ways."""
    own = {each for each in PLUGINS[name].config_jsonschema["properties"] if not SDK_SETTINGS.match(each)}
    listed = settings_in((ROOT / name / "README.md").read_text())
    assert {each for each in listed if not SDK_SETTINGS.match(each)} == own


def test_the_settings_of_books_are_in_the_documents_and_the_reverse():
    """meltano.yml, the code and the tables name the same settings of the plugin `books`."""
    declared = {each["name"] for each in plugins()["books"]["settings"]}
    code = {line for lines in CODE.values() for line in lines}
    assert set(WatchSettings.properties()) <= declared
    assert declared <= code


def known_variables() -> set[str]:
    """Every variable that something reads: settings of plugins and of Meltano, meltano.yml, our own sources."""
    import meltano.core

    found = {
        f"{plugin}_{setting['name']}".upper().replace("-", "_").replace(".", "_")
        for plugin, each in plugins().items()
        for setting in each.get("settings", ())
    }
    own = yaml.safe_load((Path(meltano.core.__file__).parent.parent / "core" / "bundle" / "settings.yml").read_text())
    found |= {f"MELTANO_{each['name']}".upper().replace(".", "_") for each in own["settings"]}
    sources = [*ROOT.glob("*/src/**/*.py"), *ROOT.glob("scripts/*.py"), *ROOT.glob("transform/**/*.sql")]
    sources += [*ROOT.glob("transform/*.yml"), ROOT / "meltano.yml"]
    return found | {name for source in sources for name in VARIABLE.findall(source.read_text())}


def test_every_variable_in_the_documents_is_read_by_something():
    """A mistyped name in a document would be set and never read."""
    known = known_variables()
    named = {(page.name, name) for page, lines in CODE.items() for line in lines for name in VARIABLE.findall(line)}
    assert {each for each in named if each[1] not in known} == set()


def test_every_variable_of_the_wiring_is_in_the_documents():
    """What meltano.yml takes from the environment, and takes from nobody else, is told."""
    text = (ROOT / "meltano.yml").read_text()
    taken = set(re.findall(r"\$\{?([A-Z][A-Z_]+)\}?", text)) | set(re.findall(r"env_aliases: \[([A-Z_]+)\]", text))
    named = {name for lines in CODE.values() for line in lines for name in VARIABLE.findall(line)}
    assert {each for each in taken - named - OF_THE_WIRING if VARIABLE.fullmatch(each)} - {
        "MELTANO_ENVIRONMENT"
    } == set()


def test_every_make_target_in_the_documents_exists_and_the_reverse():
    """`make X` works for each X that a page names; each target that `make help` shows is in a page."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))
    named = {word[0] for lines in CODE.values() for line in lines for word in words_after("make", line) if word}
    named = {word for word in named if re.fullmatch(r"[a-z-]+", word)}
    assert named <= targets
    assert targets <= named


def test_every_job_in_the_documents_exists_and_the_reverse():
    """`meltano run X`: X is a job, a plugin or a plugin's command; each job is in a page."""
    definition = meltano()
    jobs = {job["name"] for job in definition["jobs"]}
    known = jobs | set(plugins())
    known |= {f"{name}:{each}" for name, plugin in plugins().items() for each in plugin.get("commands", ())}
    named = set()
    for lines in CODE.values():
        for words in (words for line in lines for words in words_after("meltano", line)):
            if "run" in words:
                named |= set(words[words.index("run") + 1 :])
            if "invoke" in words:
                named |= set(words[words.index("invoke") + 1 :][:1])  # what follows are arguments of the command
    named = {word for word in named if re.fullmatch(r"[a-z][a-z:-]*", word)}
    assert named <= known
    assert jobs <= named
    assert {schedule["job"] for schedule in definition["schedules"]} <= jobs


def test_every_link_leads_somewhere():
    """Links between pages, and to files."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if not re.match(r"[a-z]+:|#", target):
                assert (page.parent / target.partition("#")[0]).exists(), f"{page.name}: {target}"


def test_the_parts_of_this_test_see_what_they_look_for():
    """A line of code as people write it, with a path, an environment and a comment."""
    line = "cd /srv/x && flock -n .l .venv/bin/books --environment=production alerts check --json # look"
    [words] = words_after("books", line)
    assert called(words) == (("alerts", "check"), {"--environment", "--json"})
    assert called(["--environment", "production", "status"]) == (("status",), {"--environment"})
    assert called(["are", "closed"]) == (("are",), set())
    assert not [path for _page, (path, _options) in CALLS if command_at(path) is None]


# The systemd units


UNITS = sorted((ROOT / "deploy" / "systemd").iterdir())


def test_each_unit_runs_what_exists():
    """Each service's command is one of ours, with a job or command that there is; each timer has its service."""
    names = {unit.name for unit in UNITS}
    assert {unit.stem for unit in UNITS if unit.suffix == ".timer"} == {
        "bridge-push@",
        "bridge-pull@",
        "bridge-daily@",
        "bridge-alerts@",
    }
    for unit in UNITS:
        if unit.suffix == ".timer":
            assert f"{unit.stem}.service" in names
            continue
        line = re.search(r"^ExecStart=(.+)$", unit.read_text(), re.MULTILINE)[1]
        [*calls] = [*words_after("meltano", line), *words_after("books", line)]
        assert len(calls) == 1, line
        job = {"bridge-push@": "push-invoices", "bridge-pull@": "pull-payments", "bridge-daily@": "daily"}
        job["bridge-webhooks@"] = "serve"
        assert job.get(unit.stem, "check") in calls[0]


def test_systemd_takes_the_units(tmp_path):
    """`systemd-analyze verify`, where it is installed, finds nothing to say about them."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    for unit in UNITS:
        text = unit.read_text().replace("/srv/bridge", str(ROOT)).replace("User=bridge", "User=root")
        (tmp_path / unit.name.replace("@", "@production")).write_text(text)
    done = subprocess.run([analyze, "verify", *tmp_path.iterdir()], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_catalogs_are_what_the_taps_send():
    """Each catalog of `catalogs/` is what `make catalogs` would write: no stream or column is left out of a run."""
    spec = importlib.util.spec_from_file_location("catalogs", ROOT / "scripts" / "catalogs.py")
    catalogs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(catalogs)
    made = dict(catalogs.catalogs())
    assert {path: path.read_text() for path in (ROOT / "catalogs").glob("*.json")} == made
    extractors = yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]["extractors"]
    assert {ROOT / each["catalog"] for each in extractors} == set(made)
