"""What becomes of the output: any encoding takes it, and losing it ends no search. Every process and every pipe is a real one."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from nas.cli.streams import IN_ASCII

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes of a shell")

ENCODINGS = {
    "windows": {"PYTHONIOENCODING": "cp1252"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin": {"PYTHONIOENCODING": "latin-1"},
    "locale of C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}

NAS = f"{shlex.quote(sys.executable)} -m nas"


@dataclass(frozen=True)
class Ended:
    """How a line of a shell ended."""

    code: int
    stdout: str
    stderr: str


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., Ended]:
    """Return a function that runs a line of bash in the test's folder, where `nas` is this command line."""

    def run(line: str, **environment: str) -> Ended:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_", "NO_"))}
        settings = {"PYTHONPATH": str(ROOT), "COLUMNS": "160", "OMP_NUM_THREADS": "1", **environment}
        script = f'set -o pipefail; nas() {{ {NAS} "$@"; }}; {line}'
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env={**inherited, **settings},
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
            timeout=200,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


Shell = Callable[..., Ended]

SEARCH = "nas search toy/ageing_evolution rules.budget.evaluations=60 --run-dir run"


def assert_complete(run: Path) -> None:
    """The search went to its end, and so did what follows it."""
    assert (run / "history.jsonl").read_text("utf-8").count('"event": "finish"') == 60
    assert (run / "final.jsonl").read_text("utf-8").count('"event": "finish"') == 1


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_command_prints_in_an_encoding_that_lacks_characters(encoding: str, shell: Shell) -> None:
    line = (
        f"{SEARCH} && nas show run && nas report run && nas --help && nas search --help && nas export run --to notation"
    )
    line += " && nas show darts:DARTS_V2 && nas reproduce toy/ageing_evolution --seeds 2; nas show nothing"
    done = shell(line, **ENCODINGS[encoding])
    assert done.code == 2
    assert done.stderr.startswith("nas: there is no architecture 'nothing'")
    assert "Traceback" not in done.stderr
    title = "Mean ± standard deviation" if encoding in ("windows", "latin") else "Mean +- standard deviation"
    read = done.stdout.encode("utf-8", "surrogateescape").decode("latin-1")
    assert title in read
    assert re.search(r"^[_.:=+*#-]{10,}  best fitness", read, re.MULTILINE), "the best so far is drawn, in ASCII"


@pytest.mark.parametrize(
    "redirection",
    [
        pytest.param(">&-", marks=pytest.mark.slow),
        pytest.param(">&- 2>&- <&-", marks=pytest.mark.slow),
        pytest.param("2>&-", marks=pytest.mark.slow),
        pytest.param("> /dev/full 2> /dev/full", marks=pytest.mark.slow),
        "| head -1",
        pytest.param("2>&1 | true", marks=pytest.mark.slow),
    ],
)
def test_a_search_whose_output_is_lost_goes_on_to_its_end(redirection: str, shell: Shell, tmp_path: Path) -> None:
    done = shell(f"{SEARCH} {redirection}")
    assert (done.code, done.stderr) == (0, "")
    assert_complete(tmp_path / "run")


@pytest.mark.slow
def test_a_search_on_a_full_disk_behind_its_output_says_so_once(shell: Shell, tmp_path: Path) -> None:
    done = shell(f"{SEARCH} > /dev/full")
    assert done.code == 0
    assert done.stderr == "nas: the output cannot be written (No space left on device): continuing without it\n"
    assert_complete(tmp_path / "run")


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("nas list | head -1", 0, ""),
        ("nas list > /dev/full", 2, "nas: the output cannot be written (No space left on device): send it elsewhere\n"),
        pytest.param("nas show nothing 2>&-", 2, "", marks=pytest.mark.slow),
        ("nas nothing > /dev/full 2>&1", 2, ""),
        ("nas --help >&-", 0, ""),
    ],
)
def test_what_nobody_reads_ends_a_command_that_only_prints(line: str, code: int, said: str, shell: Shell) -> None:
    done = shell(line)
    assert (done.code, done.stderr) == (code, said)


@pytest.mark.slow
def test_a_folder_whose_name_is_no_text_is_shown_and_reported(shell: Shell) -> None:
    done = shell(
        r"d=$(printf 'f\351'); mkdir x; cd x; "
        + SEARCH.replace("--run-dir run", '--run-dir "$d"')
        + r' && nas report "$d"'
    )
    assert (done.code, done.stderr) == (0, "")
    assert r"Report: f\xe9/report.html" in done.stdout


def test_every_character_of_ours_has_a_form_in_ascii() -> None:
    files = [path for folder in ("nas", "search_spaces") for path in (ROOT / folder).rglob("*.py")]
    beyond = {character for path in files for character in path.read_text("utf-8") if not character.isascii()}
    assert beyond <= IN_ASCII.keys()
    assert all(text.isascii() for text in IN_ASCII.values())
