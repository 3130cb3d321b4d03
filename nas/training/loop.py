"""The one training loop: trains candidates of a search and the final network alike, an epoch at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.data import Images, Split, augment, normalise
from nas.operations.drop_path import DropPath
from nas.plain import from_plain
from nas.record import RecordError, digest, record, to_plain
from nas.training.checkpoint import load_checkpoint, save_checkpoint
from nas.training.randomness import mixed_seed, seeded, stream
from nas.training.recipe import Recipe, learning_rate
from nas.training.step import autocast, batches, best_device, loss_of, make_optimizer, memory_format, place

STEPS_BETWEEN_CHECKS = 256


@record
class Epoch:
    """Reports one finished epoch, the first being 1.

    `loss` is what was minimised, the auxiliary loss included, and `train_top1_percent` is of the varied images while
    the weights changed. `validation_top1_percent` is None where it was not measured. `seconds` includes the
    validation, `images_per_second` does not. `lr` is the rate at the epoch's start.
    """

    epoch: int
    epochs: int
    loss: float
    train_top1_percent: float
    validation_top1_percent: float | None
    seconds: float
    images_per_second: float
    lr: float


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Holds how well images are classified; the loss is the cross-entropy, without smoothing."""

    top1_percent: float
    top5_percent: float
    loss: float


@final
class Diverged(ArithmeticError):
    """Says at which epoch and step, both counted from 1, the loss was no longer a finite number."""

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(epoch, step)
        self.epoch, self.step = epoch, step

    def __str__(self) -> str:
        return f"the loss is not finite at epoch {self.epoch}, step {self.step}: lower lr, or clip the gradient"


def train(
    model: nn.Module,
    split: Split,
    recipe: Recipe,
    *,
    seed: int,
    checkpoint: Path | None = None,
    device: torch.device | None = None,
    checkpoint_seconds: float = 0.0,
) -> Iterator[Epoch]:
    """Train `model` in place on the training images; yields a report after each epoch.

    The run is a function of its arguments and the model's weights: torch's own random state is not read, and is as
    before whenever the caller has control. On a processor it is the same bit for bit.

    With `checkpoint` the state is written there after each epoch, or when `checkpoint_seconds` have passed since the
    last, and always after the last epoch. Where the file exists the run goes on from it, and ends with the weights that
    it would have had; where the run is finished, its last report is yielded again. Raises RecordError if the file is
    of another run, and Diverged if the loss is no finite number.
    """
    run = _Run(model, split, recipe, seed, device or best_device())
    state = load_checkpoint(checkpoint, run.name) if checkpoint is not None else None
    done = run.restore(state) if state is not None else None
    if done is not None and done.epoch == recipe.epochs:
        yield done
    written = perf_counter()
    for epoch in range(1 if done is None else done.epoch + 1, recipe.epochs + 1):
        report = run.epoch(epoch)
        due = epoch == recipe.epochs or perf_counter() - written >= checkpoint_seconds
        if checkpoint is not None and due:
            save_checkpoint(checkpoint, run.name, run.state(report))
            written = perf_counter()
        yield report


@torch.no_grad()
def evaluate(
    model: nn.Module, images: Images, split: Split, recipe: Recipe, device: torch.device | None = None
) -> Accuracy:
    """Measure the model on `images`, normalised with the split's mean and deviation.

    Puts the model on the device, and leaves it in the mode, training or not, in which it was. With fewer than five
    classes the top-5 accuracy is 100. Raises RecordError if there are no images.
    """
    if not len(images):
        raise RecordError("there are no images to evaluate on: give the split a validation part")
    device, was_training = device or best_device(), model.training
    place(model, recipe, device).eval()
    totals = torch.zeros(3, dtype=torch.float64, device=device)
    for start in range(0, len(images), 2 * recipe.batch):
        batch = images.at(slice(start, start + 2 * recipe.batch)).to(device)
        x = normalise(batch.x, split.mean, split.std).contiguous(memory_format=memory_format(recipe))
        with autocast(recipe, device):
            output = model(x)
        totals += _totals(output, batch.y)
    model.train(was_training)
    top1, top5, loss = (totals / len(images)).tolist()
    return Accuracy(100 * top1, 100 * top5, loss)


def _totals(output: Tensor | tuple[Tensor, ...], y: Tensor) -> Tensor:
    """Return how many of a batch are right, and right among five, and the sum of the losses, as float64 (3,)."""
    logits = (output[0] if isinstance(output, tuple) else output).float()
    hits = logits.topk(min(5, logits.shape[1])).indices == y[:, None]
    loss = functional.cross_entropy(logits, y, reduction="sum")
    return torch.stack([hits[:, 0].sum().double(), hits.sum().double(), loss.double()])


@final
class _Run:
    """A training run under way: the model, its optimizer, and the images on the device."""

    def __init__(self, model: nn.Module, split: Split, recipe: Recipe, seed: int, device: torch.device) -> None:
        self.name = digest((recipe, seed, split.name, _structure(model)))
        self.model = place(model, recipe, device)
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.optimizer = make_optimizer(self.weights, recipe)
        self.split, self.recipe, self.seed, self.device = split, recipe, seed, device
        self.images, self.validation = split.train.to(device), split.validation.to(device)

    def state(self, report: Epoch) -> dict[str, Any]:
        """Return what a checkpoint holds. Random states are not in it: each epoch's come from the seed and its number."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "report": to_plain(report),
        }

    def restore(self, state: dict[str, Any]) -> Epoch:
        """Take over a checkpoint's state, and return the report of its last epoch."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        report: Epoch = from_plain(state["report"], Epoch)
        return report

    def epoch(self, epoch: int) -> Epoch:
        """Train one epoch, the first being 1, and measure it."""
        started = perf_counter()
        with seeded(mixed_seed(self.seed, "layers", epoch), self.device):
            loss, top1_percent, images = self._train(epoch)
            trained = perf_counter()
            validation = self._validate(epoch)
        return Epoch(
            epoch=epoch,
            epochs=self.recipe.epochs,
            loss=loss,
            train_top1_percent=top1_percent,
            validation_top1_percent=validation,
            seconds=perf_counter() - started,
            images_per_second=images / (trained - started),
            lr=learning_rate(self.recipe, epoch - 1),
        )

    def _train(self, epoch: int) -> tuple[float, float, int]:
        """Return the mean loss, the accuracy in percent, and how many images there were."""
        self.model.train()
        self._set_drop_path(self.recipe.drop_path * (epoch - 1) / self.recipe.epochs)
        parts = batches(len(self.images), self.recipe.batch, stream(self.seed, "order", epoch))
        augmentation = stream(self.seed, "augmentation", epoch, device=self.device)
        losses = torch.zeros(len(parts), device=self.device)
        right = torch.zeros((), dtype=torch.int64, device=self.device)
        for step, indices in enumerate(parts):
            self._set_lr(epoch - 1, step / len(parts))
            losses[step], hits = self._step(indices.to(self.device, non_blocking=True), augmentation)
            right += hits
            if step % STEPS_BETWEEN_CHECKS == 0 or step == len(parts) - 1:
                _check_finite(losses[: step + 1], epoch)
        sizes = torch.tensor([len(part) for part in parts], dtype=torch.float64)
        images = int(sizes.sum())
        return float(losses.double().cpu() @ sizes) / images, 100 * int(right) / images, images

    def _step(self, indices: Tensor, augmentation: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the loss and how many of the batch were right, both still on the device."""
        recipe, batch = self.recipe, self.images.at(indices)
        x = augment(batch.x, recipe.augmentation, self.split.mean, self.split.std, augmentation)
        with autocast(recipe, self.device):
            output = self.model(x.contiguous(memory_format=memory_format(recipe)))
        loss, logits = loss_of(output, batch.y, recipe)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.weights, recipe.clip)
        self.optimizer.step()
        return loss.detach(), (logits.detach().argmax(1) == batch.y).sum()

    def _validate(self, epoch: int) -> float | None:
        due = epoch % self.recipe.validate_every == 0 or epoch == self.recipe.epochs
        if not due or not len(self.validation):
            return None
        return evaluate(self.model, self.validation, self.split, self.recipe, self.device).top1_percent

    def _set_drop_path(self, probability: float) -> None:
        for module in self.model.modules():
            if isinstance(module, DropPath):
                module.probability = probability * module.share

    def _set_lr(self, epochs_done: int, part: float) -> None:
        done = epochs_done + part if self.recipe.schedule_by == "step" else epochs_done
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, done)


def _check_finite(losses: Tensor, epoch: int) -> None:
    if not losses.isfinite().all():
        raise Diverged(epoch, 1 + int(losses.isfinite().logical_not().nonzero()[0]))


def _structure(model: nn.Module) -> str:
    """Describe the layers and the shapes of their tensors; addresses in memory are left out."""
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    return re.sub(r" at 0x[0-9a-f]+", "", f"{model!r} {shapes}")
