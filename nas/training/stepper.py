"""Stepper: one batch, one update of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from nas.data import Images, Split, augment
from nas.data.batch_random import BatchRandom
from nas.data.color_noise import color_axes
from nas.data.mixing import MixedLabels, mix
from nas.operations.drop_path import DropPath
from nas.records import RecordError
from nas.training.average import averaged
from nas.training.distributed import parallel, sync_buffers, synchronise
from nas.training.execution import Execution
from nas.training.peers import Peers
from nas.training.randomness import mixed_seed, seeded, stream
from nas.training.recipe import Recipe, learning_rate
from nas.training.sparsity import Pruner
from nas.training.step import autocast, compile_layers, loss_of, make_optimizer, memory_format, to_device


@final
class Stepper:
    """The model, its optimizer and its moving average; the randomness of each step comes from the seed and the step's number."""

    def __init__(
        self,
        model: nn.Module,
        split: Split,
        recipe: Recipe,
        seed: int,
        device: torch.device,
        execution: Execution,
        peers: Peers,
        teacher: nn.Module | None = None,
    ) -> None:
        if recipe.sync_batch_norm and peers.size > 1:
            model = synchronise(model, device)
        if recipe.batch % peers.size:
            raise RecordError(
                f"recipe.batch is {recipe.batch}, which {peers.size} workers cannot share evenly: give a multiple of {peers.size}"
            )
        self.split, self.recipe, self.seed, self.device = split, recipe, seed, device
        self.peers, self.parts = peers, execution.accumulate
        is_cropped = not isinstance(split.train, Images)  # already, while decoding
        self.augmentation = replace(recipe.augmentation, crop_pad=0) if is_cropped else recipe.augmentation
        augmentations = (self.augmentation, *(recipe.unlabelled.views(self.augmentation) if recipe.unlabelled else ()))
        is_noisy = any(each.color_noise for each in augmentations)
        self.axes = color_axes(split.train).to(device) if is_noisy else None
        self.model = to_device(model, recipe, device)
        peers.broadcast(
            list(self.model.state_dict().values())
        )  # equal by seed, but different CPUs may round differently
        self.pool = _pool(split, device) if recipe.unlabelled is not None else None
        self.teacher = _ready(teacher, recipe, device)
        self.weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = make_optimizer(self.weights, recipe, recipe.decay_norms)
        self.pruner = Pruner(self.model, recipe.sparsity) if recipe.sparsity is not None else None
        self.average = averaged(self.model, recipe.ema) if recipe.ema else None
        if execution.compile_layers:
            compile_layers(self.model)
        self.parallel, self.shut = parallel(self.model, peers, device), frozenset[str]()

    def state_dict(self) -> dict[str, Any]:
        """Return the state that later steps depend on."""
        average = self.average.state_dict() if self.average is not None else None
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "average": average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state returned by `state_dict`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])

    def sync_buffers(self) -> None:
        """All-reduce the running statistics of the model's batch norms, and those of the moving average, to their means."""
        sync_buffers(self.model, self.peers)
        if self.average is not None:
            sync_buffers(self.average.module, self.peers)

    def begin(self, epoch: int, frozen: Mapping[str, int]) -> None:
        """Set up an epoch: the probability of drop path, which weights are zero, and which modules are frozen."""
        self.model.train()
        if self.pruner is not None:
            self.pruner.begin(epoch)
        progress = (epoch - 1) / self.recipe.epochs if self.recipe.drop_path_schedule == "linear" else 1.0
        for module in self.model.modules():
            if isinstance(module, DropPath):
                module.probability = self.recipe.drop_path * progress * module.share
        shut = frozenset(name for name, epochs in frozen.items() if epoch <= epochs)
        for name in frozen:
            self.model.get_submodule(name).requires_grad_(name not in shut).train(name not in shut)
        if shut != self.shut:
            # DistributedDataParallel registers hooks on parameters that require gradients when it is built
            self.parallel, self.shut = parallel(self.model, self.peers, self.device), shut

    def set_lr(self, epochs_done: float, accuracies: Sequence[float]) -> None:
        """Set the scheduled learning rate, after these validation accuracies."""
        rate = learning_rate(self.recipe, epochs_done, accuracies)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def step(self, epoch: int, step: int, batch: Images, whole: int) -> tuple[Tensor, Tensor]:
        """Update the weights by this rank's share of a batch of `whole` images.

        Returns the mean loss of the share and its number of correct images, both still on the device.
        """
        x, labels = self._varied(batch, whole, epoch, step)
        views = self._unlabelled(len(x), whole, epoch, step)
        loss, right = torch.zeros((), device=self.device), torch.zeros((), dtype=torch.int64, device=self.device)
        self.optimizer.zero_grad()
        with seeded(mixed_seed(self.seed, "layers", epoch, step, self.peers.rank), self.device):
            for part, context in self._accumulated(len(x)):
                with context:
                    own = [_part_of(view, part, len(x)) for view in views]
                    of_part, hits = self._backward(
                        x[part], _at(labels, part), (part.stop - part.start) / len(x), own, epoch
                    )
                loss, right = loss + of_part, right + hits
        if self.pruner is not None:
            self.pruner.penalise()
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.weights, self.recipe.clip)
        self.optimizer.step()
        if self.pruner is not None:
            self.pruner.apply()
        if self.average is not None:
            self.average.update_parameters(self.model)
        return loss, right

    def _varied(self, batch: Images, whole: int, epoch: int, step: int) -> tuple[Tensor, Tensor | MixedLabels]:
        """Return the augmented images of the share and their labels, mixed with `mixup` or `cutmix`."""
        recipe, own = self.recipe, self.peers.share(torch.arange(whole)) if self.peers.size > 1 else None
        # every rank draws for the whole batch and keeps its share: the same augmentation for any number of ranks
        generator = stream(self.seed, "augmentation", epoch, step, device=self.device)
        draws = BatchRandom(generator, whole, own)
        x = augment(batch.x, self.augmentation, self.split.mean, self.split.std, draws, self.axes)
        labels: Tensor | MixedLabels = batch.y
        if recipe.mixup or recipe.cutmix:
            rng = Random(mixed_seed(self.seed, "mixing", epoch, step))
            x, labels = mix(x, batch.y, recipe.mixup, recipe.cutmix, rng)
        return x.contiguous(memory_format=memory_format(recipe)), labels

    def _unlabelled(self, images: int, whole: int, epoch: int, step: int) -> list[Tensor]:
        """Return each view of this rank's unlabelled images, for a share of `images` labelled ones; none without such a loss."""
        how, pool = self.recipe.unlabelled, self.pool
        if how is None or pool is None:
            return []
        number = how.ratio * whole
        drawn = torch.randint(len(pool), (number,), generator=stream(self.seed, "unlabelled", epoch, step))
        own = self.peers.share(torch.arange(number))[: how.ratio * images]
        x = pool.x[drawn[own].to(self.device)]
        views = []
        for i, augmentation in enumerate(how.views(self.augmentation)):
            generator = stream(self.seed, "unlabelled augmentation", epoch, step, i, device=self.device)
            draws = BatchRandom(generator, number, own)
            view = augment(x, augmentation, self.split.mean, self.split.std, draws, self.axes)
            views.append(view.contiguous(memory_format=memory_format(self.recipe)))
        return views

    def _accumulated(self, images: int) -> Iterator[tuple[slice, AbstractContextManager[None]]]:
        """Yield the parts of a batch; gradients are averaged over the ranks after the last part only."""
        number = max(1, min(self.parts, images // 2))  # batch norm cannot normalise a single image
        bounds = [images * i // number for i in range(number + 1)]
        parts = [slice(a, b) for a, b in pairwise(bounds) if b > a]
        for part in parts:
            is_last, model = part is parts[-1], self.parallel
            yield part, nullcontext() if is_last or not isinstance(model, DistributedDataParallel) else model.no_sync()

    def _backward(
        self, x: Tensor, labels: Tensor | MixedLabels, weight: float, views: Sequence[Tensor], epoch: int
    ) -> tuple[Tensor, Tensor]:
        """Run the forward and backward pass of a part; return its weighted loss and its number of correct images."""
        with autocast(self.recipe, self.device):
            output = self.parallel(torch.cat([x, *views]) if views else x)
        loss, logits = loss_of(_first(output, len(x)) if views else output, labels, self.recipe)
        if self.recipe.distillation is not None and self.teacher is not None:
            with torch.no_grad(), autocast(self.recipe, self.device):
                taught = self.teacher(x)
            loss = self.recipe.distillation.combined(loss, logits, taught)
        if self.recipe.unlabelled is not None:
            others = (output[0] if isinstance(output, tuple) else output)[len(x) :].chunk(len(views))
            loss = self.recipe.unlabelled.labelled_weight * loss + self.recipe.unlabelled.loss(others, epoch - 1)
        # `weight` is the part's share of the batch: the gradients of the parts sum to that of the batch's mean loss
        torch.autograd.backward(loss * weight)
        y = labels if isinstance(labels, Tensor) else labels.y
        return loss.detach() * weight, (logits.detach().argmax(1) == y).sum()


def _at(labels: Tensor | MixedLabels, part: slice) -> Tensor | MixedLabels:
    return labels[part] if isinstance(labels, Tensor) else MixedLabels(labels.y[part], labels.other[part], labels.share)


def _ready(teacher: nn.Module | None, recipe: Recipe, device: torch.device) -> nn.Module | None:
    """Return the teacher in evaluation mode on the device. Raises RecordError where the recipe has one and it was not given."""
    if (recipe.distillation is None) != (teacher is None):
        raise RecordError("recipe.distillation and a teacher belong together: give both, or neither")
    return to_device(teacher, recipe, device).eval() if teacher is not None else None


def _first(output: Any, images: int) -> Any:
    """Return the logits of the first images, and their auxiliary logits where there are such."""
    return tuple(each[:images] for each in output) if isinstance(output, tuple) else output[:images]


def _part_of(view: Tensor, part: slice, images: int) -> Tensor:
    """Return the unlabelled images that go with a part of `images` labelled ones."""
    ratio = len(view) // images
    return view[part.start * ratio : part.stop * ratio]


def _pool(split: Split, device: torch.device) -> Images:
    """Return the images without labels. Raises RecordError where they are not in memory."""
    pool = split.without_labels()
    if not isinstance(pool, Images):
        raise RecordError(
            "recipe.unlabelled draws its images from memory, and these are decoded on the fly: give images that are held in "
            "memory, as ImageFolder"
        )
    return pool.to(device)
