"""How a run stands: whether somebody works on it, it was stopped, or it has come to its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from nas.journal import replay
from nas.lock import is_held
from nas.runs.experiment import Experiment
from nas.runs.supernets import SUPERNETS

SECONDS_OF_SILENCE = 60.0
"""For how long a run that no lock tells of is taken to go on after it has written something."""

State = Literal["running", "stopped", "ended", "unknown"]
"""Without locks a run that has not ended is "unknown": then `seconds_of_silence` is all there is to go by."""


def state_of(folder: Path, is_complete: bool) -> State:
    """Return how a run stands whose journals say whether it is complete; a lock that is free says that nobody works on it."""
    is_worked_on = is_held(folder, folder.glob("*.jsonl"))
    if is_worked_on:
        return "running"
    if is_complete:
        return "ended"
    return "unknown" if is_worked_on is None else "stopped"


def state_of_search(folder: Path, experiment: Experiment, in_flight: int) -> State:
    """Return how a search stands in which so many evaluations are open."""
    is_handed_over = (folder / "best.json").is_file() and (folder / "history.jsonl").is_file()
    is_complete = is_handed_over and not in_flight and _finals_ended(folder, experiment)
    return state_of(folder, is_complete)


def seconds_of_silence(folder: Path) -> float:
    """Return how long ago something was last written in a run folder, in seconds."""
    places = (folder, folder / SUPERNETS, folder / "checkpoints")
    last = max(at for place in places if place.is_dir() for at in _written(place))
    return max(0.0, time.time() - last)


def _written(place: Path) -> Iterator[float]:
    """Yield when each file was written that a run itself writes: pictures and reports are made by who looks at it, too."""
    yield 0.0
    for path in place.iterdir():
        if path.suffix in (".jsonl", ".json", ".pt", ".yaml"):
            with suppress(FileNotFoundError):  # a checkpoint is gone when its training ends
                yield path.stat().st_mtime


def _finals_ended(folder: Path, experiment: Experiment) -> bool:
    """Whether the best and every random architecture beside it are tested, or have failed; a small space has fewer of these."""
    if experiment.final is None:
        return True
    journal = folder / "final.jsonl"
    drawn = sum(not path.stem.endswith(".test") for path in folder.glob("random*.json"))
    wanted = 1 + min(drawn, int(experiment.final.beside_random))
    return journal.is_file() and len(replay(journal, experiment.final.objective).finished) >= wanted
