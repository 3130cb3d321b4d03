"""What a report says a search found: its curve beside random search, the best's family tree, accuracy against cost."""

from __future__ import annotations

from itertools import combinations
from math import inf
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from journals import events
from report_runs import FINAL, TOY, by_hand, carried_out, finish, start

from nas.choice import choices
from nas.evaluation.table import Table
from nas.evaluation.table_file import load_table
from nas.family import family
from nas.profiling import profile
from nas.records import digest, to_plain
from nas.report.summary.ancestry import ancestors_of, changes_between
from nas.report.summary.baseline import HIGH, LOW, Spent, estimated, simulated
from nas.report.summary.fronts import PROFILED, fronts_of
from nas.report.summary.loaded import load_run_summary
from nas.report.summary.summarise import summarise
from nas.report.summary.summary import RunSummary
from nas.space import decisions, mutate, sample

OBJECTIVE = "validation_top1_percent"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a real search, by evolution, for strings of bits."""
    return carried_out(TOY + FINAL, tmp_path_factory.mktemp("runs") / "toy")


@pytest.fixture(scope="module")
def toy_summary(toy: Path) -> RunSummary:
    """Return what is said of it."""
    return summarise(toy)


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
    assert told == [*improved, (len(finished), best, improved[-1][2])][: len(told)]
    assert told[-1][:2] == (len(finished), best)
    first = events(toy)[0]["at"]
    assert curve.clock == "wall"
    assert curve.seconds[-1] == pytest.approx(finished[-1]["at"] - first)


def test_an_objective_to_minimise_has_its_lowest_so_far(tmp_path: Path) -> None:
    lines = [start(i, 1000 + i) for i in range(6)]
    lines += [finish(i, 1010 + i, "a", true_fitness=value) for i, value in enumerate((3.0, 5.0, 2.0, 4.0, 1.5, 9.0))]
    summary = summarise(by_hand(tmp_path / "run", lines, TOY.replace("objective: fitness", "objective: -true_fitness")))
    assert summary.head.minimises
    assert summary.head.objective == "true_fitness"
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
    evaluator = f"Table: {{table: {table}, validation: valid, test_columns: {{}}, seconds: time}}"
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
    evaluator = Table(str(table), "valid", {}, "time")
    pays = simulated(evaluator, 1.0, Spent(3000, 3000 * 50.0, pays_again=True))
    reuses = simulated(evaluator, 1.0, Spent(3000, 3000 * 50.0, pays_again=False))
    assert pays.by_evaluations == reuses.by_evaluations
    last = [band.mean[-1] for band in (pays.by_seconds, reuses.by_seconds)]
    assert last[1] > last[0]


@pytest.fixture
def table_of_64(tmp_path: Path) -> Table:
    """Return a table of 64 rows, each of 1 s."""
    values = np.stack([np.random.default_rng(0).permutation(np.arange(64.0)), np.ones(64)], axis=1)
    np.savez(tmp_path / "64.npz", ops=np.arange(64)[:, None], columns=np.array(["valid", "time"]), values=values)
    return Table(str(tmp_path / "64.npz"), "valid", {}, "time")


def test_random_search_that_reuses_goes_on_until_its_time_is_spent(table_of_64: Table) -> None:
    for seconds in (16, 48, 64, 1000):
        found = simulated(table_of_64, 1.0, Spent(seconds, float(seconds), pays_again=False)).by_seconds
        for at, mean in zip(found.x, found.mean, strict=True):
            drawn = min(int(at), 64)  # so many different rows, of which this is the highest
            expected = 65 * drawn / (drawn + 1) - 1
            deviation = (65 * drawn * (64 - drawn) / (drawn + 2)) ** 0.5 / (drawn + 1)
            assert mean == pytest.approx(expected, abs=4.5 * deviation / 10)
        assert found.x[-1] == seconds


def test_the_band_of_what_is_minimised_lies_between_low_and_high(table_of_64: Table) -> None:
    found = simulated(table_of_64, -1.0, Spent(10, 10.0, pays_again=True))
    for band in (found.by_evaluations, found.by_seconds):
        assert all(low < high for low, high in zip(band.low, band.high, strict=True))


def test_too_few_random_proposals_are_no_baseline(tmp_path: Path) -> None:
    lines = [start(0, 0.0), start(1, 0.0), finish(0, 5.0, "a", fitness=1.0), finish(1, 6.0, "a", fitness=2.0)]
    summary = summarise(by_hand(tmp_path / "run", lines))
    assert summary.curve is not None
    assert summary.curve.baseline is None
    assert "2 random proposals" in summary.missing["baseline"]


# The family tree


def test_changes_are_the_decisions_that_a_mutation_changed() -> None:
    space = family("nasbench201").space()
    parent = sample(space, Random(0))
    child = mutate(space, parent, Random(1))
    before, after = decisions(space, parent), decisions(space, child)
    (name,) = (name for name in before if before[name] != after[name])
    words = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
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
    loaded = load_run_summary(by_hand(tmp_path / "run", lines))
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


def test_networks_are_profiled_where_the_scores_lack_costs_and_few_of_many(tmp_path: Path) -> None:
    space = family("nasbench201").space()
    lines, seen = [], list[Any]()
    for number in range(2 * PROFILED):
        architecture = sample(space, Random(number))
        seen.append(architecture)
        line = {**start(number, float(number)), "digest": digest(architecture), "architecture": to_plain(architecture)}
        lines += [line, finish(number, 100.0 + number, "a", fitness=float(number))]
    text = TOY.replace("{bits: {length: 12}}", "nasbench201\nnetwork: {channels: 2, cells_per_stage: 1}")
    loaded = load_run_summary(by_hand(tmp_path / "run", lines, text))
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
    assert "not a network" in toy_summary.missing["fronts"]
