"""The recipe: the hyperparameters of a training, as a record."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, final

from nas.data import Augmentation
from nas.records import Fraction, Natural, NonNegative, Positive, Range, RecordError, record
from nas.space import Choice
from nas.training.distillation import Distillation
from nas.training.flat_recipe import nest
from nas.training.initialisation import Initialisation
from nas.training.losses import CrossEntropy, Loss
from nas.training.optimizers import Optimizer, Sgd
from nas.training.schedules import CosineDecay, Schedule
from nas.training.sparsity import Sparsity
from nas.training.unlabelled import Unlabelled
from nas.training.views import Views


@record
class BaseRecipe(ABC):  # noqa: B024, it has the shared fields and nothing to override
    """The hyperparameters that the training of a network and that of a supernet share.

    `clip` bounds the gradient's norm. `precision` "auto" is bfloat16 on a GPU with native support and float32 elsewhere:
    most CPUs only emulate bfloat16, 8 times slower. `channels_last` "auto" is true: networks of depthwise convolutions
    train 1.5 times faster on a CPU.
    """

    batch: Positive = 96
    lr: NonNegative = 0.025
    weight_decay: NonNegative = 3e-4
    optimizer: Optimizer = Sgd()
    schedule: Schedule = CosineDecay()
    clip: Annotated[float, Range(0)] | None = 5.0
    augmentation: Augmentation = Augmentation(crop_pad=4, flip=True, cutout=16)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    channels_last: Literal["auto"] | bool = "auto"

    @classmethod
    def upgrade(cls, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the fields of a file in today's form; version 0.1 had those of optimizer, schedule and augmentation here."""
        return nest(fields)


@final
@record
class Recipe(BaseRecipe):
    """The hyperparameters of a training; the defaults are those of DARTS on CIFAR (Liu et al. 2019, arXiv:1806.09055).

    `initialisation` draws the initial weights, by default torch's own. `loss` is what is minimised; with
    `distillation` a trained network teaches, too, and with `unlabelled` there is a loss of images without labels.
    In the first `warmup_epochs` the learning rate rises linearly from lr / warmup_epochs to lr; `schedule` runs over the
    remaining epochs. `schedule_by` is how often it is set. `drop_path` is the final probability of drop path, approached
    linearly over the epochs; with `drop_path_schedule` "constant" it holds in all epochs. `auxiliary` weighs the loss of
    an auxiliary classifier. `mixup` and `cutmix` are the alphas of their beta distributions, 0 for none; where both are
    given, each batch takes one of them. `ema` is the decay of the weights' moving average, 0 for none. `decay_norms`
    False exempts norms and biases from weight decay. `sync_batch_norm` shares batch statistics between ranks. The
    validation accuracy is measured every `validate_every` epochs and after the last. `test_views` are averaged in a
    test, not in validation: see `nas.training.views`. `sparsity` prunes weights in the course of the training.
    """

    epochs: Positive = 600
    initialisation: Initialisation | None = None
    loss: Loss = CrossEntropy()
    distillation: Distillation | None = None
    unlabelled: Unlabelled | None = None
    schedule_by: Literal["epoch", "step"] = "epoch"
    warmup_epochs: Natural = 0
    label_smoothing: Fraction = 0.0
    mixup: NonNegative = 0.0
    cutmix: NonNegative = 0.0
    drop_path: Fraction = 0.2
    drop_path_schedule: Literal["linear", "constant"] = "linear"
    ema: Fraction = 0.0
    decay_norms: bool = True
    sync_batch_norm: bool = False
    auxiliary: NonNegative = 0.4
    validate_every: Positive = 1
    test_views: Views = "centre"
    sparsity: Sparsity | None = None

    def __post_init__(self) -> None:
        if self.sparsity is not None and self.ema:
            raise RecordError(
                "Recipe.ema averages weights, and those that sparsity prunes would not be zero: leave one of them out"
            )
        if _are_closed(self.epochs, self.warmup_epochs) and self.warmup_epochs >= self.epochs:
            raise RecordError(
                f"Recipe.warmup_epochs is {self.warmup_epochs}, epochs {self.epochs}: give fewer epochs of warm-up"
            )


def _are_closed(*values: object) -> bool:
    """Return whether no value is an open choice."""
    return not any(isinstance(value, Choice) for value in values)


def learning_rate(recipe: Recipe, epochs_done: float, accuracies: Sequence[float] = ()) -> float:
    """Return the learning rate after `epochs_done` epochs, fractions included: `lr` at 0, the schedule's last at the end.

    If it is set once an epoch, as in DARTS, the last epoch is trained at the rate of its start. `accuracies` are those on the
    validation images so far, the oldest first, in percent.
    """
    if epochs_done < recipe.warmup_epochs:
        # the first warm-up epoch has lr / warmup_epochs; set by step, the rate rises within it too
        first = 1 / recipe.warmup_epochs
        rise = epochs_done * (1 - first if recipe.schedule_by == "step" else 1) / recipe.warmup_epochs
        return recipe.lr * min(1.0, first + rise)
    epochs = recipe.epochs - recipe.warmup_epochs
    rate = recipe.schedule.lr_after(epochs_done - recipe.warmup_epochs, epochs, recipe.lr)
    return rate * recipe.schedule.factor_after(accuracies)


def check_validated(recipe: Recipe, images: int) -> None:
    """Raise RecordError where the schedule needs validation accuracies and there are no validation `images`."""
    if recipe.schedule.needs_validation and not images:
        raise RecordError(
            f"recipe.schedule {type(recipe.schedule).__name__} watches the validation accuracy, and there are no validation "
            "images: give some, as validation=0.1",
            "recipe.schedule",
        )
