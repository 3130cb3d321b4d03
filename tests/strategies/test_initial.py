"""Warm starts: a search begins with given architectures, or with the best of another run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from journals import events

from nas.history import History
from nas.runs.experiment import load
from nas.runs.run import plan
from nas.runs.warm_start import best_of
from nas.strategies.evolution import RegularizedEvolution
from nas.strategies.initial import Initial
from nas.strategies.successive_halving import SuccessiveHalving
from nas.testing.strategies import (
    SMALL,
    generator,
    it_depends_on_history_and_generator_alone,
    it_goes_by_limits,
    it_goes_on_after_failures,
    it_is_a_record,
    simulate_search,
)
from search_spaces.nasbench201 import family as nasbench201

Call = Callable[..., Any]

FIRST = tuple(each.architecture for each in simulate_search(RegularizedEvolution(), SMALL, 5).scored)

SEARCH = """\
space: nasbench201
network: {channels: 4, cells_per_stage: 1}
strategy: STRATEGY
evaluator: Costs
rules: {budget: {evaluations: 8}, objective: macs}
"""


def test_given_architectures_come_first_and_the_strategy_knows_them() -> None:
    history = simulate_search(Initial(RegularizedEvolution(5, 5), FIRST), SMALL, 9)
    assert [each.architecture for each in history.proposals[:5]] == list(FIRST)
    assert {each.origin for each in history.proposals[:5]} == {"initial"}
    assert history.proposals[5].origin == "mutation"


def test_it_is_a_strategy_also_with_architectures() -> None:
    warm = Initial(RegularizedEvolution(10, 3), FIRST)
    for check in (
        it_is_a_record,
        it_depends_on_history_and_generator_alone,
        it_goes_on_after_failures,
        it_goes_by_limits,
    ):
        check(warm)


def test_promotions_take_no_turn_of_the_warm_start() -> None:
    halving = SuccessiveHalving(of=Initial(architectures=FIRST), epochs=(1, 3), eta=2)
    history = History("score")
    for _ in range(9):
        proposal = halving.propose(SMALL, history, generator(0, history))
        assert proposal is not None
        number = history.start(proposal)
        history.finish(number, {"score": float(number)}, epochs=proposal.epochs)
    assert history.resumed
    fresh = [each.architecture for each in history.proposals if each.resumes is None]
    assert fresh[:5] == list(FIRST)


def test_names_and_runs_become_trees_in_the_run_folder(tmp_path: Path, call: Call) -> None:
    (tmp_path / "search.yaml").write_text(SEARCH.replace("STRATEGY", "RandomSearch"))
    before = tmp_path / "before"
    assert call("search", tmp_path / "search.yaml", "--run-dir", before).returncode == 0
    best = best_of(before, 2)
    warm = f"{{Initial: {{architectures: [nasbench201:resnet], run: {before}, best: 2}}}}"
    assert call("search", tmp_path / "search.yaml", f"strategy={warm}", "--run-dir", tmp_path / "run").returncode == 0
    experiment = load(tmp_path / "run" / "experiment.yaml")
    expected = (nasbench201.published["resnet"], *best)
    assert isinstance(experiment.strategy, Initial)
    assert experiment.strategy.architectures == expected
    assert experiment.strategy.run is None
    starts = [event for event in events(tmp_path / "run") if event["event"] == "start"]
    assert [event["origin"] for event in starts[:4]] == ["initial"] * 3 + ["random"]
    # resumed, it needs the other run no more
    assert plan(experiment).experiment.strategy == experiment.strategy


@pytest.mark.parametrize(
    ("warm", "said"),
    [
        ("{architectures: [darts:DARTS_V2]}", "architecture 0 of the warm start is no member of the space"),
        ("{architectures: [nasbench201:resnett]}", "did you mean 'resnet'?"),
        ("{run: nowhere}", "there is no file nowhere/experiment.yaml"),
    ],
)
def test_what_is_no_start_is_refused_before_anything_runs(warm: str, said: str, tmp_path: Path, call: Call) -> None:
    (tmp_path / "search.yaml").write_text(SEARCH.replace("STRATEGY", f"{{Initial: {warm}}}"))
    answer = call("search", tmp_path / "search.yaml", "--run-dir", tmp_path / "run")
    assert answer.returncode == 2
    assert said in answer.stderr, answer.stderr
