"""Whatever stands where a command wants a name, a tree, a file or a setting: one line, exit code 2, no traceback."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import typer

from nas.cli import app

Call = Callable[..., Any]

COMMANDS: dict[str, Any] = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]

TEXTS = [
    "",
    " ",
    ".",
    "..",
    "...",
    ":",
    ":x",
    "x:",
    "..:x",
    ".:x",
    "a..b:x",
    "darts:",
    "darts:DARTS_V3",
    "bits:x",
    "os:name",
    "nas.space:x",
    "/",
    "//",
    "~",
    "~nobody/x",
    "null",
    "none",
    "0",
    "-1",
    "nan",
    "1e9999",
    "9" * 30,
    "9" * 5000,
    "a\0b",
    "a\nb",
    "a\tb",
    "\x1b[31m",
    "\udc80",
    "\ud800",
    "ä/é:ü",
    "\u202e\ufeff",
    "💥",
    "x" * 5000,
    "x/" * 3000,
    "[" * 3000,
    "residual[" * 2000,
    "{a: " * 500,
    "(" * 3000,
    "[]",
    "{}",
    "()",
    "{a: conv3}",
    "conv3--64",
    "conv3-4(norm=none)",
    "conv3-64 x999999",
    "conv3 x9999 x9999",
    "conv3-" + "9" * 30,
    "conv" + "9" * 30,
    "conv3-4/" + "9" * 30,
    "conv3  -64",
    "conv3(",
    "conv3-64[",
    "conv3 + conv3",
    "conv3px",
    '"',
    "'",
    "\\",
    "$HOME",
    "%s{0}",
    "[red]",
    "-",
    "*",
    "http://localhost/x.json",
    "RUN#17",
]
"""What stands there by mistake, by chance or by malice."""

ASSIGNMENTS = [
    "=",
    "==",
    "a",
    "=1",
    ".=1",
    "a.=1",
    ".a=1",
    "a..b=1",
    "a==b",
    "a.b.c.d=1",
    "." * 3000 + "=1",
    "a." * 3000 + "b=1",
    "rules=5",
    "rules.budget=x",
    "rules.budget.evaluations=1e9999",
    "rules.budget.evaluations=nan",
    "rules.budget.evaluations.x=1",
    "rules.seed=null",
    "rules.seed=2020-99-99",
    "rules.seed=" + "9" * 5000,
    "rules.seed=-1",
    "rules.seed=0.5",
    "rules.objective=",
    "rules.objective=[",
    "rules.objective=" + "[" * 3000,
    "rules.objective={a: &x [*x]}",
    "rules.objective=a: b: c",
    "rules.objective=!!python/object:os.system x",
    "strategy=null",
    "strategy=x",
    "strategy=[]",
    "strategy={}",
    "strategy={1: 2}",
    "strategy=Choice",
    "strategy={Choice: {name: a, options: [1]}}",
    "strategy.population=x",
    "evaluator=Skip",
    "space=",
    "space=null",
    "space=:x",
    "space=..",
    "space={'': {}}",
    "space={1: {}}",
    "space={bits: 3}",
    "space={bits: {length: 1e9999}}",
    "space={bits: {}, darts: {}}",
    "space=os",
    "imports=['']",
    "imports=[..x]",
    "imports=x",
    "imports=[1]",
    "imports=[no_such_module]",
    "network={1: 2}",
    "network={layers: x}",
    "expect={a: 1}",
    "final=5",
    "executor=None",
    "executor=Inline.x",
    "\ud800=\ud800",
    "a\0=b\0",
]

FILES: dict[str, bytes] = {
    "empty": b"",
    "nothing": b"null\n",
    "a list": b"[1, 2]",
    "a byte order mark": b"\xef\xbb\xbfspace: x\n",
    "windows lines": b"space: x\r\nrules: 5\r\n",
    "tabs": b"space:\tx\n\trules: 5\n",
    "bytes": bytes(range(256)),
    "no text": b"\xff\xfe\x00\x01",
    "a zip": b"PK\x03\x04" + bytes(100),
    "keys twice": b"space: x\nspace: y\n",
    "a key that is a list": b"? [a]\n: 1\n",
    "a key that is a number": b"1: 2\n",
    "a bomb": b"a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (c, c, b", ".join([b"*%c" % (c - 1)] * 10)) for c in range(ord("b"), ord("k"))),
    "a part that holds itself": b"a: &a [*a]\n",
    "deep brackets": b"a: " + b"[" * 5000,
    "deep braces": b'{"a":' * 5000,
    "a date that is none": b"space: 2020-99-99\n",
    "a long number": b"space: " + b"9" * 5000,
    "no numbers": b"space: .nan\nrules: .inf\n",
    "an object": b"space: !!python/object/apply:os.system [true]\n",
    "two documents": b"space: x\n---\nspace: y\n",
    "another format": b'{"cellstack": 99, "Found": {}}',
    "a format of no sense": b'{"cellstack": [], "Found": {}}',
    "no format": b'{"cellstack": null}',
    "another record": b'{"Skip": {}}',
    "a family of nothing": b'{"Found": {"family": "", "architecture": 1}}',
    "a family of dots": b'{"Found": {"family": "..", "architecture": 1}}',
    "an architecture of nothing": b'{"Found": {"family": "darts", "architecture": null}}',
    "an architecture of numbers": b'{"Found": {"family": "darts", "architecture": [NaN, 1e999]}}',
    "an architecture of another space": b'{"Found": {"family": "macro", "architecture": {"Bits": {"values": [1]}}}}',
}

OTHERS = frozenset("help workers gpus_per_worker address seed seeds port host".split())
"""Numbers, which the parser of the command line refuses, and where Ray or a server would be started."""

NAMES = ("a.yaml", "a.json", "a.txt", "a.safetensors", "best.json")


def parameters() -> Iterator[tuple[str, Any]]:
    """Yield each parameter of each command whose value is a text: names, trees, files, folders, settings."""
    for command, made in COMMANDS.items():
        for parameter in made.params:
            if parameter.name not in OTHERS and not getattr(parameter, "is_flag", False):
                yield command, parameter


def is_settings(parameter: Any) -> bool:
    return parameter.name == "assignments"


def trouble(answer: Any) -> str:
    """Return what is wrong with an answer that should be a result, or one line that says why not; usage has lines of its own."""
    if "Traceback" in answer.stderr or answer.returncode not in (0, 2):
        return f"exit code {answer.returncode}: {answer.stderr[-600:]}"
    lines = [line for line in answer.stderr.splitlines() if "Warning" not in line]
    if answer.returncode == 0 or lines[:1] == [next((line for line in lines if line.startswith("Usage:")), None)]:
        return ""
    is_one = len(lines) == 1 and lines[0].startswith("nas: ") and len(lines[0]) < 1000
    return "" if is_one else f"{len(lines)} lines: {answer.stderr[:300]}...{answer.stderr[-300:]}"


@pytest.fixture
def hostile(call: Call, toy: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Return a function that calls a command with one value and with plain ones for all that it needs, in an empty folder.

    It returns what is wrong with the answer.
    """
    experiment, plain = toy(), {"architecture": "conv3-4", "what": "conv3-4", "recipe": "darts_cifar", "to": "nowhere"}
    monkeypatch.chdir(tmp_path)

    def run(command: str, parameter: Any, value: str) -> str:
        arguments: list[str] = []
        for each in sorted(COMMANDS[command].params, key=lambda each: each.name == "assignments"):
            is_option = each.param_type_name == "option"
            if each.name == parameter.name:
                arguments += [each.opts[0], value] if is_option else ["--", value] if value.startswith("-") else [value]
            elif each.required:
                given = str(experiment) if each.name == "experiment" else plain.get(each.name, "nowhere")
                arguments += [each.opts[0], given] if is_option else [given]
        try:
            found = trouble(call(command, *arguments))
        except Exception:  # noqa: BLE001, whatever comes out is what is looked for
            found = traceback.format_exc()[-900:]
        return f"{command} {parameter.name} {value[:60]!r}: {found}" if found else ""

    return run


READ_BY_ALL = (("profile", "architecture"), ("search", "assignments"))
"""Places whose reader serves the others too: all texts stand there, elsewhere some."""


def places() -> Iterator[Any]:
    """Yield each place; those that share a reader with others are left to the slow tests."""
    for command, parameter in parameters():
        marks = () if (command, parameter.name) in READ_BY_ALL else (pytest.mark.slow,)
        yield pytest.param(command, parameter, marks=marks, id=f"{command}-{parameter.name}")


@pytest.mark.parametrize(("command", "parameter"), places())
def test_whatever_stands_in_a_place_is_taken_or_refused_in_one_line(
    command: str, parameter: Any, hostile: Call
) -> None:
    texts = ASSIGNMENTS if is_settings(parameter) else TEXTS
    is_read_by_all = (command, parameter.name) in READ_BY_ALL
    given = (
        texts
        if is_read_by_all
        else Random(f"{command} {parameter.name}").sample(texts, 10 if parameter.required else 4)
    )
    assert not list(filter(None, (hostile(command, parameter, value) for value in given)))


@pytest.mark.parametrize(
    "kind", [pytest.param(each, marks=[pytest.mark.slow] * (i % 3 > 0)) for i, each in enumerate(FILES)]
)
def test_whatever_stands_in_a_file_is_read_or_refused_in_one_line(kind: str, hostile: Call, tmp_path: Path) -> None:
    (folder := tmp_path / "given").mkdir()
    paths = [folder, *(folder / name for name in NAMES)]
    for path in paths[1:]:
        path.write_bytes(FILES[kind])
    needed = [each for each in parameters() if each[1].required]
    some = Random(kind).sample(paths, len(paths))
    assert not [found for i, each in enumerate(needed) if (found := hostile(*each, str(some[i % len(some)])))]


def all_trouble(hostile: Call, paths: list[Path]) -> list[str]:
    """Return what goes wrong where each of the paths stands in each place that must be filled."""
    needed = [each for each in parameters() if each[1].required]
    return [found for each in needed for path in paths if (found := hostile(*each, str(path)))]


def test_a_folder_or_a_file_that_may_not_be_read_is_refused_in_one_line(hostile: Call, tmp_path: Path) -> None:
    folder, loop = tmp_path / "folder.yaml", tmp_path / "loop.yaml"
    folder.mkdir()
    loop.symlink_to(loop)
    (locked := tmp_path / "locked.yaml").touch(mode=0)
    assert not all_trouble(hostile, [folder, loop, locked, tmp_path / "experiment.yaml" / "below"])


def test_a_deep_tree_in_a_file_is_refused_in_one_line(hostile: Call, tmp_path: Path) -> None:
    tree: Any = {"Skip": {}}
    for _ in range(300):
        tree = {"Residual": {"body": tree}}
    path = tmp_path / "deep.json"
    path.write_text(json.dumps({"Found": {"family": "macro", "architecture": tree}}), encoding="utf-8")
    assert not all_trouble(hostile, [path])
