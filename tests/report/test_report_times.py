"""What a report says of time: who did what when, what it took, and how a run stands."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import nan
from pathlib import Path
from random import Random
from shutil import copytree
from typing import Any

import pytest
from journals import events
from report_runs import FINAL, TOY, by_hand, carried_out, finish, start

from nas.family import family
from nas.history import History
from nas.journal import Journal
from nas.records import RecordError, to_plain
from nas.report.summary.clock import Clock
from nas.report.summary.journal import Log, Work
from nas.report.summary.loaded import load_run_summary
from nas.report.summary.summarise import summarise
from nas.report.summary.summary import Curve, Failure, RunSummary, to_json
from nas.report.summary.timeline import BARS, timeline_of
from nas.runs.run import plan, run
from nas.runtime.view import Silent
from nas.space import sample
from nas.terminal.show_run import look


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a real search, by evolution, for strings of bits."""
    return carried_out(TOY + FINAL, tmp_path_factory.mktemp("runs") / "toy")


# The workers' timeline


@pytest.fixture
def two_workers(tmp_path: Path) -> RunSummary:
    """Return the summary of a run whose journal is known: two workers, a failure, something reused, a stop of an hour."""
    lines = [
        start(0, 1000.0),
        start(1, 1000.0),
        finish(0, 1020.0, "a", fitness=1.0, seconds=15.0),  # waited 5 s
        start(2, 1020.0),
        finish(1, 1030.0, "b"),  # failed after 30 s
        start(3, 1030.0, bits=0),
        finish(3, 1030.0, "reused", fitness=1.0, seconds=0.0),
        start(4, 1030.0),
        finish(2, 1040.0, "a", fitness=0.5, seconds=20.0),
        # stopped at 1040 with 4 in flight, resumed an hour later: 4 is done by another worker
        finish(4, 4690.0, "c", fitness=2.0, seconds=50.0),
        start(5, 4690.0, "mutation", [4]),
        finish(5, 4700.0, "c", fitness=3.0, seconds=10.0),
        start(6, 4700.0, "mutation", [5]),
    ]
    return summarise(by_hand(tmp_path / "run", lines))


def test_the_timeline_is_that_of_the_journal(two_workers: RunSummary) -> None:
    line = two_workers.timeline
    assert line is not None
    rows = zip(line.worker, line.begin, line.end, line.first, line.works, line.failed, strict=True)
    assert [(line.workers[worker].name, *rest) for worker, *rest in rows] == [
        ("a", 5.0, 20.0, 0, 1, 0),
        ("a", 20.0, 40.0, 2, 1, 0),
        ("b", 0.0, 30.0, 1, 1, 1),
        ("c", 3640.0, 3690.0, 4, 1, 0),
        ("c", 3690.0, 3700.0, 5, 1, 0),
    ]
    assert line.pauses == [(40.0, 3640.0)]
    assert line.waited_seconds == pytest.approx((5 + 0 + 0 + 3610 + 0) / 5)


def test_a_work_begins_after_its_workers_last_one(tmp_path: Path) -> None:
    lines = [start(0, 0.0), start(1, 0.0), finish(0, 10.0, "a", fitness=1.0), finish(1, 25.0, "a", fitness=2.0)]
    line = summarise(by_hand(tmp_path / "run", lines)).timeline
    assert line is not None
    assert (line.begin, line.end, line.waited_seconds) == ([0.0, 10.0], [10.0, 25.0], 5.0)


def test_who_is_idle_and_for_how_long(two_workers: RunSummary) -> None:
    line = two_workers.timeline
    assert line is not None
    done = {worker.name: (worker.done, worker.failed) for worker in line.workers}
    idle = {worker.name: worker.idle_percent for worker in line.workers}
    assert done == {"a": (2, 0), "b": (1, 1), "c": (2, 0)}
    # a and b died when the run was stopped at 40 s, with something in flight that no journal says who worked on
    assert idle == {"a": 0.0, "b": 0.0, "c": 0.0}
    assert line.at_once == 2


def test_a_worker_is_idle_until_the_run_ends(tmp_path: Path) -> None:
    lines = [start(0, 0.0), start(1, 0.0), finish(0, 10.0, "a", fitness=1.0), finish(1, 40.0, "b", fitness=2.0)]
    line = summarise(by_hand(tmp_path / "run", lines)).timeline
    assert line is not None
    assert {each.name: each.idle_percent for each in line.workers} == {"a": 75.0, "b": 0.0}


def session(
    first: int, begin: float, workers: Sequence[str], again: Sequence[int] = (), killed: bool = True
) -> list[Any]:
    """Return the lines of workers that do three evaluations of 10 s each, and are killed within their fourth."""
    lines: list[Any] = []
    taken = list(again)
    number = first
    held: dict[str, int] = {}
    for turn in range(4):
        at = begin + 10 * turn
        for worker in workers:
            if worker in held:
                resumed = {"again": begin} if held[worker] in again else {}
                lines.append({**finish(held.pop(worker), at, worker, fitness=1.0), **resumed})
        for worker in workers if turn < 3 or killed else ():
            if taken:
                held[worker] = taken.pop(0)
                continue
            lines.append(start(number, at))
            held[worker], number = number, number + 1
    return lines


@pytest.mark.parametrize("pause", [5.0, 3600.0])
@pytest.mark.parametrize(
    ("workers", "at_once"), [(["ab", "cd", "ef"], 2), (["ab", "c"], 2), (["a", "bcd"], 3), (["abcdef", "gh"], 6)]
)
def test_the_workers_of_a_run_that_was_killed_and_resumed_are_not_idle(
    tmp_path: Path, pause: float, workers: Sequence[str], at_once: int
) -> None:
    lines: list[Any] = []
    again: list[int] = []
    begin = 0.0
    for i, names in enumerate(workers):
        first = sum(line["event"] == "start" for line in lines)
        lines += session(first, begin, names, again, killed=i < len(workers) - 1)
        begun = [line["number"] for line in lines if line["event"] == "start"]
        again = sorted({*begun} - {line["number"] for line in lines if line["event"] == "finish"})
        begin += 35.0 + pause
    line = summarise(by_hand(tmp_path / "run", lines)).timeline
    assert line is not None
    assert len(line.workers) == sum(map(len, workers))
    assert line.at_once == at_once
    assert max(each.idle_percent for each in line.workers) == pytest.approx(0.0, abs=1e-6)


def test_a_run_that_goes_on_after_its_end_has_other_workers(tmp_path: Path) -> None:
    lines = [start(0, 0.0), start(1, 0.0), finish(0, 10.0, "a", fitness=1.0), finish(1, 20.0, "b", fitness=2.0)]
    lines += [start(2, 50.0), start(3, 50.0), finish(2, 60.0, "c", fitness=1.0), finish(3, 70.0, "d", fitness=2.0)]
    line = summarise(by_hand(tmp_path / "run", lines)).timeline
    assert line is not None
    assert {each.name: each.idle_percent for each in line.workers} == {"a": 50.0, "b": 0.0, "c": 50.0, "d": 0.0}
    assert line.at_once == 2


def test_a_worker_that_died_is_not_idle_while_another_does_its_work(tmp_path: Path) -> None:
    lines: list[Any] = [start(0, 0.0), start(1, 0.0)]
    lines += [finish(0, 10.0, "dies", fitness=1.0), start(2, 12.0), finish(1, 40.0, "b", fitness=2.0)]
    lines += [start(3, 40.0), finish(2, 60.0, "replaces", fitness=3.0), finish(3, 60.0, "b", fitness=1.0)]
    line = summarise(by_hand(tmp_path / "run", lines)).timeline
    assert line is not None
    assert max(each.idle_percent for each in line.workers) == 0.0
    assert line.at_once == 2


def test_the_clock_of_the_curve_leaves_out_the_stop(two_workers: RunSummary) -> None:
    assert two_workers.curve is not None
    assert two_workers.curve.evaluations == [1, 5, 6]
    assert two_workers.curve.seconds == [20.0, 90.0, 100.0]


@pytest.mark.parametrize("scores", [{}, {"fitness": 3.0}])
def test_a_stop_is_no_work_of_what_was_in_flight_and_says_not_how_long_it_took(
    tmp_path: Path, scores: Mapping[str, float]
) -> None:
    lines = [start(0, 0.0), finish(0, 10.0, "a", fitness=1.0), start(1, 10.0)]
    lines += [{**finish(1, 36030.0, "a", **scores), "again": 36010.0}]
    summary = summarise(by_hand(tmp_path / "run", lines))
    assert summary.costs is not None
    assert summary.timeline is not None
    assert summary.costs.seconds == 30.0
    assert summary.costs.worker_hours == pytest.approx(30 / 3600)
    assert summary.timeline.pauses == [(10.0, 36010.0)]


def test_what_a_resumed_run_takes_up_is_work_from_then_on(tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "run", [start(0, 0.0), start(1, 0.0)], TOY.replace("60", "3"))
    run(plan(load_run_summary(folder).experiment), folder, lambda stage: Silent())
    costs = summarise(folder).costs
    assert costs is not None
    assert (costs.evaluated, costs.seconds < 60, costs.worker_hours < 60 / 3600) == (3, True, True)


def test_seconds_that_cannot_have_passed_are_a_tables(tmp_path: Path) -> None:
    lines = [start(0, 0.0), finish(0, 1.0, "a", fitness=1.0, seconds=900.0)]
    lines += [start(1, 1.0), finish(1, 2.0, "a", fitness=2.0, seconds=100.0)]
    summary = summarise(by_hand(tmp_path / "run", lines))
    assert summary.curve is not None
    assert summary.costs is not None
    assert (summary.curve.clock, summary.curve.seconds) == ("simulated", [900.0, 1000.0])
    assert (summary.costs.simulated, summary.costs.seconds, summary.costs.evaluation_seconds) == (True, 2.0, 1000.0)


def test_costs_add_up(two_workers: RunSummary) -> None:
    costs = two_workers.costs
    assert costs is not None
    assert (costs.evaluated, costs.failed, costs.reused, costs.in_flight, costs.distinct) == (4, 1, 1, 1, 6)
    assert costs.seconds == pytest.approx(100.0)
    assert costs.evaluation_seconds == pytest.approx(95.0)
    assert costs.seconds_per_evaluation == pytest.approx(95.0 / 4), "what was reused took none, and does not count"
    assert costs.worker_hours == pytest.approx((35 + 30 + 60) / 3600)
    assert costs.cpu_hours is None, "an inline executor holds what there is"


@pytest.mark.parametrize(
    ("executor", "cpus", "gpus"),
    [
        ("RayTune: {workers: 3, cpus_per_worker: 2, gpus_per_worker: 0.5}", 2, 0.5),
        ("RayTrain: {workers: 3, cpus_per_worker: 2, gpus_per_worker: 1}", 6, 3),
    ],
)
def test_processors_and_gpus_are_paid_for_while_they_are_held(
    tmp_path: Path, executor: str, cpus: float, gpus: float
) -> None:
    lines = [start(0, 0.0), start(1, 0.0), finish(0, 1800.0, "a", fitness=1.0), finish(1, 3600.0, "b")]
    costs = summarise(by_hand(tmp_path / "run", lines, f"{TOY}executor: {{{executor}}}\n")).costs
    assert costs is not None
    assert (costs.worker_hours, costs.cpu_hours, costs.gpu_hours) == (1.5, 1.5 * cpus, 1.5 * gpus)


def test_failures_and_in_flight_are_rows_of_the_table(two_workers: RunSummary) -> None:
    table = two_workers.evaluations
    assert table is not None
    assert [table.failures[i] if i >= 0 else "" for i in table.failure] == ["", "out of memory, 1", "", "", "", "", ""]
    assert table.scores["fitness"] == [1.0, None, 0.5, 1.0, 2.0, 3.0, None]
    assert table.architecture == [0, 1, 2, 0, 3, 4, 5]
    assert [table.workers[i] if i >= 0 else "" for i in table.worker] == ["a", "b", "a", "reused", "c", "c", ""]
    assert table.order == [0, 1, 3, 2, 4, 5, -1]
    assert table.ended[-1] is None
    assert table.parents[5] == (4,)
    assert two_workers.head.state == "stopped"


def test_failures_are_told_with_their_reasons(two_workers: RunSummary) -> None:
    assert two_workers.timeline is not None
    assert two_workers.timeline.failures == [Failure("search", 1, "b", 30.0, "out of memory, 1")]


def test_many_works_are_few_bars_and_none_is_lost() -> None:
    rng, free, works = Random(0), {"a": 0.0, "b": 0.0}, list[Work]()
    for number in range(6000):
        worker = min(free, key=lambda name: free[name])
        begin = free[worker] + rng.random() * 0.2
        free[worker] = begin + rng.random()
        works.append(Work(worker, "search", number, begin, free[worker], number % 100 == 0))
    ended = {work.number: work.end for work in works}
    logs = {"search": Log("search", History("fitness"), [work.begin for work in works], ended)}
    line = timeline_of(logs, works, Clock(logs.values(), works))
    assert line is not None
    assert BARS / 4 < len(line.begin) <= BARS + 2
    assert (sum(line.works), sum(line.failed)) == (6000, 60)
    assert sum(each.busy_seconds for each in line.workers) == pytest.approx(sum(w.end - w.begin for w in works))
    for i in range(len(line.begin) - 1):
        if line.worker[i] == line.worker[i + 1]:
            assert line.begin[i] <= line.end[i] <= line.begin[i + 1]


# The JSON


def test_json_holds_every_field_and_no_number_that_is_none(two_workers: RunSummary) -> None:
    (told,) = json.loads(to_json([two_workers]))["runs"]
    assert list(told) == list(RunSummary.__dataclass_fields__)
    assert told["evaluations"]["scores"]["fitness"] == [1, None, 0.5, 1, 2, 3, None]
    assert told["timeline"]["workers"][1]["name"] == "b"
    odd = Curve([1], [1 / 3], [nan], [0], "wall", None)
    assert json.loads(to_json([RunSummary(two_workers.head, two_workers.reproduction, curve=odd)]))["runs"][0][
        "curve"
    ] == {"evaluations": [1], "seconds": [0.333333], "best": [None], "number": [0], "clock": "wall", "baseline": None}


# How a run stands, and folders that are none


def test_a_run_is_running_while_its_journal_is_held(toy: Path) -> None:
    journal = Journal(toy / "history.jsonl")
    try:
        assert summarise(toy).head.state == "running"
    finally:
        journal.close()
    assert summarise(toy).head.state == "ended"


def test_a_run_that_ended_and_went_on_stands_alike_in_the_report_and_in_what_is_printed(
    toy: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "toy"
    copytree(toy, folder)
    assert summarise(folder).head.state == look(folder, 0.0).state == "ended"
    with (folder / "history.jsonl").open("a", encoding="utf-8") as journal:
        journal.write(json.dumps(start(len(events(folder)) // 2, 9.0)) + "\n")
    assert summarise(folder).head.state == look(folder, 0.0).state == "stopped"


def test_the_seconds_of_what_a_supernet_found_are_not_those_of_a_table(tmp_path: Path) -> None:
    text = "space: nasbench201\nnetwork: {channels: 4}\nsupernet: {method: Gdas, data: Digits, epochs: 1}\n"
    first = start(0, 5.0, "seed 0")
    first["architecture"] = to_plain(sample(family("nasbench201").space(), Random(0)))
    first["digest"] = ""
    done = finish(0, 5.1, "inline", validation_top1_percent=50.0, seconds=900.0)
    summary = summarise(by_hand(tmp_path / "run", [first, done], text))
    assert summary.curve is not None
    assert summary.costs is not None
    assert (summary.curve.clock, summary.costs.simulated) == ("wall", False)


def test_a_run_that_has_only_begun_says_what_is_missing(tmp_path: Path) -> None:
    summary = summarise(by_hand(tmp_path / "run", [start(0, 5.0)]))
    assert summary.best is None
    assert summary.curve is None
    assert summary.timeline is None
    assert summary.missing["curve"] == summary.missing["best"] == "nothing was scored yet"
    empty = tmp_path / "empty"
    by_hand(empty, [])
    (empty / "history.jsonl").unlink()
    assert summarise(empty).head.state == "stopped"
    assert to_json([summary, summarise(empty)])


def test_a_damaged_journal_is_named_with_its_line(tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "run", [start(0, 5.0), start(2, 6.0)])
    with pytest.raises(RecordError, match=r"history.jsonl, line 3: damaged .*truncate the file before it and resume"):
        summarise(folder)
    folder = by_hand(tmp_path / "other", [start(0, 5.0), {"event": "finish", "number": 0, "scores": {}}])
    with pytest.raises(RecordError, match="line 3: damaged"):
        summarise(folder)


def test_a_last_line_that_is_torn_is_left_out(tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "run", [start(0, 5.0), finish(0, 6.0, "a", fitness=1.0)])
    with (folder / "history.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"event": "start", "num')
    assert summarise(folder).costs == summarise(folder).costs
    assert len(load_run_summary(folder).history.proposals) == 1


def test_a_folder_that_is_no_run_names_what_would_be_one(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"no run folder.*nas search, nas train or nas transfer"):
        summarise(tmp_path)
