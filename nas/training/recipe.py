"""The recipe: the hyperparameters of a training, as a record."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from nas.data import Augmentation
from nas.records import Fraction, Natural, NonNegative, Positive, Range, RecordError, record
from nas.space import Choice


@record
class Recipe:
    """The hyperparameters of a training; the defaults are those of DARTS on CIFAR (Liu et al. 2019, arXiv:1806.09055).

    `lr` falls to `final_lr` by `schedule`; with "step" it is multiplied by `decay` every `decay_every` epochs instead.
    `schedule_by` is how often it is set. In the first `warmup_epochs` it rises linearly from lr / warmup_epochs to lr,
    and the schedule runs over the remaining epochs. `clip` bounds the gradient's norm. `drop_path` is the final
    probability of drop path, approached linearly over the epochs; with `drop_path_schedule` "constant" it holds in all
    epochs. `auxiliary` weighs the loss of an auxiliary classifier.

    `crop_scale` bounds the area of a random crop as a share of the image, for images decoded at their own size, as
    ImageNet's; images held in memory are cropped by `crop_pad`. `color_jitter` bounds changes of brightness, contrast,
    saturation and hue. `rand_augment` is the number of operations per image, of a magnitude up to 10; `erasing` is the
    probability of random erasing. `mixup` and `cutmix` are the alphas of their beta distributions, 0 for none; where both
    are given, each batch takes one of them. `ema` is the decay of the weights' moving average, 0 for none. `decay_norms`
    False exempts norms and biases from weight decay. `sync_batch_norm` shares batch statistics between ranks.

    The validation accuracy is measured every `validate_every` epochs and after the last. `precision` "auto" is bfloat16
    on a GPU with native support and float32 elsewhere: most CPUs only emulate bfloat16, 8 times slower. `channels_last`
    "auto" is true: networks of depthwise convolutions train 1.5 times faster on a CPU.
    """

    epochs: Positive = 600
    batch: Positive = 96
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: NonNegative = 0.025
    final_lr: NonNegative = 0.0
    momentum: Fraction = 0.9
    """SGD's momentum, or the first beta of Adam and AdamW."""
    beta2: Fraction = 0.999
    nesterov: bool = False
    weight_decay: NonNegative = 3e-4
    schedule: Literal["cosine", "linear", "step", "constant"] = "cosine"
    schedule_by: Literal["epoch", "step"] = "epoch"
    decay: Fraction = 0.97
    decay_every: Positive = 1
    warmup_epochs: Natural = 0
    clip: Annotated[float, Range(0)] | None = 5.0
    label_smoothing: Fraction = 0.0
    crop_pad: Natural = 4
    flip: bool = True
    cutout: Natural = 16
    crop_scale: tuple[Fraction, Fraction] = (0.08, 1.0)
    color_jitter: tuple[NonNegative, NonNegative, NonNegative, NonNegative] = (0.0, 0.0, 0.0, 0.0)
    rand_augment: Natural = 0
    rand_augment_magnitude: Annotated[float, Range(0, 10)] = 9.0
    erasing: Fraction = 0.0
    mixup: NonNegative = 0.0
    cutmix: NonNegative = 0.0
    drop_path: Fraction = 0.2
    drop_path_schedule: Literal["linear", "constant"] = "linear"
    ema: Fraction = 0.0
    decay_norms: bool = True
    sync_batch_norm: bool = False
    auxiliary: NonNegative = 0.4
    validate_every: Positive = 1
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    channels_last: Literal["auto"] | bool = "auto"

    def __post_init__(self) -> None:
        if _are_closed(self.epochs, self.warmup_epochs) and self.warmup_epochs >= self.epochs:
            raise RecordError(
                f"Recipe.warmup_epochs is {self.warmup_epochs}, epochs {self.epochs}: give fewer epochs of warm-up"
            )
        if self.nesterov is True and self.optimizer in ("adam", "adamw"):
            raise RecordError(
                f"Recipe.nesterov is true and optimizer {self.optimizer!r}: leave nesterov out, or use sgd"
            )

    @property
    def augmentation(self) -> Augmentation:
        """The augmentation of the training images."""
        return Augmentation(
            self.crop_pad,
            self.flip,
            self.cutout,
            self.color_jitter,
            self.rand_augment,
            self.rand_augment_magnitude,
            self.erasing,
        )


def _are_closed(*values: object) -> bool:
    """Return whether no value is an open choice."""
    return not any(isinstance(value, Choice) for value in values)


def learning_rate(recipe: Recipe, epochs_done: float) -> float:
    """Return the learning rate after `epochs_done` epochs, fractions included: `lr` at 0, `final_lr` at the end.

    If it is set once an epoch, as in DARTS, the last epoch is trained at the rate of its start, not at `final_lr`.
    """
    if epochs_done < recipe.warmup_epochs:
        # the first warm-up epoch has lr / warmup_epochs; set by step, the rate rises within it too
        first = 1 / recipe.warmup_epochs
        rise = epochs_done * (1 - first if recipe.schedule_by == "step" else 1) / recipe.warmup_epochs
        return recipe.lr * min(1.0, first + rise)
    epochs_done -= recipe.warmup_epochs
    progress = epochs_done / (recipe.epochs - recipe.warmup_epochs)
    if recipe.schedule == "cosine":
        return recipe.final_lr + (recipe.lr - recipe.final_lr) * (1 + math.cos(math.pi * progress)) / 2
    if recipe.schedule == "linear":
        return recipe.lr + (recipe.final_lr - recipe.lr) * progress
    if recipe.schedule == "step":
        return recipe.lr * math.pow(recipe.decay, epochs_done // recipe.decay_every)
    return recipe.lr
