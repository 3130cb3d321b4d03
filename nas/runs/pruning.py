"""Pruning runs: a trained network loses its least important channels, and is trained on in a run folder of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from torch import nn

from nas.choice import is_open
from nas.data import Split
from nas.evaluation.trained_network import TrainedNetwork
from nas.evaluation.training import measure_on_test
from nas.family import StackedNetwork, family
from nas.morphisms.ordering import Importance
from nas.morphisms.pruning import Cost, Pruned, prune_channels
from nas.places import absolute
from nas.plain import from_plain, read, write
from nas.profiling import profile
from nas.records import Range, RecordError, digest, record, to_plain
from nas.runs.architecture import find_checkpoint, folder_of
from nas.runs.full_training import (
    INITIAL,
    PRUNED,
    FullTraining,
    TrainingPlan,
    create_training,
    load_recipe,
    plan_training,
)
from nas.runs.measure_weights import model_for, training_of
from nas.runs.run import load_run
from nas.runs.spaces import Named, named_space
from nas.runs.yaml_file import override, read_yaml
from nas.runtime.executor import Executor
from nas.space import decisions
from nas.training import Recipe, save_weights, seeded

SHORTER, SMALLER_LR = 4, 10
"""By how much the fine-tuning is shorter than the training, and its learning rate smaller, where no recipe is given."""


@record
class Pruning:
    """How far a network is narrowed: to the share `keep` of a cost, without the channels that are least important by `by`.

    `space` is that of the network, as an experiment names it, or a run folder of its search; by default that of the run or, where
    there is none, of the network's family.
    """

    keep: Annotated[float, Range(0.001, 0.999)] = 0.5
    cost: Cost = "macs"
    by: Importance = "l1"
    space: str = ""


@record
class AccuracyAndCosts:
    """The accuracy on the test images and the costs of a network."""

    top1_percent: float
    params: int
    macs: int


@record
class PruningReport:
    """What was pruned, from which weights, and what the network was before, and after with no training on."""

    pruning: Pruning
    weights: str
    before: AccuracyAndCosts
    pruned: AccuracyAndCosts


@dataclass(frozen=True, slots=True)
class PruningRequest:
    """A user's request: a checkpoint, what to prune, a recipe's name if any, and settings as `key=value`."""

    checkpoint: str
    pruning: Pruning
    recipe: str = ""
    assignments: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PruningPlan:
    """A pruned network that is ready to be trained on: the training, the model with its weights, and the report."""

    training: TrainingPlan
    model: nn.Module
    report: PruningReport


def declare_pruning(asked: PruningRequest) -> FullTraining:
    """Return the training of the pruned network: by a recipe or, without one, a short one like that of the checkpoint.

    Without a recipe it has a quarter of the epochs, no warm-up and a tenth of the learning rate: Li et al. 2017,
    arXiv:1608.08710, section 4, train on for a quarter of the epochs, at the last rate. Raises RecordError where nothing is
    known of the checkpoint's training.
    """
    found, _ = find_checkpoint(asked.checkpoint)
    declared = load_recipe(asked.recipe) if asked.recipe else training_of(folder_of(asked.checkpoint))
    if declared is None or is_open(declared.recipe):
        raise RecordError(f"what {asked.checkpoint} was trained with is not known: give --recipe, a name or a file")
    recipe = declared.recipe if asked.recipe else _fine_tuning(declared.recipe)
    options = {name: value for name, value in found.options.items() if name != "classes"}
    data = declared.evaluator().data
    declared = replace(
        declared, data=data, recipe=recipe, network=options, scale=None, fit=None, expect={}, expect_of=""
    )
    plain: dict[str, Any] = to_plain(declared)
    override(plain, asked.assignments)
    changed: FullTraining = absolute(from_plain(plain, FullTraining))
    return changed


def _fine_tuning(recipe: Recipe) -> Recipe:
    epochs = max(1, round(recipe.epochs / SHORTER))
    return replace(
        recipe, epochs=epochs, lr=recipe.lr / SMALLER_LR, warmup_epochs=0, initialisation=None, sparsity=None
    )


def plan_pruning(asked: PruningRequest, declared: FullTraining, executor: Executor) -> PruningPlan:
    """Prune the network and test it, before and after. Raises RecordError where it cannot be narrowed so far."""
    found, weights = find_checkpoint(asked.checkpoint)
    images = declared.evaluator().split_images()
    model = model_for(TrainedNetwork(found, weights), images)
    # before the test: what is refused should be refused at once
    with seeded(declared.seed):
        pruned = _pruned(asked, found, model)
    narrow = replace(found, architecture=pruned.architecture, scores={})
    training = plan_training(replace(declared, executor=executor), narrow)
    before = _measured(found, model, images, declared)
    after = _measured(narrow, pruned.inheritance.model, images, declared)
    report = PruningReport(asked.pruning, str(weights.resolve()), before, after)
    return PruningPlan(training, pruned.inheritance.model, report)


def _pruned(asked: PruningRequest, found: StackedNetwork, model: nn.Module) -> Pruned:
    space, what = _space_of(asked, found), asked.pruning
    try:
        decisions(space, found.architecture)
    except RecordError as error:
        raise RecordError(
            f"{asked.checkpoint} is no member of the space {asked.pruning.space or found.family} ({error}): give the space that "
            "it is from, as --space '{growing: {stages: 2}}' or the run folder of its search"
        ) from None

    def stack(member: Any) -> Any:
        return replace(found, architecture=member).tree()

    weights = model.state_dict()
    return prune_channels(space, found.architecture, stack, weights, found.input, what.keep, what.cost, what.by)


def _space_of(asked: PruningRequest, found: StackedNetwork) -> Any:
    """Return the space of a network: the given one, that of its search, or that of its family."""
    given = asked.pruning.space
    folder = Path(given) if given else folder_of(asked.checkpoint)
    if (folder / "experiment.yaml").is_file():
        return named_space(load_run(folder).space).open("space")
    if not given:
        return family(found.family).space()
    named: Named = from_plain(read_yaml(given, "--space")[1], Named) if given.startswith("{") else given
    return named_space(named).open("--space")


def _measured(found: StackedNetwork, model: nn.Module, images: Split, declared: FullTraining) -> AccuracyAndCosts:
    tested = measure_on_test(model, None, images, declared.recipe, declared.execution)
    costs = profile(found.tree(), found.input)
    return AccuracyAndCosts(tested.raw.top1_percent, costs.params, costs.macs)


def create_pruning(folder: Path, planned: PruningPlan) -> TrainingPlan:
    """Make a run folder of a training, with the pruned weights that it begins with and the report; return the training's plan.

    Raises RecordError where the folder exists.
    """
    create_training(folder, planned.training)
    stacked = planned.training.stacked
    initial = (folder / INITIAL).resolve()
    save_weights(planned.model, initial, digest(stacked.tree()), write(stacked))
    (folder / PRUNED).write_text(write(planned.report), encoding="utf-8")
    return replace(planned.training, initial=initial)


def read_pruning(folder: Path) -> PruningReport | None:
    """Return the report of a run folder whose network was pruned; None for any other."""
    file = folder / PRUNED
    if not file.is_file():
        return None
    report: PruningReport = read(json.loads(file.read_text(encoding="utf-8")), str(file), PruningReport)
    return report
