"""The state of a run: whether a process works on it, or it was stopped, or has ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from nas.journal import replay
from nas.lock import is_held
from nas.runs.experiment import Experiment
from nas.runs.finals import ENSEMBLE
from nas.runs.supernets import SUPERNETS

SECONDS_OF_SILENCE = 60.0
"""The time after its last write for which a run without file locks is taken to be running."""

State = Literal["running", "stopped", "ended", "unknown"]
"""A run that has not ended is "unknown" on a system without file locks, where only `seconds_of_silence` is a hint."""


def state_of(folder: Path, is_complete: bool) -> State:
    """Return the state of a run, `is_complete` by its journals. A free lock means that no process works on it."""
    is_worked_on = is_held(folder, folder.glob("*.jsonl"))
    if is_worked_on:
        return "running"
    if is_complete:
        return "ended"
    return "unknown" if is_worked_on is None else "stopped"


def state_of_search(folder: Path, experiment: Experiment, in_flight: int) -> State:
    """Return the state of a search with `in_flight` unfinished evaluations."""
    is_handed_over = (folder / "best.json").is_file() and (folder / "history.jsonl").is_file()
    is_complete = is_handed_over and not in_flight and _finals_ended(folder, experiment)
    return state_of(folder, is_complete)


def seconds_of_silence(folder: Path) -> float:
    """Return the seconds since anything was last written in a run folder."""
    places = (folder, folder / SUPERNETS, folder / "checkpoints")
    last = max(at for place in places if place.is_dir() for at in _written(place))
    return max(0.0, time.time() - last)


def _written(place: Path) -> Iterator[float]:
    """Yield the modification times of files that only the run writes; a report is also written by `nas report`."""
    yield 0.0
    for path in place.iterdir():
        if path.suffix in (".jsonl", ".json", ".pt", ".yaml"):
            with suppress(FileNotFoundError):  # a checkpoint is deleted when its training ends
                yield path.stat().st_mtime


def _finals_ended(folder: Path, experiment: Experiment) -> bool:
    """Return whether all finalists, which have a file each, are tested or have failed, and their ensemble if there is one."""
    if experiment.final is None:
        return True
    journal = folder / "final.jsonl"
    files = [path for kind in ("best", "best-*", "front-*", "random*") for path in folder.glob(f"{kind}.json")]
    finalists = [path.stem for path in files if not path.stem.endswith(".test")]
    if not journal.is_file() or len(replay(journal, experiment.final.objective).finished) < len(finalists):
        return False
    several = sum(not stem.startswith("random") for stem in finalists) > 1
    return not (experiment.final.ensemble and several) or (folder / f"{ENSEMBLE}.jsonl").is_file()
