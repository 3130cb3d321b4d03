"""Searches whose candidates begin from their parents' weights: which checkpoints stay, and what a killed one goes on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from journals import events
from killing import killed_after, nas, searched_whole_and_killed_twice

import nas as cellstack
from nas.data import Augmentation, Digits
from nas.evaluation.repeats import Repeats
from nas.evaluation.training import Training
from nas.records import RecordError
from nas.strategies.evolution import RegularizedEvolution
from nas.strategies.hill_climb import HillClimb
from nas.strategies.large_scale_evolution import LargeScaleEvolution
from nas.strategies.strategy import Strategy
from nas.training import Recipe
from search_spaces.growing import growing

RECIPE = Recipe(epochs=1, batch=50, lr=0.05, augmentation=Augmentation(crop_pad=1, flip=False, cutout=0), drop_path=0.0)
TRAINING = Training(Digits(), RECIPE, validation=200, images=200, inherit=True)

SEARCH = """\
space: {growing: {stages: 2, widths: [4, 6, 8], depth: 2, kernels: [3, 5]}}
strategy: STRATEGY
evaluator:
  Training:
    data: Digits
    validation: 200
    images: 300
    inherit: true
    execution: {checkpoint_seconds: 0}
    recipe: {epochs: 2, batch: 50, lr: 0.05, augmentation: {crop_pad: 1, flip: false, cutout: 0}, drop_path: 0.0}
rules:
  budget: {evaluations: 24}
"""


def finished(folder: Path) -> list[dict[str, Any]]:
    """Return the ends of evaluations, without times."""
    ends = [event for event in events(folder) if event["event"] == "finish"]
    return [
        {"number": each["number"], **{name: score for name, score in each["scores"].items() if name != "seconds"}}
        for each in ends
    ]


@pytest.mark.parametrize(
    "strategy",
    [
        LargeScaleEvolution(population=4),
        HillClimb(neighbours=3, morphisms=2),
        RegularizedEvolution(population=4, sample=2),
    ],
    ids=lambda strategy: type(strategy).__name__,
)
def test_children_begin_from_their_parents_and_the_checkpoints_of_others_go(strategy: Strategy, tmp_path: Path) -> None:
    space = growing(stages=2, widths=(4, 6), depth=2, kernels=(3, 5))
    run = cellstack.search(space, TRAINING, strategy, evaluations=12, folder=tmp_path / "run", show=False)
    assert len(run.history.scored) == 12, "equal architectures with other ancestors are trained, too"
    for done in run.history.scored:
        assert (done.scores["inherited_percent"] > 0) == bool(done.proposal.parents)
        if done.proposal.origin == "identity":
            assert done.scores["inherited_percent"] == 100
    kept = {int(path.name.split("-")[1]) for path in (tmp_path / "run" / "checkpoints").iterdir()}
    assert kept == set(strategy.possible_parents(run.history))
    assert len(kept) <= 4


def test_a_child_of_an_equal_architecture_trains_on(tmp_path: Path) -> None:
    space = growing(stages=2, widths=(16,), depth=1, kernels=(3,))
    strategy = HillClimb(neighbours=1, morphisms=1)
    accuracies = {}
    for inherit in (True, False):
        training = Training(Digits(), RECIPE, validation=200, images=200, inherit=inherit)
        run = cellstack.search(space, training, strategy, evaluations=8, folder=tmp_path / str(inherit), show=False)
        accuracies[inherit] = [done.scores["validation_top1_percent"] for done in run.history.scored]
    assert accuracies[True][0] == accuracies[False][0]
    assert max(accuracies[True]) > accuracies[True][0] + 15, f"seven epochs more: {accuracies[True]}"
    assert len(set(accuracies[False])) == 1, "from scratch it is the same training, whose scores are reused"


def test_repeats_have_no_weights_to_inherit_from() -> None:
    with pytest.raises(RecordError, match="of has inherit"):
        Repeats(TRAINING, 2)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["{LargeScaleEvolution: {population: 4}}", "{HillClimb: {neighbours: 4}}"])
def test_a_killed_search_inherits_the_same_weights(strategy: str, tmp_path: Path) -> None:
    file = tmp_path / "search.yaml"
    file.write_text(SEARCH.replace("STRATEGY", strategy))
    whole, cut = searched_whole_and_killed_twice(file, tmp_path)
    assert finished(cut) == finished(whole)


@pytest.mark.slow
def test_two_ray_workers_inherit(tmp_path: Path) -> None:
    file, folder = tmp_path / "search.yaml", tmp_path / "run"
    file.write_text(SEARCH.replace("STRATEGY", "{LargeScaleEvolution: {population: 4}}"))
    killed_after(9, folder, "search", file, "--workers", "2", "--run-dir", folder)
    with nas("resume", folder) as process:
        assert process.wait(timeout=300) == 0
    ends = finished(folder)
    assert sorted(each["number"] for each in ends) == list(range(24))
    assert sum(each["inherited_percent"] > 0 for each in ends) > 10
