"""Screening: proposals that are compared before any training, by a warm-up or on the first rung of halving."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nas.evaluation.table import Table
from nas.history import History, Limit
from nas.journal import replay
from nas.records import RecordError, import_all, record_classes
from nas.runs.experiment import load
from nas.runs.run import create_folder, plan, run
from nas.runtime.view import Silent
from nas.strategies.evolution import RegularizedEvolution
from nas.strategies.strategy import Strategy
from nas.strategies.successive_halving import SuccessiveHalving
from nas.strategies.warm_up import WarmUp
from nas.testing.strategies import SMALL, check_strategy, fail_always, simulate_search, succeed

import_all("nas.strategies")

SEARCH = """\
space: nasbench201
network: {channels: 4, cells_per_stage: 1}
strategy: STRATEGY
evaluator:
  - Proxies: {data: Digits, names: [synflow], batch: 8}
  - Training: {data: Digits, validation: 200, images: 400, recipe: {epochs: 2, batch: 64, drop_path: 0}}
rules: {budget: {evaluations: 8}, objective: validation_top1_percent}
"""


def trained(history: History) -> list[int]:
    return [number for number, proposal in enumerate(history.proposals) if proposal.epochs != 0]


def search(tmp_path: Path, strategy: str) -> History:
    file = tmp_path / "search.yaml"
    file.write_text(SEARCH.replace("STRATEGY", strategy))
    planned, folder = plan(load(file)), tmp_path / "run"
    create_folder(folder, planned)
    return run(planned, folder, lambda stage: Silent()).history


def test_the_best_of_the_screened_are_trained_first_the_best_first() -> None:
    history = simulate_search(WarmUp(RegularizedEvolution(5, 5), "-cost", draws=20, keep=5), SMALL, 40, workers=3)
    assert len(history.screened) == 20
    best = sorted(history.screened, key=lambda done: done.scores["cost"])[:5]
    assert [history.proposals[number].resumes for number in trained(history)[:5]] == [done.number for done in best]
    origins = Counter(history.proposals[number].origin for number in trained(history))
    # evolution begins when five are known; two other workers draw at random until then
    assert origins == {"promotion": 5, "random": 2, "mutation": 13}
    # nobody's value is that of an untrained one
    assert len(history.scored) == 20
    assert history.best in history.scored


@pytest.mark.parametrize(
    "strategy",
    [
        WarmUp(screen="score"),
        WarmUp(screen=("score", "-cost", "cost")),
        SuccessiveHalving(epochs=(0, 1, 3), screen="-cost"),
    ],
)
def test_a_strategy_that_screens_is_a_strategy(strategy: Strategy) -> None:
    check_strategy(strategy)


@pytest.mark.parametrize("name", sorted(record_classes(Strategy)))
def test_every_strategy_without_rungs_can_be_warmed_up(name: str) -> None:
    of = record_classes(Strategy)[name]()
    warm_up = WarmUp(of, "score", draws=12, keep=3)
    if of.rungs():
        with pytest.raises(RecordError, match=rf"{name}, which has rungs"):
            warm_up.check()
    else:
        assert len(simulate_search(warm_up, SMALL, 40, workers=2).scored) == 28


def test_screened_outside_a_limit_are_trained_last() -> None:
    limits = {"cost": Limit(most=0.2)}
    history = simulate_search(WarmUp(screen="score", draws=50, keep=3), SMALL, 53, finish=succeed, limits=limits)
    assert all(done.scores["cost"] <= 0.2 for done in history.scored)


def test_without_any_that_could_be_screened_the_strategy_begins() -> None:
    history = simulate_search(WarmUp(screen="score", draws=5, keep=2), SMALL, 9, finish=fail_always)
    assert [proposal.origin for proposal in history.proposals] == ["screened"] * 5 + ["random"] * 4


def test_several_screens_vote() -> None:
    # two of the three scores are one: the majority is that one
    history = simulate_search(WarmUp(screen=("-cost", "score", "-cost"), draws=30, keep=3), SMALL, 33)
    best = sorted(history.screened, key=lambda done: done.scores["cost"])[:3]
    assert [history.proposals[number].resumes for number in trained(history)] == [done.number for done in best]


def test_the_first_rung_of_halving_is_compared_by_its_own_score() -> None:
    asha = SuccessiveHalving(epochs=(0, 1), eta=3, screen="-cost", cohort=9)
    history = simulate_search(asha, SMALL, 12)
    best = sorted(history.screened, key=lambda done: done.scores["cost"])[:3]
    assert [history.proposals[number].resumes for number in trained(history)] == [done.number for done in best]


@pytest.mark.parametrize(
    "strategy",
    [
        "{WarmUp: {draws: 6, keep: 2, screen: -params}}",
        "{SuccessiveHalving: {epochs: [0, 1, 2], eta: 2, screen: synflow}}",
    ],
)
def test_a_search_screens_untrained_networks_and_is_read_back(tmp_path: Path, strategy: str) -> None:
    history = search(tmp_path, strategy)
    assert history.screened
    assert all(set(done.scores) == {"synflow", "params", "macs"} for done in history.screened)
    again = replay(tmp_path / "run" / "history.jsonl", "validation_top1_percent")
    assert [done.number for done in again.screened] == [done.number for done in history.screened]
    assert [done.scores for done in again.scored] == [done.scores for done in history.scored]
    # the trained network is the screened one: its initial weights are of the same seed
    first = history.scored[0]
    assert first.scores["synflow"] == history.finished[first.proposal.resumes or 0].scores["synflow"]


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        (
            "{WarmUp: {screen: synfow}}",
            "strategy.WarmUp.screen is 'synfow', and the scores are synflow, params, macs: did you mean 'synflow'",
        ),
        ("{WarmUp: {screen: validation_top1_percent}}", "and the scores are synflow, params, macs"),
        ("{WarmUp: {draws: 5}}", "keep is 10, and draws 5"),
        ("{SuccessiveHalving: {epochs: [0, 1]}}", "give in `screen` the score that compares there"),
        ("{SuccessiveHalving: {epochs: [1, 2], screen: synflow}}", "screen is synflow, and the first rung 1 epochs"),
    ],
)
def test_screens_that_cannot_work_are_refused_before_anything_runs(
    call: Any, tmp_path: Path, strategy: str, said: str
) -> None:
    file = tmp_path / "search.yaml"
    file.write_text(SEARCH.replace("STRATEGY", strategy))
    answer = call("search", str(file), "--run-dir", str(tmp_path / "run"))
    assert answer.returncode == 2
    assert said in answer.stderr


def test_a_training_alone_screens_by_costs(call: Any, tmp_path: Path) -> None:
    file = tmp_path / "search.yaml"
    text = SEARCH.replace("STRATEGY", "WarmUp")
    file.write_text("".join(line for line in text.splitlines(keepends=True) if "Proxies" not in line))
    answer = call("search", str(file), "--run-dir", str(tmp_path / "run"))
    assert answer.returncode == 2
    assert "strategy.WarmUp.screen is 'synflow', and the scores are params, macs" in answer.stderr


def test_a_table_alone_cannot_screen() -> None:
    with pytest.raises(RecordError, match=r"a rung is 0 epochs, and table any.csv has trainings of 12 epochs"):
        Table("any.csv", validation="valid", epochs=12).check_epochs((0,))


def test_a_budget_of_screened_ones_alone_says_so(call: Any, tmp_path: Path) -> None:
    file = tmp_path / "search.yaml"
    file.write_text(SEARCH.replace("STRATEGY", "{WarmUp: {draws: 20}}"))
    answer = call("search", str(file), "--run-dir", str(tmp_path / "run"))
    assert answer.returncode == 1
    assert "all were only screened, so give a larger budget" in answer.stdout
