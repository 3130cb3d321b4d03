"""The functions that run or check commands and code of a page in a separate process."""

from __future__ import annotations

import ast
import os
import re
import runpy
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any


def serve(connection: Any, folder: Path, settings: Mapping[str, str]) -> None:
    """Call the functions received, until the connection is closed; send back the output and the failure of each."""
    import torch

    os.chdir(folder)
    os.environ.pop("NAS_DATA", None)
    os.environ.update(settings)
    sys.path[:] = [str(folder / each) for each in settings.get("PYTHONPATH", "").split(":") if each] + sys.path
    torch.set_num_threads(1)
    with tempfile.TemporaryFile("w+") as output:
        # file descriptors, not sys.stdout: output of subprocesses and of C code is caught too
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        while (request := _received(connection)) is not None:
            function, argument, place = request
            failure = _failure(partial(function, argument, place))
            connection.send((_printed(output), failure))


def _received(connection: Any) -> Any:
    try:
        return connection.recv()
    except EOFError:
        return None


def _failure(function: Callable[[], None]) -> str | None:
    import traceback

    try:
        function()
    except SystemExit as ended:
        return f"exit code {ended.code}" if ended.code else None
    except AssertionError as error:
        return str(error)
    except BaseException:  # noqa: BLE001, it is told to whoever asked
        return traceback.format_exc()
    return None


def _printed(output: Any) -> str:
    sys.stdout.flush()
    sys.stderr.flush()
    output.seek(0)
    text = str(output.read())
    output.seek(0)
    output.truncate()
    return text


def run_nas(words: list[str], place: str) -> None:
    """Run the command line."""
    from nas import cli

    sys.argv = words
    cli.main()


def run_file(words: list[str], place: str) -> None:
    """Run a Python file as a program."""
    sys.argv = words
    sys.path.insert(0, str(Path(words[0]).resolve().parent))
    runpy.run_path(words[0], run_name="__main__")


def run_python(code: str, place: str) -> None:
    """Run Python statement by statement, as in a console; numbers in comments must agree with the results."""
    page = sys.modules.setdefault("page", ModuleType("page"))
    sys.path[:0] = [""] if sys.path[0] else []
    for statement in ast.parse(code).body:
        before = os.fstat(1).st_size
        value = None
        if isinstance(statement, ast.Expr):
            value = eval(compile(ast.Expression(statement.value), place, "eval"), vars(page))  # noqa: S307, our own pages
        else:
            exec(compile(ast.Module([statement], []), place, "exec"), vars(page))
        sys.stdout.flush()
        shown = os.pread(1, 10_000, before).decode() or str(value)
        if isinstance(statement, ast.Expr) and (promised := _promised(code, statement)):
            assert _is_number(promised, shown), f"{ast.unparse(statement)} gives {shown.strip()}, not {promised}"


def _promised(code: str, statement: ast.Expr) -> str | None:
    """Return the number at the start of the comment behind a statement."""
    rest = code.splitlines()[(statement.end_lineno or 1) - 1][statement.end_col_offset :]
    found = re.match(r"\s*#\s*(-?\d[\d,]*(?:\.\d+)?)(?![\w.])", rest)
    return found[1].rstrip(",") if found else None


def _is_number(promised: str, shown: str) -> bool:
    found = re.match(r"-?\d[\d,]*(?:\.\d+)?", shown.strip())
    if found is None:
        return False
    # a page may show fewer decimals than the result has
    decimals = len(promised.partition(".")[2])
    return round(float(found[0].replace(",", "")), decimals) == float(promised.replace(",", ""))


def check_python(code: str, place: str) -> None:
    """Check that code that is not run is Python."""
    ast.parse(code)


def read_yaml(code: str, place: str) -> None:
    """Read a YAML text as an experiment or a recipe."""
    import yaml

    from nas.runs.experiment import load
    from nas.runs.full_training import load_recipe

    plain, file = yaml.safe_load(code), Path("block.yaml")
    file.write_text(code, encoding="utf-8")
    sys.path[:0] = [""] if sys.path[0] else []
    if "space" in plain:
        load(file)
    else:
        assert "data" in plain, "neither an experiment, with `space`, nor a recipe, with `data`"
        load_recipe(str(file))


def check_lines(lines: list[str], place: str) -> None:
    """Check lines of a shell without running them: `nas` and `make` must accept their arguments, and files must exist."""
    for line in lines:
        for words in _simple(line):
            _check_words(words, line)


def _simple(line: str) -> Iterator[list[str]]:
    """Yield the simple commands of a line, also those inside a quoted word."""
    # operators such as | and && become words that consist of these characters alone
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if not set(word) <= set("|;&<>"):
            words.append(word)
            continue
        yield words
        words = []
    for word in shlex.split(line, comments=True):
        if " nas " in word:
            yield from _simple(word)


def _check_words(words: list[str], line: str) -> None:
    missing = [
        word for word in words if re.match(r"(experiments|docs|tests)/[\w/]+\.\w+$", word) and not Path(word).exists()
    ]
    assert not missing, f"{line}: there is no {missing[0]}"
    if words[:1] == ["make"] and len(words) > 1 and not words[1].isupper():
        targets = re.findall(r"^([a-z-]+):", Path("Makefile").read_text("utf-8"), re.MULTILINE)
        assert words[1] in targets, f"{line}: make has no target {words[1]}"
    if "nas" in words:
        name, *arguments = words[words.index("nas") + 1 :] or [""]
        try:
            _check_command(name, [re.sub("^N$", "1", each) for each in arguments])
        except (Exception, SystemExit) as error:  # noqa: BLE001, whatever the command line says of it
            raise AssertionError(f"{line}: {getattr(error, 'message', None) or error}") from None


def _check_command(name: str, arguments: list[str]) -> None:
    """Parse a command, and look up the experiment, the recipe, the architecture and the settings in it."""
    import typer

    from nas.cli import app
    from nas.runs import full_training, run
    from nas.runs.architecture import find_architecture
    from nas.runs.experiment import load

    known: Any = typer.main.get_command(app)
    if name.startswith("--"):
        known.make_context("nas", [name], resilient_parsing=True)
        return
    assert name in known.commands, f"there is no command {name}"
    if not arguments or "--help" in arguments:
        return
    given = known.commands[name].make_context(name, arguments).params
    settings = [each for each in given.get("assignments") or () if not re.match(r"[A-Z]+=", each)]
    if given.get("experiment") and not _stands_for(given["experiment"]):
        load(Path(given["experiment"]), settings)
    if given.get("recipe") and not _stands_for(given["recipe"]):
        full_training.load_recipe(given["recipe"], settings)
    if re.match(r"[\w.]+:\w+$", str(given.get("architecture"))):
        find_architecture(given["architecture"])
    if name == "resume":
        places = ("rules.budget", *run.MAY_CHANGE, *full_training.MAY_CHANGE)
        unknown = [each for each in settings if not each.startswith(places)]
        assert not unknown, f"{unknown} cannot be changed"


def _stands_for(word: object) -> bool:
    """Whether a word is a placeholder, such as EXPERIMENT or a file of the reader's."""
    return re.match(r"[A-Z|]+$|/|.*NAME", str(word)) is not None
