"""Published and derived numbers, run again: searches on the table of NAS-Bench-201, and the toy of bits."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from io import StringIO
from math import isnan
from pathlib import Path
from statistics import fmean, stdev, variance
from typing import Any

import pytest
from rich.console import Console

from nas.runs.declared import experiments
from nas.runs.experiment import Expectation, Rederived, load
from nas.runs.reproduce import Comparison, prepared, reproduce
from nas.runs.seed_journal import kept
from nas.runs.seeds import run_seed
from nas.terminal.show_reproduction import print_compared

ROOT = Path(__file__).resolve().parents[2]
SEARCHES = ("random_search", "regularized_evolution", "local_search", "local_search_12000_s", "random_architecture")
MODELS = {"reinforce": 500, "bohb": 500, "bananas": 100, "tpe": 100, "gaussian_process": 24}
"""Searches by a model, with the number of seeds: as many as were published where that takes no hour."""
TEST_SETS = ("cifar10_test_top1_percent", "cifar100_test_top1_percent", "imagenet16_120_test_top1_percent")

every_search = pytest.mark.parametrize("name", SEARCHES)


@cache
def compare(name: str, seeds: int, *changes: str) -> dict[str, Comparison]:
    """Run an experiment with many seeds; print and return what came out beside what was published."""
    compared = reproduce(load(ROOT / "experiments" / f"{name}.yaml", changes), seeds, lambda seed: None)
    for each in compared:
        published = f"{each.published.mean} +- {each.published.std}"
        print(f"{name} {' '.join(changes)} {each.name}: published {published}, own", end=" ")
        print(f"{each.own_mean:.3f} +- {each.own_std} ({seeds} seeds, standard error {each.standard_error})")
    return {each.name: each for each in compared}


@pytest.fixture
def table(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAS_DATA", str(shared_data))
    return shared_data


@pytest.mark.parametrize(
    "name",
    [
        "regularized_evolution",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("random_search", "local_search")),
    ],
)
def test_the_published_accuracies_hold_on_three_test_sets(name: str, table: Path) -> None:
    compared = compare(f"nasbench201/{name}", 120)
    assert tuple(compared) == TEST_SETS
    assert all(each.holds for each in compared.values()), compared


@pytest.mark.slow
@every_search
def test_the_published_accuracies_hold_over_as_many_seeds_as_were_published(name: str, table: Path) -> None:
    compared = compare(f"nasbench201/{name}", 500)
    assert all(each.holds for each in compared.values()), compared


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", MODELS)
def test_searches_by_a_model_have_the_accuracies_that_are_known(name: str, table: Path) -> None:
    compared = compare(f"nasbench201/{name}", MODELS[name])
    assert all(each.holds for each in compared.values()), compared


NATS = [name for name in experiments() if name.startswith("nats_bench/")]


def test_each_search_of_nats_bench_is_on_one_data_set() -> None:
    assert len(NATS) == 12
    for name in NATS:
        experiment = load(name)
        (score,) = experiment.expect
        assert name.endswith(score.removesuffix("_test_top1_percent"))
        assert experiment.final is not None
        assert experiment.final.objective == score


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NATS)
def test_searches_on_each_data_set_have_the_accuracies_of_nats_bench(name: str, table: Path) -> None:
    (found,) = compare(name, 500).values()
    assert found.holds, found
    derived = found.published.rederived
    assert derived is None or found.own_mean == pytest.approx(derived.mean, abs=found.published.tolerance)


def test_evolution_beats_random_search_on_every_test_set(table: Path) -> None:
    evolution, random = (compare(f"nasbench201/{name}", 120) for name in ("regularized_evolution", "random_search"))
    assert all(evolution[name].own_mean > random[name].own_mean for name in TEST_SETS)


@pytest.mark.slow
def test_the_toy_reaches_what_an_independent_program_reached() -> None:
    found = compare("toy/ageing_evolution", 10)["highest_true_fitness"]
    assert 0.886 <= found.own_mean <= 0.926
    assert found.seeds == 10


@pytest.mark.slow
def test_with_much_noise_ageing_beats_killing_the_worst() -> None:
    ageing, killing = (
        compare("toy/ageing_evolution", 4, "evaluator.noise=0.05", f"strategy.removes={removes}")
        for removes in ("oldest", "worst")
    )
    score = "highest_true_fitness"
    assert ageing[score].own_mean > killing[score].own_mean


# ------------------------------------------------------------------------------------------------- the command

SMALL = ("rules.budget={evaluations: 20}", "--seeds", "3")


@pytest.fixture
def search(
    table: Path, call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Return `nas reproduce` of random search on the table; set up after `call`, which takes NAS_DATA away."""
    monkeypatch.setenv("NAS_DATA", str(table))
    command = ("reproduce", "experiments/nasbench201/random_search.yaml", *SMALL, "--run-dir", tmp_path / "kept")
    return lambda *more: call(*command, *more)


def test_the_table_and_the_json_say_the_same(search: Callable[..., Any]) -> None:
    wide = [f"expect.{name}.tolerance=50" for name in TEST_SETS]
    printed, data = search(*wide), search(*wide, "--json")
    assert printed.returncode == data.returncode == 0
    compared = json.loads(data.stdout)
    assert [each["name"] for each in compared] == list(TEST_SETS)
    for each in compared:
        row = next(line for line in printed.stdout.splitlines() if line.startswith(each["name"]))
        assert f"{each['own_mean']:.3f} ± {each['own_std']:.3f}" in row
        low, high = each["interval"]
        assert low <= each["own_mean"] <= high
        assert f"{low:.3f} to {high:.3f}  {each['standard_error']:.3f}" in re.sub(r"\s{2,}", "  ", row)
        assert f"{each['published']['mean']:g} ± {each['published']['std']:.2f}" in row
        assert re.search(r"\bholds$", row.strip())
        assert each["seeds"] == 3
        assert each["holds"] is True


def test_json_alone_is_on_stdout(search: Callable[..., Any]) -> None:
    answer = search("--json")
    assert isinstance(json.loads(answer.stdout), list)
    assert answer.stderr.strip() == ""


def test_a_number_outside_its_tolerance_gives_exit_code_1(search: Callable[..., Any]) -> None:
    answer = search("expect.cifar10_test_top1_percent.mean=50")
    assert answer.returncode == 1
    row = next(line for line in answer.stdout.splitlines() if line.startswith("cifar10_"))
    (each, *_) = json.loads(search("expect.cifar10_test_top1_percent.mean=50", "--json").stdout)
    assert each["outside"] == pytest.approx(each["own_mean"] - 50 - 0.15)
    assert f"does not hold, by {each['outside']:.3f}" in row


def test_one_seed_has_no_deviation(search: Callable[..., Any]) -> None:
    answer = search("--seeds", "1", "--json")
    assert answer.returncode == 0
    compared = json.loads(answer.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [(each["own_std"], each["holds"]) for each in compared] == [(None, None)] * 3


@pytest.mark.parametrize("mean", [50, 93.7])
def test_one_seed_gives_no_verdict_however_near_it_is(search: Callable[..., Any], mean: float) -> None:
    answer = search("--seeds", "1", f"expect.cifar10_test_top1_percent.mean={mean}")
    assert answer.returncode == 0
    assert "1 seed: no deviation, and no verdict; give --seeds 2 or more" in answer.stdout
    assert sum(line.strip().endswith("no verdict") for line in answer.stdout.splitlines()) == 3
    assert not re.search(r"\bnan\b|holds|does not hold", answer.stdout)


def test_the_curves_of_one_experiment_are_printed_and_drawn(search: Callable[..., Any], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    answer = search("--html", page)
    results = [each.scores for each in kept(tmp_path / "kept").values()]
    rows = [line.split() for line in answer.stdout.splitlines()]
    by_evaluations = rows.index(["score", "2", "5", "10", "20"])
    for row in rows[by_evaluations + 1 : by_evaluations + 5]:
        name = row[0].replace("validation", "highest_validation")
        assert row[-1] == f"{fmean(each[name] for each in results):.3f}", "the last is that of the best of the search"
    text = page.read_text()
    assert text.count("<polyline") == 8, "the objective and three tests, against evaluations and against seconds"
    for each in ("Best validation_top1_percent", *(f"{name} of the best" for name in TEST_SETS)):
        assert f"{each} so far, against seconds" in text
    assert "Checklist for papers" in text
    assert f"Page: {page}" in answer.stdout


def printed(own_mean: float, own_std: float | None, seeds: int, published: Expectation) -> str:
    console = Console(file=StringIO(), width=150)
    print_compared([Comparison("accuracy", published, own_mean, own_std, seeds)], seeds, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_two_seeds_that_agree_have_a_deviation_of_zero_and_a_verdict() -> None:
    rows = printed(90.0, 0.0, 2, Expectation(90.5, 1.0, 0.3)).splitlines()
    assert rows[0].strip() == "Mean ± standard deviation of 2 runs"
    assert rows[2].split() == ["accuracy", "90.5", "±", "0.30", "90.000", "±", "0.000", "0.000", "1", "holds"]


def test_an_expected_number_says_where_it_comes_from_and_why_it_may_be_missed() -> None:
    expected = Expectation(90.5, 0.1, 0.3, "recalled", Rederived(90.1, 0.4), "The script has another learning rate.")
    missed = printed(90.0, 0.5, 4, expected)
    assert "90.5 ± 0.30, recalled" in missed
    assert "90.1 ± 0.40" in missed
    assert missed.splitlines()[-1] == "The script has another learning rate."
    assert "The script" not in printed(90.5, 0.5, 4, expected), "only where it is outside"


def test_a_published_number_without_a_deviation_stands_alone() -> None:
    assert printed(90.0, 0.5, 4, Expectation(90.5, 0.1)).splitlines()[2].split()[1:3] == ["90.5", "90.000"]
    assert "does not hold" in printed(90.0, 0.5, 4, Expectation(90.5, 0.1))
    assert "no verdict" in printed(90.0, None, 1, Expectation(90.5, 0.1))


# ----------------------------------------------------------------------------------- searches and retrainings

TRAININGS = ("c10_valid200_s777", "c10_valid200_s888", "c10_valid200_s999")


def test_the_spread_of_retrainings_is_that_of_the_seeds_of_each_row(table: Path) -> None:
    score, alone = "cifar10_valid_top1_percent", ", ".join(f"{name}: {name}" for name in TRAININGS)
    changes = [f"evaluator.test_columns={{{score}: [{', '.join(TRAININGS)}], {alone}}}", f"final.objective={score}"]
    changes += [f"expect={{{score}: {{mean: 91, tolerance: 9}}}}", "rules.budget={evaluations: 30}"]
    experiment = load("nasbench201/random_search", changes)
    (found,) = reproduce(experiment, 8, lambda ended: None)
    results = [run_seed(prepared(experiment), seed).scores for seed in range(8)]
    seeds = [[each[name] for name in TRAININGS if not isnan(each[name])] for each in results]
    assert {len(values) for values in seeds} == {2, 3}, "half of the cells were trained twice, the others three times"
    assert [each[f"{score}_std"] for each in results] == pytest.approx([stdev(values) for values in seeds])
    assert found.retraining_std == pytest.approx(fmean(variance(values) for values in seeds) ** 0.5)
    means = [fmean(values) for values in seeds]
    assert (found.own_mean, found.own_std) == (pytest.approx(fmean(means)), pytest.approx(stdev(means)))
    console = Console(file=StringIO(), width=200)
    print_compared([found], 8, console)
    assert isinstance(console.file, StringIO)
    assert f"{found.retraining_std:.3f}" in console.file.getvalue().splitlines()[2].split()


def test_a_search_that_is_trained_once_has_no_spread_of_retrainings(table: Path) -> None:
    found = reproduce(load("nasbench201/random_search", ["rules.budget={evaluations: 5}"]), 2, lambda ended: None)
    assert [each.retraining_std for each in found] == [None] * 3
    changes = ["evaluator={Repeats: {of: {NoisyBits: {noise: 0.1}}, repeats: 2}}", "rules.budget={evaluations: 5}"]
    changes += ["expect={highest_fitness: {mean: 0.5, tolerance: 1}, true_fitness: {mean: 0.5, tolerance: 1}}"]
    found = reproduce(load("toy/ageing_evolution", changes), 2, lambda ended: None)
    assert [each.retraining_std for each in found] == [None] * 2, "that of an evaluation is none"
