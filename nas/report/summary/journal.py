"""The journals of a run, read once: proposals, results, and which worker was busy when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from nas.history import REUSED, History, Limit
from nas.journal import replay


@dataclass(frozen=True, slots=True)
class Log:
    """One journal: its phase, its history, and the Unix times at which each proposal was made and finished.

    `proposed` is indexed by proposal number, `ended` and `again` are keyed by it. `again` is when a resumed run took up
    a proposal that had been in flight.
    """

    phase: str
    history: History
    proposed: Sequence[float]
    ended: Mapping[int, float]
    again: Mapping[int, float] = field(default_factory=dict)


def read_log(
    path: Path, phase: str, objective: str | Sequence[str], limits: Mapping[str, Limit] | None = None
) -> Log | None:
    """Read a journal with its times; None where there is no file yet. Raises RecordError, with the line, where it is damaged."""
    if not path.is_file():
        return None
    proposed, ended, again = list[float](), dict[int, float](), dict[int, float]()

    def note(event: Mapping[str, Any]) -> None:
        if event["event"] == "start":
            proposed.append(float(event["at"]))
        if event["event"] != "finish":
            return
        ended[event["number"]] = float(event["at"])
        if "again" in event:
            again[event["number"]] = float(event["again"])

    return Log(phase, replay(path, objective, note, limits), proposed, ended, again)


@dataclass(frozen=True, slots=True)
class Work:
    """One evaluation by a worker, from `begin` to `end` in Unix time."""

    worker: str
    phase: str
    number: int
    begin: float
    end: float
    failed: bool


def works_of(log: Log) -> Iterator[Work]:
    """Yield the evaluations of all workers in the order in which they finished, without reused results.

    A journal records when an evaluation was proposed, not when its worker began. The begin is therefore taken as the
    latest of: the proposal, its resumption, the end of the worker's previous work, and the end less its `seconds` score.
    """
    free: dict[str, float] = {}
    for number, done in log.history.finished.items():
        if done.worker == REUSED:
            continue
        end = log.ended[number]
        given = max(log.proposed[number], log.again.get(number, 0.0))
        begin = min(end, max(given, free.get(done.worker, 0.0), end - done.scores.get("seconds", inf)))
        yield Work(done.worker, log.phase, number, begin, end, done.failure is not None)
        free[done.worker] = end
