"""Searches compared: folders of reproductions and of runs, what is printed, the page, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from report_runs import by_hand, carried_out, finish, start

from nas.report.summary.compared import Compared, compare_searches, read_searched
from nas.runs.experiment import load
from nas.runs.reproduce import reproduce
from nas.runs.seed_journal import kept

Toy = Callable[..., Path]
Call = Callable[..., Any]

EXPECT = "expect: {highest_fitness: {mean: 0.6, tolerance: 1}}\nfinal: {objective: true_fitness}\n"
RANDOM = ("RegularizedEvolution: {population: 4, sample: 2}", "RandomSearch: {}")
SEEDS = 6


@pytest.fixture
def two(toy: Toy, tmp_path: Path) -> tuple[Path, Path]:
    """Return the folders of two reproductions: evolution and random search."""
    for name, changes in {"evolution": (), "random": (RANDOM,)}.items():
        reproduce(load(toy(*changes, more=EXPECT)), SEEDS, lambda ended: None, tmp_path / name)
    return tmp_path / "evolution", tmp_path / "random"


def by_time(compared: Compared, unit: str, test: str | None = None) -> dict[float, dict[str, float | None]]:
    (table,) = (each for each in compared.tables if each.unit == unit and each.test == test)
    return {
        budget: {name: means[place] for name, means in table.means.items()}
        for place, budget in enumerate(table.budgets)
    }


def test_reproductions_are_compared_by_their_objective(two: tuple[Path, Path]) -> None:
    compared = compare_searches(two, None)
    assert (compared.metric, [each.name for each in compared.searches]) == ("fitness", ["evolution", "random"])
    scores = {folder.name: [each.scores["highest_fitness"] for each in kept(folder).values()] for folder in two}
    for name, summary in compared.summaries.items():
        assert (summary.mean, summary.seeds) == (pytest.approx(fmean(scores[name])), SEEDS)
    (pair,) = compared.pairs
    differences = [a - b for a, b in zip(scores["evolution"], scores["random"], strict=True)]
    assert (pair.pairs, pair.mean_difference) == (SEEDS, pytest.approx(fmean(differences)))
    found = by_time(compared, "evaluations")
    assert list(found) == [2, 3, 6, 12]
    assert found[12] == {name: pytest.approx(fmean(each)) for name, each in scores.items()}
    assert {table.unit for table in compared.tables} == {"evaluations"}, "bits take no seconds"


def test_the_best_so_far_by_the_objective_has_its_test_scores_too(two: tuple[Path, Path]) -> None:
    compared = compare_searches(two, None)
    assert compared.tests == ["true_fitness"]
    found = by_time(compared, "evaluations", "true_fitness")
    assert list(found) == [2, 3, 6, 12]
    for folder in two:
        ends = [each.scores["true_fitness"] for each in kept(folder).values()]
        assert found[12][folder.name] == pytest.approx(fmean(ends)), "the last is that of the best of the search"
    by_test = compare_searches(two, "true_fitness")
    assert [table.test for table in by_test.tables] == [None, "true_fitness"]
    other = compare_searches(two, "highest_fitness")
    assert [table.test for table in other.tables] == [None], "a score of no test has no curve"


def test_seeds_of_an_earlier_version_have_no_curves_of_tests(two: tuple[Path, Path]) -> None:
    file = two[0] / "seeds.jsonl"
    before = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps({k: v for k, v in line.items() if k != "tests"}) + "\n" for line in before))
    compared = compare_searches(two, None)
    assert compared.tests == []
    assert [table.test for table in compared.tables] == [None]
    assert compare_searches(two[1:], None).tests == ["true_fitness"]


def test_any_score_of_the_seeds_can_be_compared(two: tuple[Path, Path]) -> None:
    compared = compare_searches(two, "true_fitness")
    scores = [each.scores["true_fitness"] for each in kept(two[0]).values()]
    assert compared.summaries["evolution"].mean == pytest.approx(fmean(scores))


def test_run_folders_have_a_seed_each(tmp_path: Path, toy: Toy) -> None:
    text = toy(more=EXPECT).read_text()
    one = carried_out(text, tmp_path / "one")
    searched = read_searched(one, "one")
    reproduce(load(toy(more=EXPECT)), 1, lambda ended: None, tmp_path / "same")
    same = kept(tmp_path / "same")[0]
    assert list(searched.seeds) == [0]
    assert searched.seeds[0].anytime.best == same.anytime.best
    assert searched.seeds[0].anytime.evaluations == same.anytime.evaluations
    assert searched.seeds[0].anytime.tests == same.anytime.tests
    assert searched.seeds[0].scores.items() >= same.scores.items()
    assert searched.seeds[0].anytime.seconds is not None, "those of this machine"


def test_the_seeds_of_a_reproduction_by_workers_are_its_run_folders(tmp_path: Path, toy: Toy) -> None:
    for seed in range(3):
        text = toy().read_text().replace("objective: fitness", f"objective: fitness\n  seed: {seed}")
        (tmp_path / "many").mkdir(exist_ok=True)
        carried_out(text, tmp_path / "many" / f"seed-{seed}")
    assert list(read_searched(tmp_path / "many", "many").seeds) == [0, 1, 2]


def test_seconds_are_those_of_the_table_or_of_the_simulated_clock(shared_data: Path, tmp_path: Path) -> None:
    small = ["rules.budget={evaluations: 40}", f"evaluator.table={shared_data}/nasbench201.npz"]
    for name, more in {"one": [], "eight": ["executor={Simulated: {workers: 8}}"]}.items():
        reproduce(load("nasbench201/random_search", [*small, *more]), 3, lambda ended: None, tmp_path / name)
    compared = compare_searches([tmp_path / "one", tmp_path / "eight"], None)
    seconds = by_time(compared, "seconds")
    last = max(seconds)
    one, eight = seconds[last]["one"], seconds[last]["eight"]
    assert one is not None
    assert eight is not None
    assert one < eight, "eight workers have evaluated more by then"


def test_a_minimised_score_gets_smaller(tmp_path: Path, toy: Toy) -> None:
    path = toy(("objective: fitness", "objective: -fitness"))
    searched = read_searched(carried_out(path.read_text(), tmp_path / "least"), "least")
    best = list(searched.seeds[0].anytime.best)
    assert best == sorted(best, reverse=True)
    assert searched.values(None)[0] == min(best)


def test_what_is_printed_is_in_the_json_and_on_the_page(two: tuple[Path, Path], call: Call, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    printed, data = call("compare", *two, "--html", page), call("compare", *two, "--json")
    assert printed.returncode == data.returncode == 0
    found, text = json.loads(data.stdout), page.read_text()
    assert found["metric"] == "fitness"
    for each in found["searches"]:
        mean = f"{each['mean']:.3f} ± {each['std']:.3f}"
        assert mean in printed.stdout
        assert mean in text
        assert f"{each['interval'][0]:.3f} to {each['interval'][1]:.3f}" in printed.stdout
    (pair,) = found["pairs"]
    for number in (f"{pair['mean_difference']:+.3f}", f"{pair['effect_size']:.2f}", f"{pair['holm_p_value']:.2g}"):
        assert number in printed.stdout
        assert number in text
    assert text.count("<polyline") == 4, "two searches by their objective, and by the test of the best so far"
    for table in found["best_so_far"]:
        for means in table["means"].values():
            assert all(f"{mean:.3f}" in printed.stdout for mean in means if mean is not None)
    assert "<script" not in text
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text)


def test_one_seed_each_has_no_test(tmp_path: Path, toy: Toy, call: Call) -> None:
    runs = [
        carried_out(toy(*changes).read_text(), tmp_path / name) for name, changes in {"a": (), "b": (RANDOM,)}.items()
    ]
    answer = call("compare", *runs, "--html", tmp_path / "page.html")
    assert answer.returncode == 0
    assert "No test: it needs at least two seeds that both searches have" in answer.stdout
    assert json.loads(call("compare", *runs, "--json").stdout)["pairs"] == []


def test_searches_of_one_name_are_told_apart_by_their_paths(tmp_path: Path, toy: Toy) -> None:
    runs = [
        carried_out(toy().read_text(), tmp_path / name / "run") for name in ("a", "b") if not (tmp_path / name).mkdir()
    ]
    compared = compare_searches([*runs, runs[0]], None)
    assert [each.name for each in compared.searches] == [str(run) for run in runs], "the same folder counts once"


@pytest.mark.parametrize("kind", ["nothing", "no search", "empty", "metric", "objective"])
def test_what_cannot_be_compared_is_one_line(
    kind: str, two: tuple[Path, Path], toy: Toy, tmp_path: Path, call: Call
) -> None:
    (tmp_path / "folder").mkdir()
    empty = by_hand(tmp_path / "empty", [start(0, 1.0)])
    other = by_hand(
        tmp_path / "other",
        [start(0, 1.0), finish(0, 2.0, "inline", true_fitness=1.0)],
        toy()
        .read_text()
        .replace("objective: fitness", "objective: true_fitness")
        .replace("bits\n", "{bits: {length: 12}}\n"),
    )
    words, said = {
        "nothing": (
            (tmp_path / "nowhere",),
            "nowhere is no folder of a search: give those of nas search or of nas reproduce",
        ),
        "no search": ((two[0], tmp_path / "folder"), "folder is no folder of a search"),
        "empty": ((two[0], empty), "empty: nothing was scored yet"),
        "metric": ((*two, "--metric", "true_fitnes"), "did you mean 'true_fitness'?"),
        "objective": ((two[0], other), "the searches have the objectives fitness, true_fitness"),
    }[kind]
    answer = call("compare", *words)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("nas: ")
    assert answer.stderr.count("\n") == 1
    assert said in answer.stderr
