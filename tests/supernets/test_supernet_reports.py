"""What a search with a supernet reports of each epoch is what a plain loop over the same batches counts, for every method."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from methods import METHOD_CLASSES
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from nas.data import Augmentation, Digits, Images, normalise
from nas.evaluation.evaluator import Job, Task
from nas.plain import read
from nas.supernets.bilevel import Batch, BatchOutcome, Step
from nas.supernets.gates import StepContext
from nas.supernets.recipe import AlphasRecipe, SupernetSearch, WeightsRecipe
from nas.supernets.search import SupernetResult, search_supernet
from nas.supernets.supernet import Supernet
from nas.training import in_batches, mixed_seed, seeded, stream
from search_spaces import nasbench201

pytest.importorskip("sklearn")
pytestmark = pytest.mark.usefixtures("one_thread")
SEED = 7
TASK = Task(
    nasbench201.nasbench201(),
    nasbench201.network,
    {"channels": 12, "cells_per_stage": 1, "classes": 10},
    (1, 8, 8),
)
WEIGHTS = WeightsRecipe(batch=20, lr=0.1, channels_last=False, augmentation=Augmentation())
ALPHAS = AlphasRecipe(images=40, lr=0.05, from_epoch=1)


def variants() -> Iterator[tuple[str, Any]]:
    """Yield each method with its defaults, and with each other value of a setting that is one of a few names; of one phase."""
    for name, cls in METHOD_CLASSES.items():
        last: Any = cls().phases(76, 0)[-1].method
        alone = replace(last, layers=(), weights_only=1) if hasattr(last, "layers") else last
        yield name, alone
        for field in fields(alone):
            kind = get_type_hints(type(alone))[field.name]
            values = get_args(kind) if get_origin(kind) is Literal else ()
            others = [each for each in values if each != getattr(alone, field.name)]
            yield from ((f"{name}-{other}", replace(alone, **{field.name: other})) for other in others)


VARIANTS = dict(variants())


@dataclass
class Count:
    """Adds up the loss and the hits of an epoch, in Python's numbers."""

    loss: float = 0.0
    hits: int = 0
    images: int = 0

    def add(self, logits: Tensor, labels: Tensor) -> None:
        self.loss += functional.cross_entropy(logits, labels, reduction="sum").item()
        self.hits += sum(int(row.argmax() == label) for row, label in zip(logits, labels, strict=True))
        self.images += len(labels)

    @property
    def means(self) -> tuple[float, float] | None:
        return (self.loss / self.images, 100 * self.hits / self.images) if self.images else None


class Loop:
    """A search with one supernet as a plain loop; only the gradients of the alphas are the method's own."""

    def __init__(self, declared: SupernetSearch) -> None:
        self.declared, self.split, self.method = declared, declared.split(), declared.method
        with seeded(mixed_seed(SEED, "weights", 0)):
            self.net = Supernet(TASK.network(TASK.space), self.method, TASK.input)
        self.weights, self.alphas = list(self.net.model.parameters()), list(self.net.policy.parameters())
        self.sgd = torch.optim.SGD(self.weights, WEIGHTS.lr, momentum=0.9, weight_decay=3e-4)
        self.adam = torch.optim.Adam(self.alphas, ALPHAS.lr, (0.5, 0.999), weight_decay=1e-3) if self.alphas else None

    def epoch(self, number: int) -> tuple[Count, Count]:
        progress = number / self.declared.epochs
        self.sgd.param_groups[0]["lr"] = 0.001 + (0.1 - 0.001) * (1 + math.cos(math.pi * progress)) / 2
        draws, weights_count, alphas_count = stream(SEED, "gates", number), Count(), Count()
        order = in_batches(torch.randperm(60, generator=stream(SEED, "order", number)), 20)
        others = in_batches(torch.randperm(40, generator=stream(SEED, "alphas order", number)), 20)
        learns = self.adam is not None and number >= 1
        with seeded(mixed_seed(SEED, "layers", number, 0)):
            for i, indices in enumerate(order):
                batch = self.batch(self.split.train, indices)
                if learns and not self.method.joint:
                    alphas_batch = self.batch(self.split.validation, others[i % len(others)])
                    self.architecture(batch, alphas_batch, StepContext(progress, draws, for_alphas=True), alphas_count)
                self.net.moment = StepContext(progress, draws)
                logits = self.net(batch[0])
                weights_count.add(logits, batch[1])
                self.step(functional.cross_entropy(logits, batch[1]), learns and self.method.joint)
        return weights_count, alphas_count

    def batch(self, images: Any, indices: Tensor) -> Batch:
        assert isinstance(images, Images)
        drawn = images.at(indices)
        return normalise(drawn.x, self.split.mean, self.split.std), drawn.y

    def step(self, loss: Tensor, joint: bool) -> None:
        """Let the weights learn, and with `joint` the alphas too."""
        penalty = self.method.penalty(self.net.policy) if joint else None
        self.net.zero_grad()
        (loss if penalty is None else loss + penalty).backward()
        nn.utils.clip_grad_norm_(self.weights, 5.0)
        self.sgd.step()
        if joint:
            assert self.adam is not None
            self.adam.step()

    def architecture(self, batch: Batch, alphas_batch: Batch, moment: StepContext, count: Count) -> None:
        """Count the answer to the alphas' images, at the weights that the order says, and let the alphas learn."""
        assert self.adam is not None
        aside = torch.Generator()
        aside.set_state(moment.generator.get_state())
        self.net.moment = StepContext(moment.progress, aside, for_alphas=True)
        with torch.random.fork_rng():
            moved = self.moved(batch) if getattr(self.method, "order", "first") != "first" else {}
            count.add(functional_call(self.net, moved, (alphas_batch[0],)), alphas_batch[1])
        self.net.moment = moment
        self.method.learn(self.question(batch, alphas_batch))
        self.adam.step()

    def moved(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weights after one step of SGD, without clipping, by their names in the supernet."""
        loss = functional.cross_entropy(self.net(batch[0]), batch[1])
        gradients, lr = torch.autograd.grad(loss, self.weights), self.sgd.param_groups[0]["lr"]
        moved = {}
        for (name, weight), gradient in zip(self.net.model.named_parameters(), gradients, strict=True):
            velocity = self.sgd.state[weight].get("momentum_buffer", torch.zeros(()))
            moved[f"model.{name}"] = (weight - lr * (gradient + 3e-4 * weight + 0.9 * velocity)).detach()
        return moved

    def question(self, batch: Batch, alphas_batch: Batch) -> Step:
        def outcome(batch: Batch, parameters: Mapping[str, Tensor] | None = None) -> BatchOutcome:
            return BatchOutcome.of(functional_call(self.net, dict(parameters or {}), (batch[0],)), batch[1])

        return Step(
            model=self.net.model,
            policy=self.net.policy,
            weights_batch=batch,
            alphas_batch=alphas_batch,
            outcome=outcome,
            penalty=lambda: self.method.penalty(self.net.policy),
            lr=self.sgd.param_groups[0]["lr"],
            momentum=0.9,
            weight_decay=3e-4,
            velocities=[self.sgd.state[each].get("momentum_buffer") for each in self.weights],
            all_reduce_mean=lambda tensors: None,
        )


def reported(declared: SupernetSearch, folder: Path) -> SupernetResult:
    """Search to the end, and return what the run folder says."""
    for _ in search_supernet(declared, folder, True, TASK, Job(0, None, SEED, None)):
        pass
    path = folder / "0.json"
    found: SupernetResult = read(json.loads(path.read_text(encoding="utf-8")), str(path), SupernetResult)
    return found


QUICK = ("Enas", "PcDarts", "Spos")


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[pytest.mark.slow] * (each not in QUICK)) for each in VARIANTS]
)
def test_losses_and_accuracies_of_each_epoch_are_those_counted_by_hand(name: str, tmp_path: Path) -> None:
    declared = SupernetSearch(
        VARIANTS[name], Digits(), epochs=2, weights=WEIGHTS, alphas=ALPHAS, images=60, execution="plain"
    )
    found, loop = reported(declared, tmp_path), Loop(declared)
    one_image = 100 / 60  # a tie may be broken another way where sums are in another order
    for number, epoch in enumerate(found.epochs):
        weights, alphas = loop.epoch(number)
        assert weights.means is not None
        assert epoch.loss == pytest.approx(weights.means[0], rel=1e-3)
        assert epoch.top1_percent == pytest.approx(weights.means[1], abs=one_image)
        if alphas.means is None:
            assert (epoch.alphas_loss, epoch.alphas_top1_percent) == (None, None)
        else:
            assert epoch.alphas_loss == pytest.approx(alphas.means[0], rel=1e-3)
            assert epoch.alphas_top1_percent == pytest.approx(alphas.means[1], abs=one_image)
    learns = bool(loop.alphas) and not VARIANTS[name].joint
    assert [epoch.alphas_loss is not None for epoch in found.epochs] == [False, learns]
    last = found.epochs[-1]
    assert found.scores["supernet_top1_percent"] == (last.alphas_top1_percent if learns else last.top1_percent)
    assert all(math.isfinite(score) for score in found.scores.values())


def test_the_orders_of_darts_are_told_apart() -> None:
    assert {"Darts", "Darts-second", "Darts-exact"} <= VARIANTS.keys()
