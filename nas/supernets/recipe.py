"""The records that declare a search with a supernet; the defaults are those of DARTS on CIFAR-10."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal, final

from nas.data import Augmentation, Data, split
from nas.data.preprocessing import preprocessing_of
from nas.data.split import Split
from nas.records import Fraction, Natural, NonNegative, Positive, RecordError, record
from nas.supernets.expected_cost import ExpectedCost
from nas.supernets.method import Differentiable, Method
from nas.supernets.monitor import Monitor
from nas.training.distillation import Distillation
from nas.training.optimizers import Sgd
from nas.training.recipe import BaseRecipe
from nas.training.schedules import CosineDecay, Schedule


@final
@record
class WeightsRecipe(BaseRecipe):
    """Training of a supernet's weights by SGD: a cosine from 0.025 to 0.001, set once an epoch.

    The paper ends at 0, the released code at 0.001; we follow the code. With `distillation` a trained network teaches, too: every
    loss on images, of weights and of alphas, is combined with that by its predictions.
    """

    batch: Positive = 64
    optimizer: Sgd = Sgd()
    schedule: Schedule = CosineDecay(final_lr=0.001)
    augmentation: Augmentation = Augmentation(crop_pad=4, flip=True)
    distillation: Distillation | None = None

    def __post_init__(self) -> None:
        if self.schedule.needs_validation:
            raise RecordError(
                f"schedule {type(self.schedule).__name__} watches a validation accuracy, and a supernet has none: give another, "
                "as CosineDecay",
                "schedule",
            )


@record
class AlphasRecipe:
    """Training of the architecture parameters (alphas) by Adam, on separate `images`, from epoch `from_epoch` on.

    `images` is a fraction of the training images, or a number of them. They are augmented like those of the weights.
    """

    images: int | float = 0.5
    lr: NonNegative = 3e-4
    beta1: Fraction = 0.5
    beta2: Fraction = 0.999
    weight_decay: NonNegative = 1e-3
    from_epoch: Natural = 0


@record
class Seed:
    """The search with one seed, as an item that a run proposes and evaluates."""

    number: Natural

    def describe(self) -> str:
        """Return a short text."""
        return f"seed {self.number}"


@record
class SupernetSearch:
    """Train supernets of the space by `method`, one per seed, and derive an architecture from each.

    `seeds` is their number. `network` holds the options by which the supernet is stacked, where they differ from the
    experiment's. `images` limits the images for the weights. `execution` "grouped" computes common work of edges once;
    "auto" does so where the method allows it. `checkpoint_cells` recomputes cells in the backward pass instead of storing
    their activations: less memory, a third more time. `compile_cells` compiles each cell with torch.compile.

    `cost` adds the expected cost of what is searched to the alphas' loss.

    With `derivation` "perturbation" options are compared, choice by choice, by the accuracy lost without them instead of
    by their alphas (Wang et al. 2021, arXiv:2108.04392); between two choices the supernet is tuned for `tune_epochs`.
    """

    method: Method
    data: Data
    epochs: Positive = 50
    seeds: Positive = 1
    network: Mapping[str, Any] = field(default_factory=dict)
    weights: WeightsRecipe = WeightsRecipe()
    alphas: AlphasRecipe = AlphasRecipe()
    images: Positive | None = None
    split_seed: Natural = 0
    monitor: Monitor = Monitor()
    cost: ExpectedCost | None = None
    derivation: Literal["alphas", "perturbation"] = "alphas"
    tune_epochs: Natural = 0
    execution: Literal["auto", "plain", "grouped"] = "auto"
    checkpoint_cells: bool = False
    compile_cells: bool = False
    checkpoint_seconds: NonNegative = 0.0

    def __post_init__(self) -> None:
        monitor, method = self.monitor, self.method
        if (monitor.hessian_every or monitor.early_stop) and not method.is_smooth:
            raise RecordError(
                f"supernet.monitor measures the Hessian of the alphas, and {type(method).__name__} has none: leave "
                "hessian_every and early_stop out, or take another method, as Darts"
            )
        if (monitor.hessian_every or monitor.early_stop) and self.compile_cells:
            raise RecordError(
                "supernet.monitor differentiates twice, and torch.compile cannot: leave compile_cells out, or hessian_every "
                "and early_stop"
            )
        if method.differentiates_steps and (self.checkpoint_cells or self.compile_cells):
            raise RecordError(
                "supernet.method differentiates through a step, which checkpoint_cells and compile_cells do not allow: leave "
                "them out, or take order 'second'"
            )
        if self.derivation == "perturbation" and not method.mixes_all:
            raise RecordError(
                f"supernet.derivation 'perturbation' takes options out of a mixture, and {type(method).__name__} computes "
                "only some of them: give 'alphas', or take another method, as Darts"
            )
        if self.cost is not None and not isinstance(method, Differentiable):
            raise RecordError(
                f"supernet.cost is a loss of alphas, and {type(method).__name__} has none: leave it out, or take another method, "
                "as Snas"
            )
        method.phases(self.epochs, self.alphas.from_epoch)

    def split(self) -> Split:
        """Return the images: the training part for the weights, the validation part for the alphas."""
        return split(self.data, self.alphas.images, self.split_seed, self.images)

    def prepare(self, space: Any) -> dict[str, Any]:
        """Load the data, and return what they fix of a network: its number of `classes` and `input` shape.

        Raises RecordError where there are no images for the alphas.
        """
        images = self.split()
        if not len(images.validation):
            raise RecordError("supernet.alphas.images gives none: the alphas, or what is scored, need some")
        fixed = {"classes": len(images.classes), "input": images.shape}
        return {**fixed, "class_names": images.classes, "preprocessing": preprocessing_of(images)}
