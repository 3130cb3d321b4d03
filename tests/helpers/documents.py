"""Documents: the code blocks of the markdown pages, each run or, where that is impossible, checked.

The language of its fence decides how a block is tested:

    python      run; the blocks of a page share a process and a namespace. Where a line ends in a comment that begins with a
                number, the line must print or return that number
    sh          run line by line in the page's folder, which holds files that the page has made, and links to
                experiments and docs
    console     the same for the text after "$ "; two spaces end a command
    yaml        read as an experiment or a recipe
    text        compared with the output of the block before; "..." matches anything

After a paragraph that ends in "`name.py`:" a block is the content of that file. A comment above a block, invisible on the page,
may change its test:

    <!-- not run: why -->   its commands are parsed, and the settings and files in them looked up
    <!-- slow: why -->      only `make test-slow` runs it
    <!-- fails: why -->     the command ends with an error, which is shown below it
    <!-- varies: why -->    numbers in the output are not compared
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from textwrap import dedent
from typing import Any, Literal

from documents_inside import check_lines, check_python, read_yaml, run_file, run_nas, run_python, serve

ROOT = Path(__file__).resolve().parents[2]

LANGUAGES = ("python", "sh", "console", "yaml", "text")

NOTE = re.compile(r"^<!-- (not run|slow|fails|varies): (\S.*) -->$")

FILE = re.compile(r"`([\w/-]+\.(?:py|yaml|sh))`:$")

# other fences, a fence in a quotation or list, a comment of several lines, indented code
OVERLOOKED = re.compile(r"~~~|````|(>|[-*+]|\d+\.) *```|<!--(?!.*-->)|(    |\t) *\S")
"""The beginnings of lines that would contain code, or hide it, in forms that this module does not read."""

HARMLESS = ("nas", "python", "ls", "cat", "head", "test", "mkdir", "cp", "export", "sleep")
"""The commands that a shell may run: none installs, downloads, or starts a process that outlives the test."""

SECONDS = 600
"""The time limit of a block or a command."""

PROCESSES = get_context("forkserver")
"""Starts fresh processes that have imported torch and the library already, which takes two seconds otherwise."""

PROCESSES.set_forkserver_preload(
    [
        *("torch._dynamo", "torch._refs", "sklearn.datasets"),
        *(f"nas.{each.parent.name}.{each.stem}" for each in sorted(ROOT.glob("nas/*/[!_]*.py"))),
        *(f"search_spaces.{each.stem}" for each in sorted(ROOT.glob("search_spaces/[!_]*.py"))),
    ]
)


class BlockError(AssertionError):
    """The error of a block of a page that does not work."""


@dataclass(frozen=True, slots=True)
class Block:
    """A code block: its page and line, language and code, the file whose content it is, if any, and the note above it."""

    page: Path
    line: int
    language: str
    code: str
    file: str | None = None
    note: Literal["not run", "slow", "fails", "varies"] | None = None

    @property
    def place(self) -> str:
        """The page and line of the block, for messages."""
        return f"{self.page.name}, line {self.line}"


def pages(root: Path = ROOT) -> list[Path]:
    """Return the pages of the project."""
    return sorted([*root.glob("*.md"), *root.glob("docs/**/*.md")])


def blocks(page: Path) -> Iterator[Block]:
    """Yield the code blocks of a page. Raises BlockError where one cannot be tested as it is marked."""
    before: list[str] = []
    lines = iter(enumerate(page.read_text("utf-8").splitlines(), 1))
    for number, line in lines:
        if OVERLOOKED.match(line):
            raise BlockError(f"{page.name}, line {number}: {line.strip()}: code stands between lines of ``` alone")
        if not (fence := re.match(r"^ *```(\w*)", line)):
            before.append(line.strip())
            continue
        inside: list[str] = []
        while (text := next(lines, (0, None))[1]) is not None and text.strip() != "```":
            inside.append(text)
        if text is None:
            raise BlockError(f"{page.name}, line {number}: the block has no end")
        block = Block(page, number, fence[1], dedent("\n".join(inside)) + "\n")
        yield _noted(block, [each for each in before if each])
        before = []


def _noted(block: Block, before: list[str]) -> Block:
    note = NOTE.match(before[-1]) if before else None
    if before and before[-1].startswith("<!--") and note is None:
        raise BlockError(f"{block.place}: {before[-1]} is no note: write <!-- not run: why -->, slow, fails or varies")
    if block.language not in LANGUAGES and (note is None or note[1] != "not run"):
        said = f"{block.language!r} is none of {', '.join(LANGUAGES)}" if block.language else "it has no language"
        raise BlockError(f"{block.place}: {said}: nothing says how to test the block")
    if block.language == "console" and re.search(r"^(?!\$ |$)", block.code, re.MULTILINE):
        raise BlockError(f"{block.place}: what a console prints stands in a block of its own, as text")
    texts = before[:-1] if note else before
    file = FILE.search(texts[-1]) if texts else None
    kind: Any = note[1] if note else None
    return replace(block, file=file[1] if file else None, note=kind)


def lines_of(block: Block) -> list[str]:
    """Return the commands of a block, each as one line."""
    lines = [line.strip() for line in block.code.replace("\\\n", " ").splitlines()]
    if block.language == "console":
        return [re.split(r"\s{2,}", line[2:])[0] for line in lines if line.startswith("$ ")]
    if block.language == "text":  # a table of commands
        return [re.sub(r" \[.*?\]", "", re.split(r"\s{2,}", line)[0]) for line in lines]
    return [line for line in lines if line and not line.startswith("#")]


def inline_commands(page: Path) -> list[str]:
    """Return the commands of `nas` and `make` in the running text of a page."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [line for line in re.findall(r"`((?:nas|make) [a-z][^`\n]*)`", text) if "..." not in line]


# ---------------------------------------------------------------------------------------------- following a page


class Follower:
    """Follows a page from top to bottom in a folder, as a newcomer would; `whole` is with what is slow."""

    def __init__(self, page: Path, folder: Path, whole: bool = False) -> None:
        self.page, self.folder, self.whole = page, folder, whole
        self.printed: str | None = None
        self.is_skipped = False
        for name in ("experiments", "docs", "tests", "search_spaces", "Makefile"):
            (folder / name).symlink_to(ROOT / name)

    def follow(self) -> None:
        """Run or check every block. Raises BlockError at the first that does not work."""
        found = list(blocks(self.page))
        with closing(Process(self.folder)) as session:
            session.call(check_lines, inline_commands(self.page), self.page.name)
            for block in found:
                self._do(block, session)

    def _do(self, block: Block, session: Process) -> None:
        if block.file is not None:
            (self.folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / block.file).write_text(block.code, encoding="utf-8")
        runs = block.note != "not run" and (self.whole or block.note != "slow")
        if block.language == "text" and block.note != "not run":
            self._compare(block)
        elif block.language == "yaml" and block.note != "not run":
            session.call(read_yaml, block.code, block.place)
        elif block.language == "python" and block.file is None and runs:
            self._printed(session.call(run_python, block.code, block.place))
        elif block.language in ("sh", "console") and block.file is None and runs:
            self._printed("".join(self._run(line, block) for line in lines_of(block)))
        else:
            self.is_skipped = self.is_skipped or block.note == "slow"
            check: Callable[..., None] = check_python if block.language == "python" else check_lines
            session.call(check, block.code if block.language == "python" else lines_of(block), block.place)

    def _printed(self, text: str) -> None:
        self.printed, self.is_skipped = text, False

    def _run(self, line: str, block: Block) -> str:
        """Run a line of a shell: the library's commands in a fresh Python process, others by the shell."""
        words, environment = shlex.split(line, comments=True), {}
        while words and re.match(r"[A-Z_]+=", words[0]):
            name, _, environment[name] = words.pop(0).partition("=")
        is_plain = words and not set("|;&<>$*") & set("".join(words))
        if is_plain and words[0] == "nas":
            return self._in_process(run_nas, words, environment, block)
        if is_plain and words[0] == "python" and words[1].endswith(".py"):
            return self._in_process(run_file, words[1:], environment, block)
        return self._by_shell(line, words, block)

    def _in_process(self, function: Any, words: list[str], environment: Mapping[str, str], block: Block) -> str:
        with closing(Process(self.folder, environment)) as process:
            return process.call(function, words, f"{block.place}: {shlex.join(words)}", fails=block.note == "fails")

    def _by_shell(self, line: str, words: list[str], block: Block) -> str:
        if words and words[0] not in HARMLESS:
            raise BlockError(
                f"{block.place}: {words[0]} is none of what tests run ({', '.join(HARMLESS)}): say not run"
            )
        settings = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            line,
            shell=True,
            cwd=self.folder,
            env=settings,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        if done.returncode:
            raise BlockError(f"{block.place}: {line}\n{done.stdout}{done.stderr}")
        return done.stdout

    def _compare(self, block: Block) -> None:
        if self.is_skipped:
            return
        if self.printed is None:
            raise BlockError(f"{block.place}: shows what was printed, and nothing was: say not run")
        if not matches(block.code, self.printed, varies=block.note == "varies"):
            raise BlockError(f"{block.place}: the page shows\n{block.code}\nand what is printed is\n{self.printed}")


def matches(shown: str, printed: str, varies: bool = False) -> bool:
    """Whether shown text matches printed text: "..." matches anything, on a line alone also no line; with `varies` any number."""

    # both texts with single spaces and, where numbers vary, "#" for each number
    def spelt(text: str) -> str:
        text = re.sub(r" ?\.\.\. ?", "...", re.sub(r"[ \t]+", " ", text))
        text = re.sub(r"\d[\d.,]*(?<=\d)", "#", text) if varies else text
        return "\n".join(line.strip() for line in text.strip().splitlines())

    def pattern(line: str) -> str:
        return "(?:.*\n)?" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + "\n"

    return re.fullmatch("".join(map(pattern, spelt(shown).split("\n"))), spelt(printed) + "\n", re.DOTALL) is not None


# ---------------------------------------------------------------------------------------------- the processes


class Process:
    """A fresh process in a folder, in which functions are called one after another."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self._connection, theirs = PROCESSES.Pipe()
        settings = {"COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb", "OMP_NUM_THREADS": "1", **(environment or {})}
        self._process = PROCESSES.Process(target=serve, args=(theirs, folder, settings))
        self._process.start()
        theirs.close()

    def call(self, function: Callable[..., None], argument: Any, place: str, fails: bool = False) -> str:
        """Call a function in the process; return its output. Raises BlockError where it fails or, with `fails`, does not."""
        self._connection.send((function, argument, place))
        try:
            if not self._connection.poll(SECONDS):
                raise BlockError(f"{place}: no end after {SECONDS} s: say slow, or not run")
            printed, failure = self._connection.recv()
        except EOFError:
            raise BlockError(f"{place}: the process ended") from None
        is_right = failure is None if not fails else (failure or "").startswith("exit code")
        if not is_right:
            raise BlockError(f"{place}: {failure or 'does not fail'}\n{printed}")
        return str(printed)

    def close(self) -> None:
        """End the process, even if it is still busy."""
        self._connection.close()
        self._process.join(10)
        self._process.kill()
