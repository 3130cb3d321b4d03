"""The training loop, for candidates of a search and for final networks, on one rank or several."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import final

import torch
from torch import Tensor, nn

from nas.data import Images, Split
from nas.data.feed import BatchLoader, RandomCrop, load_batches, near
from nas.plain import from_plain
from nas.records import RecordError, digest, to_plain
from nas.training.checkpoint import load_together, save_checkpoint
from nas.training.execution import Execution
from nas.training.flat_recipe import former_form
from nas.training.measure import evaluate
from nas.training.peers import guarded, peers
from nas.training.randomness import mixed_seed, stream
from nas.training.recipe import Recipe, check_validated, learning_rate
from nas.training.reports import Diverged, Epoch, Underway
from nas.training.step import best_device, in_batches
from nas.training.stepper import Stepper
from nas.training.synced_timer import SyncedTimer

Reports = Generator[Epoch | Underway, None, nn.Module | None]


BY_DEFAULT = Execution()


def train(
    model: nn.Module,
    split: Split,
    recipe: Recipe,
    *,
    seed: int,
    checkpoint: Path | None = None,
    device: torch.device | None = None,
    execution: Execution = BY_DEFAULT,
    frozen: Mapping[str, int] | None = None,
    until: int | None = None,
    repeats_last: bool = False,
    teacher: nn.Module | None = None,
) -> Reports:
    """Train `model` in place on the training images; yields a report after each epoch, and within long ones.

    Returns the moving average (EMA) of the model, if the recipe has one. The run is a function of its arguments and the
    model's initial weights: torch's global random state is not read, and is restored whenever the caller has control. On
    a CPU results are the same bit for bit.

    With `checkpoint` the state is written to that file as `execution` says, and always after the last epoch. Where the
    file exists the run resumes from it, and ends with the weights of an uninterrupted run. Where the run is finished, its
    last report is yielded again; with `repeats_last` that of the last epoch is, wherever the run resumes. With `until` the
    run ends after that epoch of the recipe's schedule, validated and with a checkpoint, from which a later call goes on.
    `frozen` maps the names of modules to the number of epochs during which they do not learn; their batch norms keep
    their statistics, too. `teacher` is the trained network of `recipe.distillation`.

    In a process group, as set up by Ray Train and torchrun, the ranks share every batch. The result is that of one
    process with the same batch, with three exceptions: batch norms see their rank's share alone unless the recipe
    synchronises them; drop path and dropout have other noise; and mixed images have partners from the same rank.

    Raises RecordError if the file belongs to another run, and Diverged if the loss is not finite.
    """
    last = min(recipe.epochs, until or recipe.epochs)
    run = _Run(model, split, recipe, seed, device or best_device(), execution, frozen or {}, checkpoint, last, teacher)
    if (done := run.restore()) is not None and (run.number > last or repeats_last):
        yield done
    while run.number <= last:
        yield from run.epoch()
    return run.stepper.average.module if run.stepper.average is not None else None


@dataclass(slots=True)
class EpochSums:
    """The sums of an epoch in progress in this rank; `sums` are those of losses, correct images and images."""

    sums: Tensor
    steps: int = 0
    seconds: float = 0.0
    waited_seconds: float = 0.0
    broken: int = 0

    def add(self, loss: Tensor, right: Tensor, images: int) -> None:
        """Add a step; nothing is read back from the device."""
        self.steps += 1
        self.sums += torch.stack([loss.double() * images, right.double(), torch.full_like(self.sums[0], images)])


@final
class _Run:
    """A training run in progress: its position, its sums, and the time of its last checkpoint."""

    def __init__(
        self,
        model: nn.Module,
        split: Split,
        recipe: Recipe,
        seed: int,
        device: torch.device,
        execution: Execution,
        frozen: Mapping[str, int],
        checkpoint: Path | None,
        last: int,
        teacher: nn.Module | None,
    ) -> None:
        self.name, self.former_name = (
            digest((form, seed, name, _structure(model), *([dict(frozen)] if frozen else [])))
            for form, name in ((recipe, split.name), (former_form(recipe), split.former_name))
        )
        self.split, self.recipe, self.seed, self.device = split, recipe, seed, device
        self.execution, self.frozen, self.checkpoint, self.last = execution, frozen, checkpoint, last
        self.peers = peers()
        check_validated(recipe, len(split.validation))
        self.stepper = Stepper(model, split, recipe, seed, device, execution, self.peers, teacher)
        self.images, self.validation = near(split.train, device), near(split.validation, device)
        self.number, self.tally = 1, self._new_tally()
        self.report: Epoch | None = None
        self.accuracies: list[float] = []
        """The validation accuracies every `validate_every` epochs, which a schedule may follow."""
        self.saved = perf_counter()

    def _new_tally(self) -> EpochSums:
        return EpochSums(torch.zeros(3, dtype=torch.float64, device=self.device))

    def restore(self) -> Epoch | None:
        """Restore the checkpoint's state, if there is one; return the report of the last epoch, unless one is in progress."""
        state = load_together(self.checkpoint, (self.name, self.former_name), self.peers, self.device)
        if state is not None:
            self.stepper.load_state_dict(state["stepper"])
            # the checkpoint has the sums over all ranks: each rank takes an equal share, also of another number of ranks
            sums = torch.tensor(state["sums"], dtype=torch.float64, device=self.device) / self.peers.size
            self.tally = EpochSums(sums, *state["tally"])
            self.number = state["epoch"]
            self.report = from_plain(state["report"], Epoch) if state["report"] is not None else None
            self.accuracies = state.get("accuracies", [])
        return self.report if not self.tally.steps else None

    def _save(self) -> None:
        """Write the state that the rest of the run depends on. Random states are not in it: each step is seeded by its number."""
        self.stepper.sync_buffers()
        sums = self.tally.sums.clone()
        self.peers.all_reduce_sum([sums])
        if self.checkpoint is not None and self.peers.rank == 0:
            tally = self.tally
            state = {
                "stepper": self.stepper.state_dict(),
                "epoch": self.number,
                "tally": [tally.steps, tally.seconds, tally.waited_seconds, tally.broken],
                "sums": sums.tolist(),
                "report": to_plain(self.report) if self.report is not None else None,
                "accuracies": self.accuracies,
            }
            save_checkpoint(self.checkpoint, self.name, state)
        self.saved = perf_counter()

    def _save_if_due(self) -> None:
        """Save where the last checkpoint is old enough, by the mean of all ranks' clocks."""
        if self.peers.mean(perf_counter() - self.saved, self.device) >= self.execution.checkpoint_seconds:
            self._save()

    def epoch(self) -> Generator[Epoch | Underway, None, None]:
        """Train the rest of the epoch, validate and report; a checkpoint is written where one is due."""
        self.stepper.begin(self.number, self.frozen)
        yield from self._train()
        self.report = self._measured()
        accuracy = self.report.validation_top1_percent
        # not that of a last epoch which is validated out of turn: a run that ends later has no such
        if accuracy is not None and self.number % self.recipe.validate_every == 0:
            self.accuracies.append(accuracy)
        self.number, self.tally = self.number + 1, self._new_tally()
        if self.number > self.last:
            self._save()  # always after the last epoch: a finished run repeats its last report from it
        else:
            self._save_if_due()
        yield self.report

    def _train(self) -> Generator[Underway, None, None]:
        """Train on the remaining batches of the epoch, and report progress from time to time."""
        parts = self._batches()
        crop = RandomCrop(self.recipe.augmentation.crop_scale, mixed_seed(self.seed, "crop", self.number))
        own = [self.peers.share(part) for part in parts[self.tally.steps :]]
        timer = SyncedTimer(self.peers, self.device, self.execution.report_seconds)
        before, losses = self.tally.seconds, list[Tensor]()
        with closing(
            load_batches(self.images, own, self.device, crop, self.execution.decoders_here(), self.peers.size)
        ) as coming:
            for batch in self._waited_for(coming):
                losses.append(self._step(batch, parts))
                self.tally.seconds = before + perf_counter() - timer.begun
                # losses are read back only here and after the epoch: in between, the CPU runs ahead of the device
                if timer.is_due() and self.tally.steps < len(parts):
                    _check_finite(losses, self.number, self.tally.steps)
                    losses.clear()
                    self._save_if_due()
                    yield self._underway(len(parts))
        _check_finite(losses, self.number, self.tally.steps)
        self.tally.seconds = before + perf_counter() - timer.begun

    def _batches(self) -> list[Tensor]:
        """Return the indices of each batch of the epoch; a last batch of less than two images per rank is left out."""
        # a function of seed and epoch alone: a resumed epoch skips the steps that it has done
        order = self.images.order(stream(self.seed, "order", self.number))
        parts = list(in_batches(order, self.recipe.batch))
        # batch norm needs two images in each rank
        if len(parts) > 1 and len(parts[-1]) < 2 * self.peers.size:
            parts.pop()
        if len(parts[0]) < self.peers.size:
            raise RecordError(
                f"{len(self.images)} images are less than one for each of {self.peers.size} workers: give more images, or "
                "fewer workers"
            )
        return parts

    def _waited_for(self, coming: BatchLoader) -> Iterator[Images]:
        """Yield the batches, and add up the time spent waiting for them."""
        asked, before = perf_counter(), self.tally.broken
        for batch in coming:
            self.tally.waited_seconds += perf_counter() - asked
            self.tally.broken = before + coming.broken
            yield batch
            asked = perf_counter()

    def _step(self, batch: Images, parts: Sequence[Tensor]) -> Tensor:
        step = self.tally.steps
        done = step / len(parts) if self.recipe.schedule_by == "step" else 0.0
        self.stepper.set_lr(self.number - 1 + done, self.accuracies)
        with guarded():
            loss, right = self.stepper.step(self.number, step, batch, len(parts[step]))
        self.tally.add(loss, right, len(batch))
        return loss

    def _underway(self, steps: int) -> Underway:
        loss, _, images = self.tally.sums.tolist()
        return Underway(
            epochs_done=self.number - 1 + self.tally.steps / steps,
            epochs=self.recipe.epochs,
            loss=loss / images,
            images_per_second=self.peers.size * images / self.tally.seconds,
            waiting_percent=100 * self.tally.waited_seconds / self.tally.seconds,
        )

    def _measured(self) -> Epoch:
        """Return the report of a trained epoch, with the validation accuracies if they are due."""
        tally, begun = self.tally, perf_counter()
        validation = self._validate()
        times = torch.tensor([tally.waited_seconds, tally.broken], dtype=torch.float64, device=self.device)
        self.peers.all_reduce_sum([tally.sums, times])
        waited, broken = times.tolist()
        loss, right, images = tally.sums.tolist()
        seconds = tally.seconds + perf_counter() - begun
        return Epoch(
            epoch=self.number,
            epochs=self.recipe.epochs,
            loss=loss / images,
            train_top1_percent=100 * right / images,
            validation_top1_percent=validation[0],
            ema_top1_percent=validation[1],
            seconds=seconds,
            total_seconds=seconds + (self.report.total_seconds if self.report is not None else 0.0),
            images_per_second=images / tally.seconds,
            waiting_percent=100 * waited / self.peers.size / tally.seconds,
            broken_images=round(broken),
            lr=learning_rate(self.recipe, self.number - 1, self.accuracies),
        )

    def _validate(self) -> tuple[float | None, float | None]:
        """Return the validation accuracies, in percent, of the weights and of their moving average."""
        due = self.number % self.recipe.validate_every == 0 or self.number == self.last
        if not due or not len(self.validation):
            return None, None
        self.stepper.sync_buffers()
        average = self.stepper.average
        return self._accuracy(self.stepper.model), self._accuracy(average.module) if average is not None else None

    def _accuracy(self, model: nn.Module) -> float:
        measured = evaluate(
            model,
            self.validation,
            self.split,
            self.recipe,
            self.device,
            self.execution.decoders_here(),
            self.peers,
            self.execution.accumulate,
        )
        return measured.top1_percent


def _check_finite(losses: Sequence[Tensor], epoch: int, steps: int) -> None:
    """Raise Diverged where one of the latest losses is not finite; `steps` is the number of steps so far."""
    finite = torch.stack(list(losses)).isfinite() if losses else torch.ones(0, dtype=torch.bool)
    if not finite.all():
        raise Diverged(epoch, 1 + steps - len(losses) + int(finite.logical_not().nonzero()[0]))


def _structure(model: nn.Module) -> str:
    """Return a description of the layers and the shapes of their tensors, without memory addresses."""
    # the layers in words tell apart what has equal weights, such as two activations or strides
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    return re.sub(r" at 0x[0-9a-f]+", "", f"{model!r} {shapes}")
