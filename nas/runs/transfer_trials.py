"""Transfer: the features of a trained network on other data, frozen or trained further, against training from scratch."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from time import perf_counter
from typing import ClassVar, Literal

from torch import nn

from nas.building import Node, Shape, build
from nas.data import Augmentation, Data, Split, split
from nas.data.preprocessing import preprocessing_of
from nas.data.resized import Resized
from nas.evaluation.evaluator import Evaluation, Job
from nas.evaluation.prototypes import FewShot, features_of, few_shot_accuracy, prototypes_of, set_prototypes
from nas.evaluation.results import TestedNetwork, save_test
from nas.evaluation.trained_network import TrainedNetwork
from nas.evaluation.training import measure_on_test, reported, teacher_of
from nas.family import StackedNetwork
from nas.plain import write
from nas.profiling import profile
from nas.records import Natural, NonNegative, Positive, RecordError, record
from nas.topology.chain import Stage
from nas.topology.network import Network
from nas.training import Execution, Recipe, mixed_seed, seeded, stream, train
from nas.training.initialisation import initialise
from nas.training.measure import Percent, TestResult

Way = Literal["linear_probe", "fine_tune", "gradual", "scratch", "prototypes"]

SHORT = Recipe(epochs=30, batch=64, lr=0.01, drop_path=0.0, augmentation=Augmentation(crop_pad=4), validate_every=1000)
"""The recipe of a transfer before assignments. It has no flips: scans of digits must not be mirrored; photographs may be."""

LONGEST = 20
"""The largest factor by which the epochs of a trial with few labels are increased."""


@record
class Transfer:
    """A transfer: to which data the features of a trained network are taken, and how.

    Each of the `ways` is tried with each share of the labels, `repeats` times with other images and seeds. `linear_probe` trains
    a new head on frozen features, whose batch norm statistics are frozen too (Kornblith et al. 2019, arXiv:1805.08974).
    `fine_tune` trains all weights. `gradual` first trains the head and then unfreezes stage after stage, from the last to the
    first (Howard and Ruder 2018, arXiv:1801.06146, section 3.3). `scratch` trains the same network from random weights.
    `prototypes` trains nothing: its head classifies by the nearest mean of features (Snell et al. 2017, arXiv:1703.05175), and
    episodes drawn from the test images, `few_shot`, are scored too. The
    learning rate depends on the way; `gradual` has that of `fine_tune`. With fewer labels there are more epochs, so that the
    number of steps stays about the same.
    """

    data: Data
    ways: tuple[Way, ...] = ("linear_probe", "fine_tune", "scratch")
    labels_percent: tuple[Percent, ...] = (100.0,)
    repeats: Positive = 1
    recipe: Recipe = SHORT
    linear_probe_lr: NonNegative = 0.1
    fine_tune_lr: NonNegative = 0.03
    scratch_lr: NonNegative = 0.1
    execution: Execution = Execution()
    seed: Natural = 0
    few_shot: FewShot = FewShot()

    def __post_init__(self) -> None:
        for name in ("ways", "labels_percent"):
            if not getattr(self, name):
                raise RecordError(f"Transfer.{name} is empty: give one at least", name)
        if 0 in self.labels_percent:
            raise RecordError("Transfer.labels_percent has 0: give shares above 0, as 1", "labels_percent")

    def trials(self) -> tuple[TransferRun, ...]:
        """Return the trials: each share of the labels, each way, each repeat."""
        shares = self.labels_percent
        return tuple(TransferRun(way, share, i) for share in shares for way in self.ways for i in range(self.repeats))

    def recipe_of(self, trial: TransferRun, images: int) -> Recipe:
        """Return the recipe of a trial: the learning rate of its way, and about as many steps as with all of `images`."""
        rates = {"linear_probe": self.linear_probe_lr, "scratch": self.scratch_lr}
        # an epoch has at least one batch, however few the labels
        more = min(LONGEST, max(1, images / max(self.recipe.batch, images * trial.labels_percent / 100)))
        epochs = round(self.recipe.epochs * more)
        return replace(self.recipe, lr=rates.get(trial.way, self.fine_tune_lr), epochs=epochs)


@record
class TransferRun:
    """One trial of a transfer: the way (`linear_probe`, `fine_tune`, ...), the share of the labels, and the repeat."""

    formerly: ClassVar = ("Trial",)

    way: Way
    labels_percent: Percent
    repeat: Natural

    @property
    def name(self) -> str:
        """The stem of its file names."""
        return f"{self.way}-{self.labels_percent:g}-{self.repeat}"


def adapted(data: Data, shape: Shape) -> Data:
    """Return a data set with images of `shape` (C, H, W), as in the network's training: read in that shape, or resized to it."""
    known = {each.name for each in fields(data)} & {"size", "channels"}  # type: ignore[arg-type]
    if "size" in known:
        values = {"size": shape[1], "channels": shape[0]}
        read_so: Data = replace(data, **{name: values[name] for name in known})  # type: ignore[type-var]
        return read_so
    found = split(data, 0, 0).shape
    return data if found == shape else Resized(data, shape[1], shape[0])


def check_transfer(declared: Transfer, trained: TrainedNetwork) -> None:
    """Raise RecordError where the weights do not fit the network or the images, or there are too few images."""
    shapes = {split_of(declared, trial).shape for trial in declared.trials()}
    model = trained.model()
    for shape in shapes:
        check_channels(trained, shape)
        take_features(build(trained.stacked.with_head(2).tree(), shape), model)


def check_channels(trained: TrainedNetwork, shape: Shape) -> None:
    """Raise RecordError where images of a shape (C, H, W) do not have the number of channels that the network takes."""
    if shape[0] != trained.stacked.input[0]:
        raise RecordError(
            f"the images have {shape[0]} channels and the network takes {trained.stacked.input[0]}: give images of "
            f"{trained.stacked.input[0]}, or a network that takes {shape[0]}"
        )


def perform_transfer(declared: Transfer, trained: TrainedNetwork, folder: Path, job: Job) -> Evaluation:
    """Run one trial: write its weights and test results into the folder, and return its scores."""
    trial: TransferRun = job.architecture
    images = trained.normalised(split_of(declared, trial))
    network = trained.stacked.with_head(len(images.classes)).tree()
    recipe = declared.recipe_of(trial, len(split(declared.data, 0, trial.repeat).train))
    with seeded(mixed_seed(declared.seed, trial.name)):
        model = build(network, images.shape)
        if recipe.initialisation is not None:
            initialise(model, recipe.initialisation)
    if trial.way != "scratch":
        take_features(model, trained.model())
    if trial.way == "prototypes":
        return _perform_prototypes(declared, trained, folder, trial, model)
    reports = train(
        model,
        images,
        recipe,
        seed=mixed_seed(declared.seed, trial.name, "training"),
        checkpoint=job.checkpoint,
        execution=declared.execution,
        frozen=frozen_parts(trial.way, network, recipe.epochs),
        teacher=teacher_of(recipe.distillation, images),
    )
    last, average = yield from reported(reports)
    measured = measure_on_test(model, average, images, recipe, declared.execution)
    _save(declared, trained, folder, trial, model, average, measured)
    costs = _costs(images, network, last.total_seconds)
    return {"test_top1_percent": measured.decisive.top1_percent, "loss": last.loss, **costs}


def _perform_prototypes(
    declared: Transfer, trained: TrainedNetwork, folder: Path, trial: TransferRun, model: nn.Module
) -> dict[str, float]:
    """Put prototypes into the head of a network with trained features, test it, and return its scores."""
    begun, images = perf_counter(), trained.normalised(split_of(declared, trial))
    _take_hidden(model, trained.model())
    batch = declared.recipe.batch
    set_prototypes(model, prototypes_of(*features_of(model, images.train, images, batch), len(images.classes)))
    measured = measure_on_test(model, None, images, declared.recipe, declared.execution)
    network = trained.stacked.with_head(len(images.classes)).tree()
    _save(declared, trained, folder, trial, model, None, measured)
    scores = {"test_top1_percent": measured.raw.top1_percent, "loss": measured.raw.loss}
    draws = stream(declared.seed, trial.name, "episodes")
    features, y = features_of(model, images.open_test(), images, batch)
    if (found := few_shot_accuracy(features, y, declared.few_shot, draws)) is not None:
        scores |= {"few_shot_percent": found[0], "few_shot_interval_percent": found[1]}
    return {**scores, **_costs(images, network, perf_counter() - begun)}


def _save(
    declared: Transfer,
    trained: TrainedNetwork,
    folder: Path,
    trial: TransferRun,
    model: nn.Module,
    average: nn.Module | None,
    measured: TestResult,
) -> None:
    """Write the weights of a trial, and its test result."""
    found = found_by(declared, trained, trial)
    network = trained.stacked.with_head(len(found.classes)).tree()
    tested = TestedNetwork(network, model, average, measured, write(found))
    save_test(folder / f"{trial.name}.safetensors", tested)


def _costs(images: Split, network: Node, seconds: float) -> dict[str, float]:
    return {"images": len(images.train), "seconds": seconds, "params": profile(network, images.shape).params}


def found_by(declared: Transfer, trained: TrainedNetwork, trial: TransferRun) -> StackedNetwork:
    """Return the network that a trial trains, with its classes."""
    images = trained.normalised(split_of(declared, trial))
    stacked = trained.stacked.with_head(len(images.classes))
    read = preprocessing_of(images)
    return replace(stacked, input=images.shape, scores={}, classes=images.classes, preprocessing=read)


def split_of(declared: Transfer, trial: TransferRun) -> Split:
    """Return the images of a trial. Those of a smaller share are a subset of those of a larger one.

    Raises RecordError where there are fewer images than classes.
    """
    whole = split(declared.data, 0, trial.repeat)
    number = round(len(whole.train) * trial.labels_percent / 100)
    if number < len(whole.classes):
        raise RecordError(
            f"{trial.labels_percent:g} % of {len(whole.train)} images are {number}, fewer than the {len(whole.classes)} "
            "classes: give more labels"
        )
    return split(declared.data, 0, trial.repeat, number)


def take_features(model: nn.Module, trained: nn.Module) -> None:
    """Copy all weights but those of the heads into `model`. Raises RecordError where its features have other shapes."""
    given = {name: tensor for name, tensor in trained.state_dict().items() if not _is_of_head(name)}
    wanted = {name: tensor for name, tensor in model.state_dict().items() if not _is_of_head(name)}
    shapes = [{name: tuple(tensor.shape) for name, tensor in each.items()} for each in (wanted, given)]
    if differing := sorted(name for name in given.keys() | wanted.keys() if shapes[0].get(name) != shapes[1].get(name)):
        name = differing[0]
        raise RecordError(
            f"the features do not fit: {len(differing)} tensors differ, the first {name!r}, {shapes[1].get(name)} as trained "
            f"and {shapes[0].get(name)} for these images: give images of the shape that it was trained with"
        )
    model.load_state_dict(given, strict=False)


def _take_hidden(model: nn.Module, trained: nn.Module) -> None:
    """Copy the hidden layers of the head, too: all weights that have the shape of those of `model`."""
    wanted = model.state_dict()
    given = trained.state_dict()
    same = {name: each for name, each in given.items() if name in wanted and wanted[name].shape == each.shape}
    model.load_state_dict(same, strict=False)


def _is_of_head(name: str) -> bool:
    return name.startswith(("head.", "auxiliary."))


def frozen_parts(way: Way, network: Node, epochs: int) -> dict[str, int]:
    """Return for how many epochs each part of the network is frozen, by the name of its module."""
    if way in ("fine_tune", "scratch"):
        return {}
    if way == "linear_probe":
        return {"stem": epochs, "layers": epochs}
    # gradual: the head trains at once, the i-th part from the last after i / (stages + 2) of the epochs
    stages = list(_stages(network))
    frozen: dict[str, int] = {}
    for i, layers in enumerate(reversed([["stem"], *stages])):
        frozen |= dict.fromkeys(layers, epochs * (i + 1) // (len(stages) + 2))
    return frozen


def _stages(network: Node) -> list[list[str]]:
    """Return the names of the modules of each stage."""
    assert isinstance(network, Network), "what is stacked is a network"
    sizes = [
        len(list(stage.members())) if isinstance(stage, Stage) and stage.is_plain else 1 for stage in network.stages
    ]
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [[f"layers.{i}" for i in range(end - size, end)] for size, end in zip(sizes, ends, strict=True)]
