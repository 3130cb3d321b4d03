"""History: what a search has proposed and found; and the journal, the file that holds it.

The journal is the truth: one line of JSON an event, written before anything else happens. Reading it again gives the
same history, so that a search is resumed by reading.
"""

from __future__ import annotations

import json
import math
import sys
from bisect import insort
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Any

from nas.plain import from_plain
from nas.records import FORMAT, RecordError, digest, to_plain

if sys.platform != "win32":
    import fcntl

_encode = json.JSONEncoder(allow_nan=False).encode

REUSED = "reused"
"""The worker of a proposal whose scores were those of an equal one before."""

SECONDS_FOR_READERS = 0.5
"""How long the lock of a journal is asked for, before it is taken for that of another writer."""

Scores = Mapping[str, float]
"""What an evaluation found, by name with unit: `validation_top1_percent`, `params`, `macs`, `seconds`, ..."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An architecture to evaluate: how it came about, and the numbers of the evaluations that it came from."""

    architecture: Any
    origin: str = "random"
    parents: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A proposal that was evaluated, its scores or, where it failed by itself, the reason."""

    number: int
    proposal: Proposal
    digest: str
    scores: Scores = field(default_factory=dict)
    failure: str | None = None
    worker: str = ""

    @property
    def architecture(self) -> Any:
        """The architecture that was evaluated."""
        return self.proposal.architecture


def read_objective(objective: str) -> tuple[str, float]:
    """Return the score that an objective names, and what it is multiplied with to be maximised: -1 if a minus is before it."""
    return objective.removeprefix("-"), -1.0 if objective.startswith("-") else 1.0


class History:
    """All proposals by number, and what became of them.

    `objective` names the score to maximise; with a minus before it, to minimise: then `sign` is -1. `scored` holds the
    evaluations that succeeded in the order in which they finished, `ranked` the same from the worst to the best.
    """

    def __init__(self, objective: str) -> None:
        self.objective, self.sign = read_objective(objective)
        self.proposals: list[Proposal] = []
        self.digests: list[str] = []
        self.in_flight: dict[int, Proposal] = {}
        self.finished: dict[int, Evaluated] = {}
        self.scored: list[Evaluated] = []
        self.ranked: list[Evaluated] = []
        self.failures: list[Evaluated] = []
        self.by_digest: dict[str, Evaluated] = {}
        self.known: dict[str, Any] = {}
        self.children: dict[int, list[int]] = {}
        self.totals: dict[str, float] = {}

    def start(self, proposal: Proposal) -> int:
        """Add a proposal; return its number. Of equal architectures one object is kept."""
        number, name = len(self.proposals), digest(proposal.architecture)
        same = self.known.setdefault(name, proposal.architecture)
        if same is not proposal.architecture:
            proposal = replace(proposal, architecture=same)
        self.proposals.append(proposal)
        self.digests.append(name)
        self.in_flight[number] = proposal
        for parent in proposal.parents:
            self.children.setdefault(parent, []).append(number)
        return number

    def finish(self, number: int, scores: Scores, worker: str = "") -> Evaluated:
        """Add the scores of a proposal. Those that are not finite are left out; without the objective's it is a failure."""
        if self.objective not in scores:
            return self.fail(
                number, f"{self.objective} is missing: the scores are {', '.join(scores) or 'none'}", worker
            )
        if not math.isfinite(scores[self.objective]):
            return self.fail(number, f"{self.objective} is {scores[self.objective]}", worker)
        scores = {name: score for name, score in scores.items() if math.isfinite(score)}
        done = Evaluated(number, self.proposals[number], self.digests[number], scores, None, worker)
        self._close(done)
        self.by_digest[done.digest] = done
        self.scored.append(done)
        insort(self.ranked, done, key=self.value)
        for name, score in scores.items():
            self.totals[name] = self.totals.get(name, 0.0) + score
        return done

    def fail(self, number: int, reason: str, worker: str = "") -> Evaluated:
        """Add the reason for which a proposal has no scores."""
        done = Evaluated(number, self.proposals[number], self.digests[number], {}, reason, worker)
        self._close(done)
        self.failures.append(done)
        return done

    def _close(self, done: Evaluated) -> None:
        del self.in_flight[done.number]
        self.finished[done.number] = done

    def value(self, evaluated: Evaluated) -> float:
        """Return what is maximised."""
        return self.sign * evaluated.scores[self.objective]

    @property
    def best(self) -> Evaluated | None:
        """The best evaluation so far; of equal ones the first."""
        if not self.ranked:
            return None
        top = self.value(self.ranked[-1])
        i = len(self.ranked) - 1
        while i and self.value(self.ranked[i - 1]) == top:
            i -= 1
        return self.ranked[i]


class Journal:
    """An append-only file of events; a new one begins with the version of its format.

    A last line that was torn by the end of its writer is dropped. Raises RecordError where another process has the
    file open: two writers would spoil it.
    """

    def __init__(self, path: Path) -> None:
        self._file: IO[str] = path.open("a", encoding="utf-8")
        hold(self._file.fileno(), path)
        whole = path.read_bytes().rfind(b"\n") + 1
        self._file.truncate(whole)
        if not whole:
            self.append({"cellstack": FORMAT})

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event and hand it to the operating system, so that it outlives this process."""
        self._file.write(_encode(event) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def hold(opened: int, path: Path) -> None:
    """Lock a file or folder, by its descriptor, until it is closed or this process ends, in whatever way.

    A reader locks it for a moment too, to see whether a run is written, and a writer waits for that. Where the file system
    has no locks, nothing is locked. Raises RecordError where another process writes.
    """
    if sys.platform == "win32":
        return
    until = monotonic() + SECONDS_FOR_READERS
    while True:
        try:
            return fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() > until:
                raise RecordError(
                    f"{path} is being written by another process: wait for that run, or stop it"
                ) from None
            sleep(0.01)
        except OSError:
            return  # some network file systems have no locks


def started_event(history: History, number: int, at: float) -> dict[str, Any]:
    """Return the line that says what was proposed; `at` is in seconds since 1970."""
    proposal = history.proposals[number]
    return {
        "event": "start",
        "number": number,
        "digest": history.digests[number],
        "origin": proposal.origin,
        "parents": list(proposal.parents),
        "architecture": to_plain(proposal.architecture),
        "at": at,
    }


def finished_event(done: Evaluated, at: float, again: float | None = None) -> dict[str, Any]:
    """Return the line that says what was found, or why nothing was; `again` is when a run that was cut off handed it out anew."""
    outcome = {"scores": dict(done.scores)} if done.failure is None else {"failure": done.failure}
    handed_out = {} if again is None else {"again": again}
    return {"event": "finish", "number": done.number, **outcome, "worker": done.worker, **handed_out, "at": at}


def replay(path: Path, objective: str, seen: Callable[[Mapping[str, Any]], None] = lambda event: None) -> History:
    """Read a journal, also one that is being written: a last line that is not whole is left out.

    `seen` is given each event, once it is in the history. Raises RecordError, with the line, where it is damaged elsewhere.
    """
    history = History(objective)
    for line, event in read_journal(path):
        try:
            _apply(history, event)
            seen(event)
        except (RecordError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise _damaged(path, line, f"{type(error).__name__}: {error}") from None
    return history


def forget_failures(path: Path) -> None:
    """Take the ends of failed evaluations out of a journal, so that they are in flight again."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line, (_, event) in zip(lines[1:], read_journal(path), strict=False) if "failure" not in event]
    if len(kept) < len(lines) - 1:
        beside = path.with_suffix(".tmp")
        beside.write_text("".join([lines[0], *kept]), encoding="utf-8")
        beside.replace(path)


def _apply(history: History, event: Mapping[str, Any]) -> None:
    if event["event"] == "start":
        if event["number"] != len(history.proposals):
            raise RecordError(f"proposal {event['number']} follows proposal {len(history.proposals) - 1}")
        known = history.known.get(event.get("digest", ""))
        architecture = from_plain(event["architecture"]) if known is None else known
        history.start(Proposal(architecture, event["origin"], tuple(event["parents"])))
    elif event["number"] in history.finished:
        raise RecordError(f"evaluation {event['number']} is finished twice")
    elif "failure" in event:
        history.fail(event["number"], event["failure"], event["worker"])
    else:
        history.finish(event["number"], event["scores"], event["worker"])


def read_journal(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each event with the number of its line; leave out a last line that is not whole."""
    data = path.read_bytes()
    for number, text in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), 1):
        try:
            event = json.loads(text)
        except ValueError:
            raise _damaged(path, number, "no JSON") from None
        if number > 1:
            yield number, event
        elif not isinstance(event, dict) or event.get("cellstack") not in range(1, FORMAT + 1):
            raise _damaged(path, number, f"not a journal of format {FORMAT} or older")


def _damaged(path: Path, line: int, reason: str) -> RecordError:
    return RecordError(f"{path}, line {line}: damaged ({reason}); mend the line, or cut the file before it and resume")
