"""The folder of a run: made once, with what was asked for and where that came from."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from nas.history import read_journal
from nas.records import RecordError
from nas.runtime.declared import dump
from nas.runtime.versions import versions

T = TypeVar("T")


def make_folder(folder: Path) -> None:
    """Make a run folder. Raises RecordError where it exists."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise RecordError(
            f"run folder {folder} exists: go on with `nas resume {folder}`, or give another --run-dir"
        ) from None
    except OSError as error:
        raise RecordError(f"run folder {folder} cannot be made ({error.strerror}): give another --run-dir") from None
    (folder / "checkpoints").mkdir()


def discard_if_empty(folder: Path) -> None:
    """Remove a run folder in which nothing was proposed yet, so that the same command can be given again."""
    if not any(True for journal in folder.glob("*.jsonl") for _ in read_journal(journal)):
        shutil.rmtree(folder, ignore_errors=True)


def write_declared(file: Path, declared: object, comments: Sequence[str]) -> None:
    """Write what was asked for, below comments on where it is from."""
    file.write_text("".join(f"{line}\n" for line in comments) + dump(declared), encoding="utf-8")


def concerns(assignment: str, places: Sequence[str]) -> bool:
    """Whether a `key=value` assignment sets something at one of the places, or below it."""
    key = assignment.partition("=")[0]
    return any(key == place or key.startswith(f"{place}.") for place in places)


def reassigned(
    file: Path, assignments: Sequence[str], may_change: tuple[str, ...], load: Callable[[Path, Sequence[str]], T]
) -> T:
    """Read what a run folder declares, with assignments that do not change what it has done so far; they are kept.

    Raises RecordError where one would.
    """
    for assignment in assignments:
        if not concerns(assignment, may_change):
            raise RecordError(f"{assignment}: a run that has begun takes {', '.join(may_change)}; else begin anew")
    declared = load(file, assignments)
    if assignments:
        comments = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
        write_declared(file, declared, [*comments, *(f"# resumed with: {each}" for each in assignments)])
    return declared


def provenance() -> list[str]:
    """Return YAML comments that say where, when and with what a run was started."""
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
    """Return what the command line holds as text: where the locale is C, letters beyond ASCII arrive as single bytes."""
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
