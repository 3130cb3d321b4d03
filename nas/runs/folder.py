"""Run folders: made once, with the declaration of the run and its provenance."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import chain, count
from pathlib import Path
from typing import TypeVar

from nas.journal import read_journal
from nas.places import absolute, places_of
from nas.records import RecordError
from nas.runs.declared import dump
from nas.runs.versions import versions

T = TypeVar("T")


class FolderExists(RecordError):
    """The error of a run folder that exists already."""


def make_folder(folder: Path) -> None:
    """Make a run folder. Raises FolderExists where it exists, and RecordError where it cannot be made."""
    try:
        folder.mkdir(parents=True)  # fails for all but one of several simultaneous commands
    except FileExistsError:
        raise FolderExists(
            f"run folder {folder} exists: continue it with `nas resume {folder}`, or give another --run-dir"
        ) from None
    except OSError as error:
        raise RecordError(f"run folder {folder} cannot be made ({error.strerror}): give another --run-dir") from None
    (folder / "checkpoints").mkdir()


def has_begun(folder: Path) -> bool:
    """Return whether any evaluation has begun in a run folder."""
    journals = (file for file in folder.glob("*.jsonl") if not file.name.endswith(".epochs.jsonl"))
    return any(True for journal in journals for _ in read_journal(journal))


def discard_if_empty(folder: Path) -> None:
    """Remove a run folder in which no evaluation has begun, so that the same command can be given again."""
    if not has_begun(folder):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def new_run(given_folder: Path | None, name: str, create: Callable[[Path], T]) -> Iterator[tuple[Path, T]]:
    """Make a run folder, `given_folder` or the next free one under runs/, and yield it with the result of `create`.

    It is removed where the block raises before any evaluation has begun.
    """
    folder, created = _created(given_folder, name, create)
    try:
        yield folder, created
    except BaseException:
        discard_if_empty(folder)
        raise


def _created(given_folder: Path | None, name: str, create: Callable[[Path], T]) -> tuple[Path, T]:
    """Create a run folder. Simultaneous commands get different folders, since only one of them can make each."""
    first = given_folder or Path("runs", f"{name}-{datetime.now():%Y%m%d-%H%M%S}")
    for folder in chain([first], (first.with_name(f"{first.name}-{i}") for i in count(2))):
        try:
            return folder, create(folder)
        except FolderExists:
            if given_folder is not None:
                raise
        except BaseException:
            discard_if_empty(folder)
            raise
    raise AssertionError("numbers do not end")


def write_declared(file: Path, declared: object, comments: Sequence[str]) -> None:
    """Write a declaration as YAML, below comments on its provenance."""
    file.write_text("".join(f"{line}\n" for line in comments) + dump(declared), encoding="utf-8")


def concerns(assignment: str, places: Sequence[str]) -> bool:
    """Return whether a `key=value` assignment sets one of the keys `places`, or a key below one."""
    key = assignment.partition("=")[0]
    return any(key == place or key.startswith(f"{place}.") for place in places)


def reassigned(
    file: Path, assignments: Sequence[str], may_change: tuple[str, ...], load: Callable[[Path, Sequence[str]], T]
) -> T:
    """Read the declaration of a run folder with assignments that do not affect its results so far, and save them.

    Paths that have moved may be assigned too: `data.path=PATH` sets every path whose key ends in `data.path`. Raises RecordError
    where an assignment would affect results.
    """
    before = load(file, ()) if assignments else None
    places = [key for key, _ in places_of(before)]
    assignments = [each for given in assignments for each in _for_each_place(given, places)]
    for assignment in assignments:
        if not concerns(assignment, (*may_change, *places)):
            moved = f", and the paths {', '.join(places)}" if places else ""
            raise RecordError(
                f"{assignment}: a run that has begun takes {', '.join(may_change)}{moved}; for anything else start a new run"
            )
    declared = load(file, assignments)
    if any(concerns(each, places) for each in assignments):
        declared = absolute(declared)
    if assignments:
        # `dump` writes no comments: the provenance at the head of the file is carried over
        comments = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
        write_declared(file, declared, [*comments, *(f"# resumed with: {each}" for each in assignments)])
    return declared


def _for_each_place(assignment: str, places: Sequence[str]) -> list[str]:
    """Return the assignment for each path whose key ends in its key; as it is where there is none."""
    key, equals, value = assignment.partition("=")
    return [f"{place}{equals}{value}" for place in places if f".{place}".endswith(f".{key}")] or [assignment]


def provenance() -> list[str]:
    """Return YAML comments with the command, time, versions and hardware of a run."""
    import torch

    installed = versions(("cellstack", "torch", "ray", "numpy")).items()

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    lines = (
        f"command: {_as_text(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))}",
        f"started: {datetime.now().astimezone().isoformat(timespec='seconds')}",
        f"versions: {', '.join(f'{name} {version}' for name, version in installed)}",
        f"hardware: {platform.machine()}, {os.cpu_count()} CPUs, GPUs: {', '.join(gpus) or 'none'}",
    )
    return [f"# {line}" for line in lines]


def _as_text(argument: str) -> str:
    """Return a command-line argument as text: in the C locale, letters beyond ASCII arrive as single bytes."""
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
