"""How a run stands: whether somebody works on it, it was stopped, or it has come to its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from nas.history import replay
from nas.runtime.experiment import Experiment
from nas.runtime.supernets import SUPERNETS

if sys.platform != "win32":
    import fcntl

SECONDS_BETWEEN_PHASES = 60.0
"""How long a run may take from one phase to the next, as to draw what was found and to load other data."""

State = Literal["running", "stopped", "ended", "unknown"]


def state_of(journals: Iterable[Path], is_complete: bool) -> State:
    """Return how a run stands that has these journals; it is unknown where the file system has no locks."""
    written = [_is_written(path) for path in journals if path.is_file()]
    if True in written:
        return "running"
    if is_complete:
        return "ended"
    return "unknown" if None in written else "stopped"


def state_of_search(folder: Path, experiment: Experiment, in_flight: int) -> State:
    """Return how a search stands in which so many evaluations are open."""
    journals = [folder / f"{name}.jsonl" for name in (SUPERNETS, "history", "final")]
    is_complete = (folder / "best.json").is_file() and not in_flight and _finals_ended(folder, experiment)
    state = state_of(journals, is_complete)
    is_undecided = state in ("stopped", "unknown") and not in_flight
    return "running" if is_undecided and _is_between_phases(folder) else state


def _is_written(journal: Path) -> bool | None:
    """Whether a process has a journal open for writing, by the lock that it holds; None where the system does not say."""
    if sys.platform == "win32":
        return None
    with journal.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return None
    return False


def _is_between_phases(folder: Path) -> bool:
    """Whether a phase has ended just now and the next one has no journal yet: nobody holds one, and yet the run goes on."""
    for last, coming in ((f"{SUPERNETS}.jsonl", "history.jsonl"), ("best.json", "final.jsonl")):
        if (folder / last).is_file() and not (folder / coming).is_file():
            return time.time() - (folder / last).stat().st_mtime < SECONDS_BETWEEN_PHASES
    return False


def _finals_ended(folder: Path, experiment: Experiment) -> bool:
    if experiment.final is None:
        return True
    journal, wanted = folder / "final.jsonl", 1 + int(experiment.final.beside_random)
    return journal.is_file() and len(replay(journal, experiment.final.objective).finished) >= wanted
