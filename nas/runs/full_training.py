"""Full training: one architecture, stacked as a recipe says, trained and tested in its own run folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

from nas.data import Data
from nas.drawing import draw
from nas.evaluation.evaluator import Evaluation, Job, Task
from nas.evaluation.fit import Fit
from nas.evaluation.scale import Scale
from nas.evaluation.training import Training
from nas.family import family
from nas.history import Evaluated
from nas.lock import held
from nas.places import FilePath
from nas.plain import write
from nas.records import Natural, Positive, RecordError, nearest, record
from nas.runs.architecture import StackedNetwork, find_architecture, read_found
from nas.runs.declared import find_declared, load_declared, recipes
from nas.runs.experiment import Expectation, task_of
from nas.runs.folder import concerns, make_folder, provenance, reassigned, write_declared
from nas.runs.run_data import RunData, check_places, find_data, hold_to_data, write_data
from nas.runs.scores import check_expected
from nas.runtime.executor import Executor
from nas.runtime.inline import Inline
from nas.runtime.queue import Views, carry_out
from nas.runtime.rules import Budget, Rules
from nas.runtime.stage import RunStage
from nas.strategies.fixed_proposals import FixedProposals
from nas.training import Execution, Recipe

MAY_CHANGE = ("executor", "execution")
"""The keys that may be reassigned when a training is resumed."""

OF_THE_PLACE = ("executor", "execution", "data.path", "data.folder", "seed")
"""The keys of a recipe that its published numbers do not depend on: those of the machine, and the seed."""

WEIGHTS = "best.safetensors"

INITIAL = "initial.safetensors"
"""The weights that a training begins with, in its run folder; without this file they are random."""

PRUNED = "pruning.json"
"""The file, in the run folder of a pruned network, of what was pruned; its training begins with INITIAL."""


@record
class FullTraining:
    """A training of one architecture: its network options, the data, the recipe and the executor.

    `network` holds options of the network function of the architecture's family; the others keep their defaults. `scale` makes
    the network deeper and wider and its images larger; `fit` chooses the width by a budget. `expect` holds published numbers of
    the architecture `expect_of`, by the name of the score. `imports` names your own modules to import first. The training begins
    from `weights`, where they are given, a state dict of this network from anywhere.
    """

    data: Data
    recipe: Recipe = Recipe()
    network: Mapping[str, Any] = field(default_factory=dict)
    scale: Scale | None = None
    fit: Fit | None = None
    validation: int | float = 0
    images: Positive | None = None
    split_seed: Natural = 0
    execution: Execution = Execution()
    executor: Executor = Inline()
    seed: Natural = 0
    expect: Mapping[str, Expectation] = field(default_factory=dict)
    expect_of: str = ""
    imports: tuple[str, ...] = ()
    weights: FilePath | None = None

    def evaluator(self) -> Training:
        """Return the evaluator that trains and tests, on images of the scaled size."""
        data = self.data if self.scale is None else _scaled(self.data, self.scale)
        settings = self.recipe, self.validation, self.images, self.split_seed, self.execution
        return Training(data, *settings, weights=self.weights)


def _scaled(data: Data, scale: Scale) -> Data:
    """Return the data with images of the scaled size. Raises RecordError where their size is fixed."""
    # a factor of 1 leaves data of one size, such as CIFAR, as they are
    if scale.resolution**scale.phi == 1:
        return data
    size: int | None = getattr(data, "size", None)
    if size is None:
        raise RecordError(
            f"scale.resolution is {scale.resolution}, and {type(data).__name__} has images of one size: give 1",
            "scale.resolution",
        )
    sized: Any = data
    scaled: Data = replace(sized, size=scale.size(size))
    return scaled


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """A full training that is ready to run, with its data loaded: declaration, architecture, evaluator and task.

    `initial` is the file of the weights that it begins with; None for random ones.
    """

    declared: FullTraining
    found: StackedNetwork
    evaluator: Training
    task: Task
    data: RunData
    initial: Path | None = None

    @property
    def stacked(self) -> StackedNetwork:
        """The architecture with its network options, for images of the data's shape."""
        return self.task.found(self.found.architecture)


def load_recipe(name: str, assignments: Sequence[str] = ()) -> FullTraining:
    """Read a recipe by name or file, with `key=value` assignments. Raises RecordError where there is none.

    Its published numbers are dropped where an assignment changes a setting that they depend on.
    """
    declared = load_declared(recipe_file(name), assignments, FullTraining)
    is_changed = any(not concerns(assignment, OF_THE_PLACE) for assignment in assignments)
    return replace(declared, expect={}) if is_changed else declared


def recipe_file(name: str) -> Path:
    """Return the file of a recipe by name or path. Raises RecordError where there is none."""
    return find_declared(name, recipes(), "recipe")


def plan_training(
    declared: FullTraining, found: StackedNetwork, hold: Callable[[RunData], None] = lambda data: None
) -> TrainingPlan:
    """Stack the architecture and load the data, so that errors are raised before anything is trained.

    `hold` is called with the data, and may raise where a run began with others.
    """
    declared = replace(declared, executor=declared.executor.settled())
    _check_network(declared, found)
    evaluator = declared.evaluator()
    check_expected(declared.expect, evaluator.test_scores())
    declared.executor.check()
    data = find_data({"data": evaluator})
    hold(data)
    if declared.expect_of and find_architecture(declared.expect_of).architecture != found.architecture:
        declared = replace(declared, expect={}, expect_of="")
    task = task_of(found.family, found.architecture, evaluator.prepare(None), declared.network, "network")
    if declared.scale is not None:
        task = replace(task, options=declared.scale.options(task.options))
    task = replace(task, fit=declared.fit)
    # the width that `fit` finds becomes an ordinary option, which best.json then holds
    task = replace(task, options=task.options_for(found.architecture), fit=None)
    evaluator.check(task)
    return TrainingPlan(declared, found, evaluator, task, data)


def _check_network(declared: FullTraining, found: StackedNetwork) -> None:
    """Raise RecordError where the recipe sets a network option that the architecture's family does not have."""
    known = list(signature(family(found.family).network).parameters)[1:]
    for key in declared.network:
        if key not in known:
            raise RecordError(
                f"network.{key}: no such key; {nearest(key, known)}; a recipe for another family than {found.family} is taken "
                "with network=null",
                f"network.{key}",
            )


def create_training(folder: Path, planned: TrainingPlan) -> None:
    """Make a run folder with the declared training, its data and its architecture. Raises RecordError where the folder exists."""
    make_folder(folder)
    write_declared(folder / "training.yaml", planned.declared, provenance())
    write_data(folder, planned.data)
    (folder / "best.json").write_text(write(planned.stacked), encoding="utf-8")
    if (picture := draw(planned.found.architecture)) is not None:
        (folder / "best.svg").write_text(picture, encoding="utf-8")


def load_training(folder: Path, assignments: Sequence[str] = (), changed_data: bool = False) -> TrainingPlan:
    """Read the training of a run folder; the keys in MAY_CHANGE and paths of data may be reassigned.

    The data must be those that it began with, unless `changed_data`. Raises RecordError where the folder holds no training.
    """
    load = partial(load_declared, kind=FullTraining)
    declared = reassigned(folder / "training.yaml", assignments, MAY_CHANGE, load)
    check_places(folder, declared)
    hold = partial(hold_to_data, folder, changed_data=changed_data)
    planned = plan_training(declared, read_found(folder / "best.json"), hold)
    initial = (folder / INITIAL).resolve()
    if (folder / PRUNED).is_file() and not initial.is_file():
        raise RecordError(
            f"{folder} is the training of a pruned network, and its weights {INITIAL} are missing: restore them"
        )
    return replace(planned, initial=initial) if initial.is_file() else planned


def run_training(planned: TrainingPlan, folder: Path, views: Views) -> Evaluated:
    """Train and test, or resume after an interruption. A failed training is retried from its last checkpoint."""
    stage = RunStage(
        "training",
        FixedProposals(((planned.found.architecture, "given"),)),
        partial(_test, planned, folder / WEIGHTS),
        Rules(Budget(1), "test_top1_percent", "evaluate", give_up_after=2, seed=planned.declared.seed),
        family(planned.found.family).describe,
    )
    with held(folder):
        history = carry_out(stage, planned.declared.executor, views, folder)
    (done,) = history.finished.values()
    return done


def _test(planned: TrainingPlan, weights: Path, job: Job) -> Evaluation:
    return planned.evaluator.test(planned.task, job, weights, planned.initial)
