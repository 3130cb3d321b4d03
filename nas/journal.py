"""The journal of a history: an append-only file, the one source of truth about a run.

Each event is one line of JSON, written before anything else happens. A search is resumed by replaying the journal, which
restores the same history.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from nas.files import write_atomically
from nas.history import Evaluated, History, Limit, Proposal, Scores
from nas.lock import hold
from nas.plain import from_plain
from nas.records import FORMAT, RecordError, digest, plain_text


class Journal:
    """An append-only file of events; a new one begins with the version of its format.

    A last line left incomplete by a crash is dropped. Raises RecordError where another process has the file open: two writers
    would corrupt it.
    """

    def __init__(self, path: Path) -> None:
        self._file: IO[str] = path.open("a", encoding="utf-8")
        # Lock before reading: only the writer may drop an incomplete last line.
        hold(self._file.fileno(), path)
        whole = path.read_bytes().rfind(b"\n") + 1
        self._file.truncate(whole)
        if not whole:
            self.append({"cellstack": FORMAT})

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event and flush it to the operating system, so that it outlives this process; trees become plain data."""
        self._file.write(plain_text(event) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def started_event(history: History, number: int, at: float) -> dict[str, Any]:
    """Return the line of a new proposal; `at` is in seconds since 1970."""
    proposal = history.proposals[number]
    return {
        "event": "start",
        "number": number,
        "digest": history.digests[number],
        **_lineage(proposal),
        "at": at,
        "architecture": proposal.architecture,
    }


def _lineage(proposal: Proposal) -> dict[str, Any]:
    further: dict[str, Any] = {"notes": dict(proposal.notes)} if proposal.notes else {}
    for name in ("epochs", "resumes"):
        if (value := getattr(proposal, name)) is not None:
            further[name] = value
    return {"origin": proposal.origin, "parents": list(proposal.parents), **further}


def rejected_event(proposal: Proposal, costs: Scores, at: float) -> dict[str, Any]:
    """Return the line of a proposal whose `costs` are outside a limit."""
    return {
        "event": "reject",
        **_lineage(proposal),
        "costs": dict(costs),
        "at": at,
        "architecture": proposal.architecture,
    }


def skipped_event(proposal: Proposal, at: float) -> dict[str, Any]:
    """Return the line of a proposal that repeats a known architecture, where such ones are not wanted."""
    return {"event": "skip", "digest": digest(proposal.architecture), **_lineage(proposal), "at": at}


def session_event(at: float) -> dict[str, Any]:
    """Return the line of the beginning of a run, or of its resumption."""
    return {"event": "session", "at": at}


def report_event(number: int, epoch: int, scores: Scores, at: float) -> dict[str, Any]:
    """Return the line of the scores after an epoch of an evaluation in progress."""
    return {"event": "report", "number": number, "epoch": epoch, "scores": dict(scores), "at": at}


def finished_event(done: Evaluated, at: float, again: float | None = None) -> dict[str, Any]:
    """Return the line of a result: scores or failure. `again` is when a resumed run handed the proposal out a second time."""
    # an evaluation that ended at a limit has scores, and its reason follows from them
    outcome = {"scores": dict(done.scores)} if done.scores or done.failure is None else {"failure": done.failure}
    handed_out = {} if again is None else {"again": again}
    reached = {} if done.epochs is None else {"epochs": done.epochs}
    return {
        "event": "finish",
        "number": done.number,
        **outcome,
        **reached,
        "worker": done.worker,
        **handed_out,
        "at": at,
    }


def replay(
    path: Path,
    objective: str | Sequence[str],
    seen: Callable[[Mapping[str, Any]], object] = lambda event: None,
    limits: Mapping[str, Limit] | None = None,
) -> History:
    """Read a journal, even one that is being written: an incomplete last line is left out.

    `seen` is called with each event after it is in the history. Raises RecordError, with the line, for damage elsewhere.
    """
    history = History(objective, limits)
    for line, event in read_journal(path):
        try:
            read_event(history, event)
            seen(event)
        except (RecordError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise _damaged(path, line, f"{type(error).__name__}: {error}") from None
    return history


def forget_failures(path: Path) -> None:
    """Remove the results of failed evaluations from a journal, so that they are in flight again."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    # Line 1 is the version; not strict, as `lines` may end in an incomplete line, which `read_journal` leaves out.
    kept = [line for line, (_, event) in zip(lines[1:], read_journal(path), strict=False) if "failure" not in event]
    if len(kept) < len(lines) - 1:
        text = "".join([lines[0], *kept])
        write_atomically(path, lambda file: file.write_text(text, encoding="utf-8"))


def read_event(history: History, event: Mapping[str, Any]) -> None:
    """Add what one line of a journal says to a history."""
    if event["event"] == "start":
        if event["number"] != len(history.proposals):
            raise RecordError(f"proposal {event['number']} follows proposal {len(history.proposals) - 1}")
        # An architecture seen before is not parsed again.
        known = history.known.get(event.get("digest", ""))
        architecture = from_plain(event["architecture"]) if known is None else known
        history.start(_proposal(architecture, event), event.get("digest", ""))
    elif event["event"] == "reject":
        history.reject(_proposal(from_plain(event["architecture"]), event))
    elif event["event"] == "skip":
        history.skip(_proposal(history.known[event["digest"]], event))
    elif event["event"] == "session":
        pass
    elif event["event"] == "report":
        history.report(event["number"], event["epoch"], event["scores"])
    elif event["number"] in history.finished:
        raise RecordError(f"evaluation {event['number']} is finished twice")
    elif "failure" in event:
        history.fail(event["number"], event["failure"], event["worker"])
    else:
        history.finish(event["number"], event["scores"], event["worker"], event.get("epochs"))


def _proposal(architecture: Any, event: Mapping[str, Any]) -> Proposal:
    further = event.get("notes", {}), event.get("epochs"), event.get("resumes")
    return Proposal(architecture, event["origin"], tuple(event["parents"]), *further)


def read_journal(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each event with its line number; leave out an incomplete last line."""
    data = path.read_bytes()
    for number, text in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), 1):
        try:
            event = json.loads(text)
        except ValueError:
            raise _damaged(path, number, "not JSON") from None
        if number > 1:
            yield number, event
        elif not isinstance(event, dict) or event.get("cellstack") not in range(1, FORMAT + 1):
            raise _damaged(path, number, f"not a journal of format {FORMAT} or older")


def _damaged(path: Path, line: int, reason: str) -> RecordError:
    return RecordError(f"{path}, line {line}: damaged ({reason}); repair it, or truncate the file before it and resume")
