"""What a report says of a run, against definitions written here: from real runs and from journals written by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from math import inf, nan
from pathlib import Path
from random import Random
from shutil import copytree
from typing import Any

import numpy as np
import pytest

from nas.choice import choices
from nas.data.digits import Digits
from nas.evaluation.results import append_epoch
from nas.evaluation.transfer import Transfer
from nas.family import family
from nas.history import History, Journal
from nas.plain import write
from nas.profile import profile
from nas.record import RecordError, digest, to_plain
from nas.report.summary.ancestry import ancestors_of, changes_between
from nas.report.summary.baseline import HIGH, LOW, Spent, estimated, simulated
from nas.report.summary.clock import Clock
from nas.report.summary.fronts import PROFILED, fronts_of
from nas.report.summary.journal import Log, Work
from nas.report.summary.loaded import load
from nas.report.summary.summarise import summarise
from nas.report.summary.summary import Curve, Failure, RunSummary, to_json
from nas.report.summary.supernets import supernet_curves
from nas.report.summary.timeline import BARS, timeline_of
from nas.runtime import experiment as experiments
from nas.runtime.architecture import Found
from nas.runtime.folder import provenance, write_declared
from nas.runtime.full_training import FullTraining
from nas.runtime.inline import Inline
from nas.runtime.run import create_folder, plan, run
from nas.runtime.show_run import look
from nas.runtime.view import Silent
from nas.space import decisions, mutate, sample
from nas.supernets.search import Searched, SupernetEpoch
from nas.training.measure import Accuracy, Measured, Speed
from nas.training.reports import Epoch

OBJECTIVE = "validation_top1_percent"

TOY = """\
space: {bits: {length: 12}}
strategy:
  RegularizedEvolution: {population: 10, sample: 4}
evaluator:
  NoisyBits: {noise: 0.01}
rules:
  budget: {evaluations: 60}
  objective: fitness
"""

FINAL = """\
final:
  objective: true_fitness
  beside_random: 2
"""

SMALL = """\
space: nasbench201
network: {channels: 2, cells_per_stage: 1}
strategy:
  RegularizedEvolution: {population: 2, sample: 1}
evaluator:
  Training:
    data: Digits
    validation: 100
    images: 200
    recipe: {epochs: 1, batch: 50, lr: 0.1, crop_pad: 1, flip: false, cutout: 0, drop_path: 0.0}
rules:
  budget: {evaluations: 3}
"""


def carried_out(text: str, folder: Path) -> Path:
    """Run the experiment of a text in a folder."""
    file = folder.with_suffix(".yaml")
    file.write_text(text, encoding="utf-8")
    planned = plan(experiments.load(file))
    create_folder(folder, planned)
    run(planned, folder, lambda phase, total: Silent())
    return folder


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a real search, by evolution, for strings of bits."""
    return carried_out(TOY + FINAL, tmp_path_factory.mktemp("runs") / "toy")


@pytest.fixture(scope="module")
def toy_summary(toy: Path) -> RunSummary:
    """Return what is said of it."""
    return summarise(toy)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """Return the folder of a real search by training on scans of digits, with final trainings."""
    return carried_out(SMALL, tmp_path_factory.mktemp("runs") / "small")


def events(folder: Path, name: str = "history.jsonl") -> list[dict[str, Any]]:
    """Return the events of a journal, read without the library."""
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()[1:]]


def by_hand(folder: Path, lines: Sequence[Mapping[str, Any]], text: str = TOY) -> Path:
    """Make a run folder whose journal is written by hand: (number, origin, parents, at) begin, the others end a proposal."""
    file = folder.with_suffix(".yaml")
    file.write_text(text, encoding="utf-8")
    create_folder(folder, plan(experiments.load(file)))
    journal = [{"cellstack": 1}, *lines]
    (folder / "history.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in journal), encoding="utf-8")
    return folder


def start(number: int, at: float, origin: str = "random", parents: Sequence[int] = (), bits: int | None = None) -> Any:
    """Return the line of a proposal: a string whose bits are those of a number."""
    number_of_bits = number if bits is None else bits
    space = family("bits").space(12)
    architecture = type(space)(tuple(int(bit) for bit in f"{number_of_bits:012b}"))
    return {
        "event": "start",
        "number": number,
        "digest": digest(architecture),
        "origin": origin,
        "parents": list(parents),
        "architecture": to_plain(architecture),
        "at": at,
    }


def finish(number: int, at: float, worker: str, **scores: float) -> Any:
    """Return the line of an evaluation's end; without scores it failed."""
    outcome = {"scores": scores} if scores else {"failure": f"out of memory, {number}"}
    return {"event": "finish", "number": number, **outcome, "worker": worker, "at": at}


# The anytime curve


def test_the_best_so_far_is_that_of_the_journal(toy: Path, toy_summary: RunSummary) -> None:
    finished = [event for event in events(toy) if event["event"] == "finish"]
    best, improved = -inf, []
    for i, event in enumerate(finished, 1):
        if event["scores"]["fitness"] > best:
            best = event["scores"]["fitness"]
            improved.append((i, best, event["number"]))
    curve = toy_summary.curve
    assert curve is not None
    told = list(zip(curve.evaluations, curve.best, curve.number, strict=True))
    assert told == [*improved, (60, best, improved[-1][2])][: len(told)]
    assert told[-1][:2] == (60, best)
    first = events(toy)[0]["at"]
    assert curve.clock == "wall"
    assert curve.seconds[-1] == pytest.approx(finished[-1]["at"] - first)


def test_an_objective_to_minimise_has_its_lowest_so_far(tmp_path: Path) -> None:
    lines = [start(i, 1000 + i) for i in range(6)]
    lines += [finish(i, 1010 + i, "a", loss=loss) for i, loss in enumerate((3.0, 5.0, 2.0, 4.0, 1.5, 9.0))]
    summary = summarise(by_hand(tmp_path / "run", lines, TOY.replace("fitness", "-loss")))
    assert summary.head.minimises
    assert summary.head.objective == "loss"
    assert summary.curve is not None
    assert summary.curve.best == [3.0, 2.0, 1.5, 1.5]
    assert summary.curve.evaluations == [1, 3, 5, 6]
    band = summary.curve.baseline.by_evaluations if summary.curve.baseline else None
    assert band is not None
    assert band.mean[0] == pytest.approx(np.mean([3.0, 5.0, 2.0, 4.0, 1.5, 9.0]))
    assert band.mean[-1] == pytest.approx(1.5)
    assert all(low <= high for low, high in zip(band.low, band.high, strict=True))


# Random search to compare with


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_expected_best_of_n_draws_is_that_of_all_ways_to_draw_them(sign: float) -> None:
    values = [Random(4).choice((1.0, 2.5, 2.5, 4.0)) + i % 3 for i in range(9)]
    found = estimated(values, sign, seconds_each=2.0).by_evaluations
    best_of = max if sign > 0 else min
    assert found.x == list(range(1, 10))
    for n, mean, low, high in zip(range(1, 10), found.mean, found.low, found.high, strict=True):
        bests = sorted(best_of(drawn) for drawn in combinations(values, n))
        assert mean == pytest.approx(sum(bests) / len(bests))
        for edge, percent in ((low, LOW), (high, HIGH)):
            below = sum(best <= edge for best in bests) / len(bests)
            strictly = sum(best < edge for best in bests) / len(bests)
            assert edge in bests
            assert strictly - 1e-9 <= percent / 100 <= below + 1e-9


def test_many_draws_are_estimated_as_a_simulation_finds() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(90, 2, size=400)
    found = estimated(values.tolist(), 1.0, seconds_each=3.0)
    place = min(range(len(found.by_evaluations.x)), key=lambda i: abs(found.by_evaluations.x[i] - 40))
    n = int(found.by_evaluations.x[place])
    drawn = np.array([rng.choice(values, n, replace=False).max() for _ in range(4000)])
    assert found.by_evaluations.mean[place] == pytest.approx(drawn.mean(), abs=5 * drawn.std() / 4000**0.5)
    assert found.by_seconds.x[place] == 3.0 * n
    assert found.by_evaluations.x[-1] == 400


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a table of all strings of 12 bits, whose accuracy is a known number."""
    rng = np.random.default_rng(1)
    ops = np.array([[int(bit) for bit in f"{i:012b}"] for i in range(4096)])
    values = np.stack([90 + rng.normal(size=4096), np.full(4096, 50.0)], axis=1)
    np.savez(tmp_path / "table.npz", ops=ops, columns=np.array(["valid", "time"]), values=values)
    return tmp_path / "table.npz"


def tabular(table: Path, more: str = "") -> str:
    """Return an experiment on a table."""
    evaluator = f"Tabular: {{table: {table}, validation: valid, test_columns: {{}}, seconds: time}}"
    return TOY.replace("NoisyBits: {noise: 0.01}", evaluator).replace("fitness", f"{OBJECTIVE}{more}")


def test_random_search_is_simulated_on_the_runs_own_table(table: Path, tmp_path: Path) -> None:
    folder = carried_out(tabular(table, "\n  duplicates: evaluate"), tmp_path / "run")
    summary = summarise(folder)
    values = np.sort(np.load(table)["values"][:, 0])
    assert summary.curve is not None
    assert summary.curve.baseline is not None
    assert summary.curve.clock == "simulated"
    assert summary.curve.seconds[-1] == 60 * 50.0
    by_evaluations, by_seconds = summary.curve.baseline.by_evaluations, summary.curve.baseline.by_seconds
    for n, mean in zip(by_evaluations.x, by_evaluations.mean, strict=True):
        below = np.arange(4097) / 4096  # the highest of n draws, put back, is at most the i'th lowest: (i / N) ** n
        chances = np.diff(below**n)
        expected = float(chances @ values)
        deviation = float(chances @ (values - expected) ** 2) ** 0.5
        assert mean == pytest.approx(expected, abs=4.5 * deviation / 10)
    at = dict(zip(by_evaluations.x, by_evaluations.mean, strict=True))
    for seconds, mean in zip(by_seconds.x, by_seconds.mean, strict=True):  # every evaluation takes 50 s
        if seconds // 50 in at:
            assert mean == at[seconds // 50]
    again = summarise(folder)
    assert again.curve == summary.curve


def test_without_its_table_a_run_has_an_estimate(table: Path, tmp_path: Path) -> None:
    folder = carried_out(tabular(table), tmp_path / "run")
    table.unlink()
    from nas.evaluation.tabular import load_table

    load_table.cache_clear()
    curve = summarise(folder).curve
    assert curve is not None
    assert curve.baseline is not None
    assert "random proposals" in curve.baseline.how


@pytest.mark.parametrize("seconds", [0.0, 1e-9])
def test_a_table_without_a_clock_has_a_baseline_too(table: Path, tmp_path: Path, seconds: float) -> None:
    text = tabular(table).replace("seconds: time", f"seconds: time, seconds_per_unit: {seconds}")
    curve = summarise(carried_out(text, tmp_path / "run")).curve
    assert curve is not None
    assert curve.baseline is not None
    assert curve.clock == "simulated"
    assert curve.baseline.by_seconds.mean[-1] == pytest.approx(curve.baseline.by_evaluations.mean[-1], abs=1.0)


def test_an_architecture_drawn_again_takes_time_only_where_the_search_pays_for_it(table: Path) -> None:
    from nas.evaluation.tabular import Tabular

    evaluator = Tabular(str(table), "valid", {}, "time")
    pays = simulated(evaluator, 1.0, Spent(3000, 3000 * 50.0, pays_again=True))
    reuses = simulated(evaluator, 1.0, Spent(3000, 3000 * 50.0, pays_again=False))
    assert pays.by_evaluations == reuses.by_evaluations
    last = [band.mean[-1] for band in (pays.by_seconds, reuses.by_seconds)]
    assert last[1] > last[0]


def test_too_few_random_proposals_are_no_baseline(tmp_path: Path) -> None:
    lines = [start(0, 0.0), start(1, 0.0), finish(0, 5.0, "a", fitness=1.0), finish(1, 6.0, "a", fitness=2.0)]
    summary = summarise(by_hand(tmp_path / "run", lines))
    assert summary.curve is not None
    assert summary.curve.baseline is None
    assert "2 random proposals" in summary.missing["baseline"]


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
    # 100 s of work remain: 0 to 40 and 3640 to 3700; a is there from 5 on, b from 0, c from 3640
    assert idle == pytest.approx({"a": 100 * (1 - 35 / 95), "b": 100 * (1 - 30 / 100), "c": 0.0})


def test_the_clock_of_the_curve_leaves_out_the_stop(two_workers: RunSummary) -> None:
    assert two_workers.curve is not None
    assert two_workers.curve.evaluations == [1, 5, 6]
    assert two_workers.curve.seconds == [20.0, 90.0, 100.0]


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


# The family tree


def test_changes_are_the_decisions_that_a_mutation_changed() -> None:
    space = family("nasbench201").space()
    parent = sample(space, Random(0))
    child = mutate(space, parent, Random(1))
    before, after = decisions(space, parent), decisions(space, child)
    (name,) = (name for name in before if before[name] != after[name])
    words = ("zero", "skip", "relu_conv1", "relu_conv3", "avg_pool3")
    (change,) = changes_between(choices(space), before, after)
    assert (change.choice, change.before, change.after) == (name, words[before[name]], words[after[name]])


def test_changes_of_picks_and_of_choices_that_open_are_told() -> None:
    space = family("darts").space()
    parent = sample(space, Random(0))
    for seed in range(40):
        child = mutate(space, parent, Random(seed))
        before, after = decisions(space, parent), decisions(space, child)
        changes = {change.choice: change for change in changes_between(choices(space), before, after)}
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        assert set(changes) == set(names)
        for name, change in changes.items():
            assert bool(change.before) == (name in before)
            assert bool(change.after) == (name in after)
        if len(changes) > 1:
            picked = next(change for name, change in changes.items() if name.count("/") == 1 and "-" not in name)
            assert picked.before.startswith("Edge ")
            assert " + Edge " in picked.before
            return
    raise AssertionError("no mutation opened a choice")


def test_the_winners_ancestors_are_those_of_the_journal(toy: Path, toy_summary: RunSummary) -> None:
    begun = {event["number"]: event for event in events(toy) if event["event"] == "start"}
    scores = {event["number"]: event["scores"]["fitness"] for event in events(toy) if event["event"] == "finish"}
    number, chain = max(scores, key=lambda each: (scores[each], -each)), []
    while True:
        chain.append(number)
        if not begun[number]["parents"]:
            break
        (number,) = begun[number]["parents"]
    assert [each.number for each in toy_summary.ancestors] == chain
    for each in toy_summary.ancestors:
        assert each.value == scores[each.number]
        assert each.children == sum(each.number in event["parents"] for event in begun.values())
        if each.parents:
            bits = [begun[i]["architecture"]["Bits"]["values"] for i in (each.parents[0], each.number)]
            differing = [i for i in range(12) if bits[0][i] != bits[1][i]]
            assert [change.choice for change in each.changes] == [f"{i:03}" for i in differing]
            assert [(change.before, change.after) for change in each.changes] == [
                (str(bits[0][i]), str(bits[1][i])) for i in differing
            ]


def test_an_ancestor_of_both_parents_is_shown_once(tmp_path: Path) -> None:
    lines = [start(i, 0.0) for i in range(2)] + [finish(i, 1.0, "a", fitness=1.0) for i in range(2)]
    for number, parents in ((2, [0]), (3, [0, 1]), (4, [2, 3])):
        lines += [start(number, 2.0, "crossover", parents), finish(number, 3.0, "a", fitness=float(number))]
    loaded = load(by_hand(tmp_path / "run", lines))
    assert loaded.history.best is not None
    found = ancestors_of(loaded.space, loaded.history, loaded.history.best)
    assert [each.number for each in found] == [4, 2, 3, 0, 1]


# Accuracy against cost


@pytest.mark.parametrize("objective", ["fitness", "-fitness"])
def test_the_pareto_front_is_that_of_all_pairs(tmp_path: Path, objective: str) -> None:
    rng = Random(3)
    points = [(rng.randrange(12), rng.randrange(12)) for _ in range(150)]
    lines = [start(i, float(i)) for i in range(150)]
    lines += [finish(i, 200.0 + i, "a", fitness=float(v), macs=c, params=1 + c % 3) for i, (c, v) in enumerate(points)]
    (front, by_params) = summarise(by_hand(tmp_path / "run", lines, TOY.replace("fitness", objective))).fronts
    sign = -1 if objective.startswith("-") else 1
    assert (front.cost, by_params.cost) == ("macs", "params")
    assert sorted(front.number) == list(range(150))
    told = {number for number, on in zip(front.number, front.on_front, strict=True) if on}
    undominated = {
        (cost, value)
        for cost, value in points
        if not any(c <= cost and sign * v >= sign * value and (c, v) != (cost, value) for c, v in points)
    }
    assert {points[number] for number in told} == undominated
    assert len(told) == len(undominated)


def test_networks_are_profiled_where_the_scores_lack_costs_and_few_of_many(table: Path, tmp_path: Path) -> None:
    space = family("nasbench201").space()
    lines, seen = [], list[Any]()
    for number in range(2 * PROFILED):
        architecture = sample(space, Random(number))
        seen.append(architecture)
        line = {**start(number, float(number)), "digest": digest(architecture), "architecture": to_plain(architecture)}
        lines += [line, finish(number, 100.0 + number, "a", fitness=float(number))]
    text = TOY.replace("{bits: {length: 12}}", "nasbench201\nnetwork: {channels: 2, cells_per_stage: 1}")
    loaded = load(by_hand(tmp_path / "run", lines, text))
    fronts, missing = fronts_of(loaded)
    assert not missing
    assert len(fronts[0].number) == PROFILED
    assert f"{PROFILED} of {len(loaded.history.known)}" in fronts[0].note
    assert 2 * PROFILED - 1 in fronts[0].number, "the best is among them"
    number = fronts[0].number[0]
    assert loaded.input == (3, 32, 32), "no data set says otherwise"
    known = profile(family("nasbench201").network(seen[number], channels=2, cells_per_stage=1), (3, 32, 32))
    assert fronts[0].costs[0] == known.macs
    best = summarise(tmp_path / "run").best
    assert best is not None
    assert best.macs == dict(zip(fronts[0].number, fronts[0].costs, strict=True))[2 * PROFILED - 1]


def test_what_is_no_network_has_no_front_and_the_reason_is_given(toy_summary: RunSummary) -> None:
    assert not toy_summary.fronts
    assert "no network" in toy_summary.missing["fronts"]


# A real search by training


def test_a_real_search_by_training_is_told_whole(small: Path) -> None:
    summary, history = summarise(small), load(small).history
    finished = [event for event in events(small) if event["event"] == "finish"]
    best = max(finished, key=lambda event: event["scores"][OBJECTIVE])
    assert summary.best is not None
    assert history.best is not None
    assert (summary.best.number, summary.best.scores) == (best["number"], best["scores"])
    assert summary.best.macs == best["scores"]["macs"]
    assert summary.best.svg.startswith("<svg")
    assert summary.best.text == family("nasbench201").describe(history.best.architecture)
    assert (summary.head.state, summary.head.budget) == ("ended", "3 of 3 evaluations")
    assert {front.cost for front in summary.fronts} == {"macs", "params"}
    assert sum(rows[-1] for rows in summary.shares[0].percent) == pytest.approx(100)
    assert summary.timeline is not None
    busy = sum(event["scores"]["seconds"] for event in finished)
    assert busy <= sum(worker.busy_seconds for worker in summary.timeline.workers) + 1e-6
    assert "nas search" in summary.reproduction.commands[0]


def test_finals_are_told_with_their_epochs_and_tests(toy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    copytree(toy, folder)
    measured = Measured(("cat", "dog"), accuracy(4, 5))
    for role in ("best", "random-1"):
        append_epoch(folder / f"{role}.safetensors", Epoch(1, 1, 0.5, 50.0, 60.0, 2.0, 100.0, 0.1))
        (folder / f"{role}.test.json").write_text(write(measured), encoding="utf-8")
    summary = summarise(folder)
    tested = [event["scores"]["true_fitness"] for event in events(toy, "final.jsonl") if event["event"] == "finish"]
    assert summary.finals is not None
    assert list(summary.finals.roles) == ["best", "random 1", "random 2"]
    assert summary.finals.scores == {"true_fitness": tested}
    assert [each.role for each in summary.trainings] == ["best", "random 1"]
    assert [each.role for each in summary.tests] == ["best", "random 1"]
    assert summary.timeline is not None
    assert summary.timeline.phases == ["search", "final"]
    assert summary.costs is not None
    assert summary.costs.finals == 3


def test_the_yaml_of_a_report_reads_as_the_experiment(small: Path, tmp_path: Path) -> None:
    summary = summarise(small)
    (tmp_path / "again.yaml").write_text(summary.reproduction.yaml, encoding="utf-8")
    assert experiments.load(tmp_path / "again.yaml") == load(small).experiment
    assert summary.head.versions
    assert f"# versions: {summary.head.versions}" in summary.reproduction.yaml


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
    with pytest.raises(RecordError, match=r"history.jsonl, line 3: damaged .*cut the file before it and resume"):
        summarise(folder)
    folder = by_hand(tmp_path / "other", [start(0, 5.0), {"event": "finish", "number": 0, "scores": {}}])
    with pytest.raises(RecordError, match="line 3: damaged"):
        summarise(folder)


def test_a_last_line_that_is_torn_is_left_out(tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "run", [start(0, 5.0), finish(0, 6.0, "a", fitness=1.0)])
    with (folder / "history.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"event": "start", "num')
    assert summarise(folder).costs == summarise(folder).costs
    assert len(load(folder).history.proposals) == 1


def test_a_folder_that_is_no_run_names_what_would_be_one(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"no run folder.*nas search, nas train or nas transfer"):
        summarise(tmp_path)


# Supernets


def test_alphas_are_columns_by_epoch_with_gaps_where_an_option_is_gone() -> None:
    epochs = tuple(
        SupernetEpoch(
            epoch=i,
            epochs=4,
            phase=phase,
            loss=2.0 / i,
            top1_percent=10.0 * i,
            alphas_loss=None,
            alphas_top1_percent=None,
            seconds=1.0,
            entropy=1 - i / 10,
            skips=i,
            skippable=8,
            warning="collapsing" if i == 4 else "",
            strengths={"a": (0.2, 0.3, 0.5) if phase == 0 else (0.6, 0.4)},
        )
        for i, phase in ((1, 0), (2, 0), (3, 1), (4, 1))
    )
    options = ({"a": ("SepConv 3", "Skip", "Zero")}, {"a": ("SepConv 3", "Skip")})
    told = supernet_curves(Searched(0, None, options, epochs, {}, 3), "PDarts")
    assert (told.seed, told.epochs, told.phases) == (3, [1, 2, 3, 4], [2])
    assert told.measured["skips"] == [1, 2, 3, 4]
    assert "alphas_loss" not in told.measured
    assert told.warnings == {4: "collapsing"}
    (choice,) = told.choices
    assert (choice.name, choice.labels, choice.strongest) == ("a", ["SepConv 3", "Skip", "Zero"], "SepConv 3")
    assert choice.strengths == [[0.2, 0.2, 0.6, 0.6], [0.3, 0.3, 0.4, 0.4], [0.5, 0.5, None, None]]


# Trainings and transfers


def found_small() -> Found:
    """Return a small network of the benchmark's first cell."""
    options = {"channels": 2, "cells_per_stage": 1}
    return Found("nasbench201", family("nasbench201").published["all_conv_3x3"], options, (1, 8, 8))


def accuracy(*right: int) -> Accuracy:
    """Return what was measured of ten images a class."""
    share = 10 * sum(right) / len(right)
    return Accuracy(share, 100.0, 0.5, 10 * len(right), 1.5, (10,) * len(right), right)


@pytest.fixture
def training(tmp_path: Path) -> Path:
    """Return the folder of a training that is at its second epoch of three."""
    folder = tmp_path / "training"
    folder.mkdir()
    write_declared(folder / "training.yaml", FullTraining(Digits(), seed=4), provenance())
    (folder / "best.json").write_text(write(found_small()), encoding="utf-8")
    for number, validated in ((1, None), (2, 60.0), (2, 65.0)):  # the second was done again
        append_epoch(folder / "best.safetensors", Epoch(number, 3, 1 / number, 50.0, validated, 2.0, 100.0, 0.1))
    (folder / "training.jsonl").write_text('{"cellstack": 1}\n', encoding="utf-8")
    return folder


def test_a_training_under_way_shows_its_epochs(training: Path) -> None:
    summary = summarise(training)
    (curves,) = summary.trainings
    assert (curves.role, curves.epochs, curves.of_epochs) == ("best", [1, 2], 3)
    assert curves.measured["loss"] == [1.0, 0.5]
    assert curves.measured["validation_top1_percent"] == [None, 65.0]
    assert "ema_top1_percent" not in curves.measured
    assert (summary.head.kind, summary.head.state, summary.head.seed) == ("training", "stopped", 4)
    assert summary.head.budget == "2 of 3 epochs"
    assert summary.missing["tests"] == "the weights are tested when the training ends"
    known = profile(family("nasbench201").network(found_small().architecture, 2, 1), (1, 8, 8))
    assert summary.best is not None
    assert (summary.best.params, summary.best.macs) == (known.params, known.macs)
    assert summary.reproduction.commands[0].startswith(
        f"nas train {training}/best.json --recipe {training}/training.yaml"
    )


def test_a_training_that_ended_shows_every_class(training: Path) -> None:
    measured = Measured(("cat", "dog"), accuracy(4, 5), accuracy(10, 7), Speed(1000.0, 64, 1.5, 2.0))
    (training / "best.test.json").write_text(write(measured), encoding="utf-8")
    name = digest(found_small().architecture)
    lines = [
        {**start(0, 10.0, "given"), "digest": name, "architecture": to_plain(found_small().architecture)},
        finish(0, 20.0, "inline", test_top1_percent=85.0, seconds=6.0),
    ]
    with (training / "training.jsonl").open("a", encoding="utf-8") as file:
        file.write("".join(f"{json.dumps(line)}\n" for line in lines))
    summary = summarise(training)
    (test,) = summary.tests
    assert summary.head.state == "ended"
    assert (test.classes, test.images, test.right_percent) == (("cat", "dog"), (10, 10), [100.0, 70.0])
    assert (test.measured["top1_percent"], test.measured["raw_top1_percent"]) == (85.0, 45.0)
    assert test.measured["latency_milliseconds"] == 1.5
    assert summary.costs is not None
    assert summary.costs.worker_hours == pytest.approx(6 / 3600)
    assert to_json([summary])


def test_a_transfer_shows_its_trials_and_what_is_left(tmp_path: Path) -> None:
    declared = Transfer(Digits(), ways=("linear_probe", "scratch"), labels_percent=(10.0, 100.0))
    write_declared(tmp_path / "transfer.yaml", declared, ["# command: __main__.py transfer there --to Digits"])
    (tmp_path / "executor.json").write_text(write(Inline()), encoding="utf-8")
    (tmp_path / "trained.json").write_text(write(found_small()), encoding="utf-8")
    lines: list[dict[str, Any]] = [{"cellstack": 1}]
    for number, trial in enumerate(declared.trials()[:3]):
        begun = {**start(number, 10.0 * number, trial.name), "digest": digest(trial), "architecture": to_plain(trial)}
        scores = {"test_top1_percent": 50.0 + number, "seconds": 4.0} if number != 1 else {}
        lines += [begun, finish(number, 10.0 * number + 5, "inline", **scores)]
    (tmp_path / "trials.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    summary = summarise(tmp_path)
    assert summary.trials is not None
    assert summary.trials.way == ["linear probe", "from scratch", "linear probe"]
    assert summary.trials.labels_percent == [10.0, 10.0, 100.0]
    assert summary.trials.top1_percent == [50.0, None, 52.0]
    assert summary.trials.failure == ["", "out of memory, 1", ""]
    assert (summary.trials.left, summary.head.state, summary.head.kind) == (2, "stopped", "transfer")
    assert summary.reproduction.commands == ["nas transfer there --to Digits"]
    (tmp_path / "executor.json").write_text("{", encoding="utf-8")
    with pytest.raises(RecordError, match=r"executor.json cannot be read .*as \{\"Inline\""):
        summarise(tmp_path)


@pytest.mark.slow
def test_real_trainings_and_transfers_are_told(small: Path, tmp_path: Path, nas: Callable[..., Any]) -> None:
    recipe = ("recipe.epochs=1", "recipe.batch=200")
    training, transfer = tmp_path / "training", tmp_path / "transfer"
    command = ("train", small, "--recipe", "nasbench201", "data=Digits", "validation=200", "network.channels=2")
    assert nas(*command, *recipe, "--run-dir", training).returncode == 0
    answer = nas("transfer", training, "--to", "Digits", "--labels", "10,100", *recipe, "--run-dir", transfer)
    assert answer.returncode == 0, answer.stderr
    trained, transferred = summarise(training), summarise(transfer)
    assert trained.head.state == transferred.head.state == "ended"
    assert trained.best is not None
    assert trained.best.scores["test_top1_percent"] == trained.tests[0].measured["top1_percent"]
    assert sum(trained.tests[0].images) == trained.tests[0].measured["images"]
    assert transferred.trials is not None
    assert (len(transferred.trials.way), transferred.trials.left) == (6, 0)
    assert transferred.trials.top1_percent == [test.measured["top1_percent"] for test in transferred.tests]


@pytest.mark.slow
def test_another_process_says_the_same(toy: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from nas.report.summary.summarise import summarise; "
        "from nas.report.summary.summary import to_json; print(to_json([summarise(Path(sys.argv[1]))]))"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", program, toy],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1]
