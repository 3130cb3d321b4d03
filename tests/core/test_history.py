"""History: what was proposed, found and failed; and the journal, from which all of it comes back."""

from __future__ import annotations

import json
import math
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.history import History, Proposal
from nas.journal import Journal, finished_event, read_journal, replay, started_event
from nas.records import FORMAT, RecordError, digest
from nas.space import sample
from search_spaces.darts import darts

Outcome = float | None
"""A score; None for an evaluation that is still in flight."""


def scored(values: Iterable[Outcome], objective: str = "score") -> History:
    """Return a history of these scores, in this order; architectures are numbers."""
    history = History(objective)
    for number, value in enumerate(values):
        history.start(Proposal((number,)))
        if value is not None:
            history.finish(number, {"score": value})
    return history


def numbers(evaluations: Iterable[Any]) -> list[int]:
    return [each.number for each in evaluations]


def write(path: Path, history: History) -> Path:
    journal = Journal(path)
    for number in range(len(history.proposals)):
        journal.append(started_event(history, number, 1.0))
        if number in history.finished:
            journal.append(finished_event(history.finished[number], 2.0))
    journal.close()
    return path


def eventful() -> History:
    """Return a history in which everything happened that can happen."""
    history, rng = History("score"), Random(0)
    for number in range(6):
        parents = (number - 1,) if number else ()
        history.start(Proposal(sample(darts(), rng), "mutation" if parents else "random", parents))
    history.finish(1, {"score": 0.5, "seconds": 2.0}, "worker-1")
    history.finish(0, {"score": 0.75, "seconds": 3.0}, "worker-0")
    history.fail(3, "out of memory", "worker-1")
    history.finish(2, {"score": math.nan, "seconds": 9.0}, "worker-0")
    return history


def state(history: History) -> dict[str, Any]:
    return dict(vars(history))


# ---------------------------------------------------------------------------------------------------- history


def test_a_proposal_is_in_flight_until_it_is_finished() -> None:
    history = scored([None, None])
    assert history.in_flight.keys() == {0, 1}
    history.finish(1, {"score": 1.0})
    assert history.in_flight.keys() == {0}
    history.fail(0, "NaN")
    assert not history.in_flight
    assert history.finished.keys() == {0, 1}


def test_a_finished_evaluation_says_all_about_itself() -> None:
    history = History("score")
    history.start(Proposal("x", "mutation", (0,)))
    done = history.finish(0, {"score": 1.0, "params": 7.0}, "worker-3")
    assert (done.number, done.architecture, done.digest, done.worker) == (0, "x", digest("x"), "worker-3")
    assert done.proposal == Proposal("x", "mutation", (0,))
    assert done.scores == {"score": 1.0, "params": 7.0}
    assert done.failure is None
    assert history.scored_as[digest("x"), None] is done


def test_the_best_is_the_first_of_equal_ones() -> None:
    assert scored([1.0, 3.0, 2.0, 3.0, 3.0, 0.0]).best.number == 1  # type: ignore[union-attr]


def test_the_first_of_equal_ones_is_the_first_that_finished() -> None:
    history = scored([None, None])
    for number in (1, 0):
        history.finish(number, {"score": 1.0})
    assert history.best is history.finished[1]


def test_there_is_no_best_of_nothing() -> None:
    assert History("score").best is None
    assert scored([math.nan]).best is None


def test_an_objective_with_a_minus_is_minimised() -> None:
    history = scored([2.0, 1.0, 3.0, 1.0], "-score")
    assert history.objective == "score"
    assert history.best is history.finished[1]
    assert numbers(history.ranked) == [2, 0, 1, 3]
    assert history.value(history.finished[2]) == -3.0


@given(st.lists(st.none() | st.integers(0, 5) | st.just(math.inf), max_size=30))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_ranked_goes_from_worst_to_best_and_scored_by_time(values: list[Any]) -> None:
    history = scored(values)
    kept = [i for i, value in enumerate(values) if value is not None and value < 9]
    assert numbers(history.scored) == kept
    assert numbers(history.ranked) == sorted(kept, key=lambda i: values[i])
    assert (history.best.number if history.best else None) == (max(kept, key=lambda i: values[i]) if kept else None)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_a_failure(value: float) -> None:
    history = scored([value])
    assert not history.scored
    assert history.failures == [history.finished[0]]
    assert history.finished[0].failure == f"score is {value}"


def test_a_missing_score_is_a_failure() -> None:
    history = scored([None])
    history.finish(0, {"accuracy": 1.0})
    assert history.finished[0].failure == "score is missing: the scores are accuracy"


def test_a_failure_keeps_its_reason_and_has_no_scores() -> None:
    history = scored([None, 1.0])
    done = history.fail(0, "out of memory", "worker-1")
    assert (done.failure, done.worker, dict(done.scores)) == ("out of memory", "worker-1", {})
    assert numbers(history.failures) == [0]
    assert (done.digest, None) not in history.scored_as
    assert done.digest in history.known


def test_totals_add_up_what_succeeded() -> None:
    assert eventful().totals == {"score": 1.25, "seconds": 5.0}


def test_children_are_known_by_their_parents() -> None:
    assert eventful().children == {number: [number + 1] for number in range(5)}


@pytest.mark.parametrize("number", [0, 1], ids=["finished", "never started"])
def test_only_what_is_in_flight_can_be_finished(number: int) -> None:
    history = scored([1.0])
    with pytest.raises((KeyError, IndexError)):
        history.finish(number, {"score": 2.0})
    assert len(history.scored) == 1


# ---------------------------------------------------------------------------------------------------- journal


def test_a_replay_gives_the_same_history(tmp_path: Path) -> None:
    history = eventful()
    again = replay(write(tmp_path / "history.jsonl", history), "score")
    # The journal above is written proposal by proposal, so what finished finishes in that order.
    assert again.proposals == history.proposals
    assert again.finished == history.finished
    assert again.in_flight == history.in_flight
    assert again.digests == history.digests
    assert again.best == history.best


def test_a_replay_in_the_order_of_events_gives_the_same_state(tmp_path: Path) -> None:
    history, path = eventful(), tmp_path / "history.jsonl"
    journal = Journal(path)
    for number in range(len(history.proposals)):
        journal.append(started_event(history, number, 1.0))
    for done in history.finished.values():
        journal.append(finished_event(done, 2.0))
    journal.close()
    assert state(replay(path, "score")) == state(history)


def test_an_event_is_one_line_of_json(tmp_path: Path) -> None:
    lines = write(tmp_path / "history.jsonl", eventful()).read_text("utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    assert events[0] == {"cellstack": FORMAT}
    assert {"number": 0, "origin": "random", "parents": [], "at": 1.0}.items() <= events[1].items()
    assert events[1]["architecture"].keys() == {"Cells"}
    found = {"event": "finish", "number": 0, "scores": {"score": 0.75, "seconds": 3.0}, "worker": "worker-0", "at": 2.0}
    assert events[2] == found
    assert [event["failure"] for event in events if "failure" in event] == ["score is nan", "out of memory"]


def test_an_event_is_on_disk_as_soon_as_it_is_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "history.jsonl")
    journal.append({"event": "start"})
    assert (tmp_path / "history.jsonl").read_text().endswith('{"event": "start"}\n')
    journal.close()


def test_a_journal_goes_on_where_it_ended(tmp_path: Path) -> None:
    path, history = tmp_path / "history.jsonl", scored([1.0])
    write(path, history)
    history.start(Proposal((1,)))
    journal = Journal(path)
    journal.append(started_event(history, 1, 1.0))
    journal.close()
    assert state(replay(path, "score")) == state(history)
    assert path.read_text().count("cellstack") == 1


@pytest.mark.parametrize("kept", [1, 10, -1], ids=["a letter", "some", "all but the line's end"])
def test_a_torn_last_line_is_dropped_and_the_journal_goes_on(kept: int, tmp_path: Path) -> None:
    path, history = write(tmp_path / "history.jsonl", scored([1.0])), scored([1.0, None])
    whole = path.read_bytes()
    line = json.dumps(started_event(history, 1, 1.0)) + "\n"
    path.write_bytes(whole + line[:kept].encode())
    assert state(replay(path, "score")) == state(scored([1.0]))
    journal = Journal(path)
    assert path.read_bytes() == whole
    journal.append(started_event(history, 1, 1.0))
    journal.close()
    assert state(replay(path, "score")) == state(history)


@pytest.mark.parametrize("text", ["", '{"cella'], ids=["empty", "torn"])
def test_a_journal_that_never_began_is_empty(text: str, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text(text)
    assert state(replay(path, "score")) == state(History("score"))
    Journal(path).close()
    assert path.read_text() == json.dumps({"cellstack": FORMAT}) + "\n"


def test_reading_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    """It may be that of a search under way, whose last line is still being written."""
    path = write(tmp_path / "history.jsonl", scored([1.0]))
    path.write_text(text := path.read_text("utf-8") + '{"event": "st', "utf-8")
    replay(path, "score")
    assert path.read_text("utf-8") == text


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")
def test_a_journal_has_one_writer(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "history.jsonl")
    with pytest.raises(RecordError, match="is being written by another process"):
        Journal(tmp_path / "history.jsonl")
    journal.close()
    Journal(tmp_path / "history.jsonl").close()


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")
def test_whoever_looks_at_a_journal_does_not_stop_its_writer(tmp_path: Path) -> None:
    import fcntl

    path = write(tmp_path / "history.jsonl", scored([1.0]))
    with path.open("rb") as looked_at:
        fcntl.flock(looked_at, fcntl.LOCK_SH)
        timer = threading.Timer(0.1, fcntl.flock, (looked_at, fcntl.LOCK_UN))
        timer.start()
        Journal(path).close()
        timer.join()


def damage(path: Path, line: int, text: str) -> str:
    """Put `text` in the place of a line, counted from 1; return what replaying says."""
    lines = path.read_text("utf-8").splitlines()
    lines[line - 1] = text
    path.write_text("\n".join(lines) + "\n", "utf-8")
    with pytest.raises(RecordError) as caught:
        replay(path, "score")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"event": "st', "not JSON"),
        ("[]", "TypeError: "),
        ("{}", "KeyError: 'event'"),
        ('{"event": "finish", "number": 7, "scores": {}, "worker": ""}', "IndexError: "),
        ('{"event": "finish", "number": 0, "scores": {"score": "x"}, "worker": ""}', "TypeError: "),
        (
            '{"event": "start", "number": 0, "architecture": 1, "origin": "", "parents": []}',
            "RecordError: proposal 0 follows proposal 0",
        ),
        (
            '{"event": "start", "number": 1, "architecture": {"Skpi": {}}, "origin": "", "parents": []}',
            "RecordError: this names no record: did you mean 'Skip'?",
        ),
    ],
    ids=["torn", "no event", "empty", "unknown number", "no number", "out of order", "unknown record"],
)
def test_a_damaged_line_is_named(text: str, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path / "history.jsonl", scored([1.0, 2.0]))
    message = damage(path, 3, text)
    assert message.startswith(f"{path}, line 3: damaged ({reason}")
    assert message.endswith("); repair it, or truncate the file before it and resume")


def test_an_evaluation_that_is_finished_twice_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "history.jsonl", scored([1.0, 2.0]))
    message = damage(path, 5, path.read_text("utf-8").splitlines()[2])
    assert message.startswith(f"{path}, line 5: damaged (RecordError: evaluation 0 is finished twice)")


@pytest.mark.parametrize(
    "first",
    [{"cellstack": FORMAT + 1}, {"event": "start"}, [], {"cellstack": "new"}],
    ids=["newer", "none", "list", "text"],
)
def test_a_file_that_is_no_journal_we_know_is_refused(first: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "history.jsonl", scored([1.0]))
    message = damage(path, 1, json.dumps(first))
    assert message.startswith(f"{path}, line 1: damaged (not a journal of format {FORMAT} or older)")


def test_texts_of_any_kind_come_back(tmp_path: Path) -> None:
    history = scored([None])
    history.fail(0, 'two\nlines, "quoted", \u2028 and ü\r', "worker")
    assert state(replay(write(tmp_path / "history.jsonl", history), "score")) == state(history)


def test_a_journal_is_read_event_by_event(tmp_path: Path) -> None:
    path = write(tmp_path / "history.jsonl", scored([1.0]))
    assert [(line, event["event"]) for line, event in read_journal(path)] == [(2, "start"), (3, "finish")]


def test_a_replay_knows_the_objective_that_it_is_given(tmp_path: Path) -> None:
    path = write(tmp_path / "history.jsonl", scored([1.0, 2.0]))
    assert [replay(path, objective).best.number for objective in ("score", "-score")] == [1, 0]  # type: ignore[union-attr]
