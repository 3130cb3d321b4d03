"""Scoring by training: build the network, train it, and evaluate it on held-out images."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from nas.building import Node, build
from nas.choice import is_open
from nas.data import Data, Split, normalise, split
from nas.data.feed import load_batches
from nas.data.preprocessing import preprocessing_of
from nas.evaluation.candidate import Candidate
from nas.evaluation.costs import COSTS, network_costs
from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Progress, Task
from nas.evaluation.results import TestedNetwork, append_epoch, save_test
from nas.evaluation.trained_network import trained_in
from nas.history import Scores
from nas.morphisms import Importance, inherit
from nas.places import FilePath
from nas.plain import write
from nas.profiling import profile
from nas.records import Natural, Positive, RecordError, digest, one_line, record
from nas.space import sample
from nas.training import Epoch, Execution, Recipe, Underway, best_device, evaluate, seeded, train
from nas.training.checkpoint import load_weights, read_weights
from nas.training.distillation import Distillation
from nas.training.foreign_weights import load_any
from nas.training.initialisation import Initialisation, initialise
from nas.training.loop import Reports
from nas.training.measure import Accuracy, TestResult, measure_speed
from nas.training.peers import peers
from nas.training.recipe import check_validated
from nas.training.views import averaging

TRIED = 5
"""The number of architectures drawn to check that any can be built."""


TEST_SCORES = ("test_top1_percent", "test_top5_percent")


@record
class Training(Evaluator):
    """Train each architecture by `recipe` and score it by its accuracy on the validation images.

    `validation` is a fraction or a number of images, `images` limits the number of training images. A candidate is
    trained from scratch, with a separate seed; an interrupted training resumes from its checkpoint. In a process group
    all ranks share each training.

    With `inherit` a candidate begins from the weights of its first parent instead, as `nas.morphisms.inherit` puts them into
    its network; `inherited_percent` is their share. Of a layer that became narrower the first channels stay or, with "l1" or
    "l2", those whose filters have the largest norms, with "norm_scale" those with the largest scales in the batch norm that
    follows. A proposal without parents is trained from scratch, and so is a test.

    With `weights`, a file of this project, torchvision, timm or others, a network begins from these; a head for other classes
    is new.

    A test begins from the weights in the file `initial`, if there is one, of the same network. It writes, next to the weights
    `<name>.safetensors`, the test result (`<name>.test.json`) and the reports of the epochs (`<name>.epochs.jsonl`). With a
    moving average (EMA), those weights are the averaged ones, and the test score is theirs; the raw weights are in
    `<name>.raw.safetensors`.
    """

    data: Data
    recipe: Recipe = Recipe()
    validation: int | float = 0.2
    images: Positive | None = None
    split_seed: Natural = 0
    execution: Execution = Execution()
    inherit: bool | Importance = False
    weights: FilePath | None = None

    def __post_init__(self) -> None:
        if self.weights is not None and self.inherit:
            raise RecordError("Training has both weights and inherit: give one of them", "weights")

    @property
    def inherits(self) -> bool:
        return bool(self.inherit)

    def prepare(self, space: Any) -> dict[str, Any]:
        return facts_of(self.split_images())

    def scores(self) -> tuple[str, ...]:
        measured = ["validation_top1_percent"] if self.validation else []
        return (*measured, *COSTS, "seconds", *(["inherited_percent"] if self.inherit else []))

    def screening_scores(self) -> tuple[str, ...]:
        return COSTS

    def test_scores(self) -> tuple[str, ...]:
        return (*TEST_SCORES, *replace(self, inherit=False).scores())

    def joined(self, space: Any) -> Any:
        return Candidate(space, self.recipe) if is_open(self.recipe) else space

    def recipe_of(self, job: Job) -> Recipe:
        """Return the recipe of a job: its own where this evaluator's has open choices, else this evaluator's."""
        recipe: Recipe = job.architecture.recipe if is_open(self.recipe) else self.recipe
        return recipe

    def curves(self) -> tuple[str, ...]:
        return self.scores() if self.validation else ()

    def full_epochs(self) -> int | None:
        # where the epochs are searched too, no number of them is the whole of every training
        return None if is_open(self.recipe.epochs) else self.recipe.epochs

    def check(self, task: Task) -> None:
        if not is_open(self.recipe):
            images = self.split_images()
            check_validated(self.recipe, len(images.validation))
            teacher_of(self.recipe.distillation, images)
        check_builds(task)
        if self.weights is not None:
            self._check_weights(task, self.weights)

    def costs(self, task: Task, architecture: Any) -> Scores:
        return network_costs(task.network(architecture), task.input)

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        images, network = self.split_images(), task.network(job.architecture)
        costs = network_costs(network, images.shape)
        if job.epochs == 0:
            return costs
        if not self.inherit:
            model = self._begun(network, job, images)
        else:
            model, costs["inherited_percent"] = self._inherited(task, network, job, images)
        last, _ = yield from self._train(model, job, images, costs)
        return _scores(last, costs)

    def test(self, task: Task, job: Job, weights: Path | None = None, initial: Path | None = None) -> Evaluation:
        images, network = self.split_images(), task.network(job.architecture)
        recipe, costs = self.recipe_of(job), network_costs(network, images.shape)
        model = self._begun(network, job, images)
        if initial is not None:
            load_weights(model, initial, digest(network))
        last, average = yield from self._train(model, job, images, costs, weights)
        measured = measure_on_test(model, average, images, recipe, self.execution)
        # speed is that of one device: rank 0 measures it
        if peers().rank == 0:
            at_once = max(1, recipe.batch // self.execution.accumulate)
            speed = measure_speed(model, images.shape, recipe, best_device(), at_once)
            measured = replace(measured, speed=speed)
        if weights is not None:
            description = write(task.found(job.architecture)) if task.family else ""
            save_test(weights, TestedNetwork(network, model, average, measured, description))
        decisive = measured.decisive
        tested = {"test_top1_percent": decisive.top1_percent, "test_top5_percent": decisive.top5_percent}
        return {**tested, **_scores(last, costs)}

    def split_images(self) -> Split:
        """Return the images, split into those to train on and those to validate on; the test images stay closed."""
        return split(self.data, self.validation, self.split_seed, self.images)

    def _begun(self, network: Node, job: Job, images: Split) -> nn.Module:
        """Build a network with the weights that its training begins from."""
        model = built(network, job, images, self.recipe_of(job).initialisation)
        if self.weights is not None:
            load_any(model, Path(self.weights), images.shape, new_head=True)
        return model

    def _check_weights(self, task: Task, weights: str) -> None:
        """Raise RecordError where the weights do not fit the network."""
        if is_open(task.space):
            raise RecordError(
                f"{weights} are the weights of one network, and the space is open: leave them out", "weights"
            )
        with seeded(0):
            model = build(task.network(task.space), task.input)
        load_any(model, Path(weights), task.input, new_head=True)

    def _inherited(self, task: Task, network: Node, job: Job, images: Split) -> tuple[nn.Module, float]:
        """Build a network with the weights of its parent, if it has one; also return their share in percent."""
        # a checkpoint is gone where the run was resumed with changed data: its images may be test images now
        if job.parent is None or not job.parent.checkpoint.exists():
            return built(network, job, images, self.recipe_of(job).initialisation), 0.0
        with seeded(job.seed):
            made = inherit(
                network,
                task.network(job.parent.architecture),
                read_weights(job.parent.checkpoint),
                images.shape,
                first_images(images),
                self.inherit if isinstance(self.inherit, str) else None,
            )
        return made.model, made.inherited_percent

    def _train(
        self, model: nn.Module, job: Job, images: Split, costs: Scores, weights: Path | None = None
    ) -> Generator[Progress, None, tuple[Epoch, nn.Module | None]]:
        recipe = self.recipe_of(job)
        reports = train(
            model,
            images,
            recipe,
            seed=job.seed,
            checkpoint=job.checkpoint,
            execution=self.execution,
            until=job.epochs,
            # the report may have been lost with the process that was to write it to the journal
            repeats_last=weights is None,
            teacher=teacher_of(recipe.distillation, images),
        )
        return (yield from reported(reports, weights, costs))


def teacher_of(
    distillation: Distillation | None, images: Split, key: str = "recipe.distillation.teacher"
) -> nn.Module | None:
    """Build the teacher of a distillation, if there is one; `key` is where it is declared.

    Raises RecordError where it has no weights, or was trained with other classes, shapes or statistics of images.
    """
    if distillation is None:
        return None
    trained = trained_in(Path(distillation.teacher))
    own, known = trained.stacked, trained.normalised(images)
    if (own.classes, own.input, known.mean, known.std) != (images.classes, images.shape, images.mean, images.std):
        raise RecordError(
            f"the teacher {trained.weights} was trained on images {own.input} of {len(own.classes)} classes, with mean "
            f"{known.mean}, and these are {images.shape} of {len(images.classes)}, with mean {images.mean}: give a teacher "
            "that was trained on the same data",
            key,
        )
    return trained.model()


def check_builds(task: Task) -> None:
    """Build one of a few drawn architectures on the meta device, and run it on one image.

    Raises RecordError, with the reason, where none of them builds.
    """
    rng, reasons = Random(0), list[str]()
    for _ in range(TRIED):
        try:
            profile(task.network(sample(task.space, rng)), task.input)
        except (RecordError, RuntimeError) as error:
            reasons.append(one_line(error))
        else:
            return
    if not is_open(task.space):
        raise RecordError(f"the network cannot be built: {reasons[0]}")
    raise RecordError(f"none of {TRIED} architectures drawn from the space builds, the first because {reasons[0]}")


def facts_of(images: Split) -> dict[str, Any]:
    """Return the facts that images fix of a network trained on them, and those that a user of its weights needs."""
    fixed = {"classes": len(images.classes), "input": images.shape}
    return {**fixed, "class_names": images.classes, "preprocessing": preprocessing_of(images)}


def measure_on_test(
    model: nn.Module, average: nn.Module | None, images: Split, recipe: Recipe, execution: Execution
) -> TestResult:
    """Open the test set, and evaluate the weights and their moving average (EMA) on it."""
    # the one place that opens the test images: a search never does
    test, device, decoders, together = images.open_test(), best_device(), execution.decoders_here(), peers()
    settings = recipe, device, decoders, together, execution.accumulate

    def measured(network: nn.Module) -> Accuracy:
        averaged, seen = averaging(network, test, recipe.test_views, recipe.augmentation.crop_pad)
        return evaluate(averaged, seen, images, *settings)

    raw, ema = measured(model), measured(average) if average is not None else None
    return TestResult(images.classes, raw, ema, None, images.mean, images.std, images.test_source)


def reported(
    reports: Reports, weights: Path | None = None, costs: Scores | None = None
) -> Generator[Progress, None, tuple[Epoch, nn.Module | None]]:
    """Run a training: yields its progress, returns the last report and the moving average (EMA).

    With `weights` each epoch is appended to the `.epochs.jsonl` next to that file. With `costs` an epoch that was validated
    reports the scores so far.
    """
    validation: dict[str, float] = {}
    last: Epoch | None = None
    while True:
        try:
            report = next(reports)
        except StopIteration as end:
            assert last is not None, "a recipe has an epoch at least"
            return last, end.value
        if isinstance(report, Epoch):
            last = report
            if report.validation_top1_percent is not None:
                validation = {"validation_top1_percent": report.validation_top1_percent}
            if weights is not None:
                append_epoch(weights, report)
        done = report.epoch if isinstance(report, Epoch) else report.epochs_done
        scores = {}
        if isinstance(report, Epoch) and report.validation_top1_percent is not None and costs is not None:
            scores = _scores(report, costs)
        yield Progress(done, report.epochs, scores, {**_shown(report), **validation})


def _shown(report: Epoch | Underway) -> dict[str, float]:
    """Return the values of a report that are shown."""
    speed = {"images_per_second": report.images_per_second, "waiting_percent": report.waiting_percent}
    return {"loss": report.loss, **speed}


def _scores(last: Epoch, costs: Scores) -> dict[str, float]:
    """Return the validation accuracy, if measured, and the costs."""
    accuracy = last.validation_top1_percent
    measured = {"validation_top1_percent": accuracy} if accuracy is not None else {}
    return {**measured, **costs, "seconds": last.total_seconds}


def first_images(images: Split, count: int = 64) -> Tensor:
    """Return the first training images, normalised (B, C, H, W)."""
    indices = torch.arange(min(count, len(images.train)))
    with closing(load_batches(images.train, [indices], torch.device("cpu"))) as coming:
        return normalise(next(iter(coming)).x, images.mean, images.std)


def built(network: Node, job: Job, images: Split, initialisation: Initialisation | None = None) -> nn.Module:
    """Build a network for these images, with the initial weights of the job's seed, by default torch's."""
    with seeded(job.seed):
        model = build(network, images.shape)
        if initialisation is not None:
            initialise(model, initialisation)
    return model
