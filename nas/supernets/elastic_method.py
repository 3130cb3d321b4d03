"""Elastic methods: searches whose supernet is a store of elastic weights, trained through architectures of the space."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, final

import torch
from torch import Tensor, nn

from nas.building import Node, Shape
from nas.choice import Choice
from nas.data import Split
from nas.records import record
from nas.supernets.bilevel import BatchOutcome
from nas.supernets.elastic import ElasticStore
from nas.supernets.gates import Gate, Gates, StepContext
from nas.supernets.method import Method
from nas.supernets.one_shot import OneShot
from nas.supernets.policy import Policy
from nas.supernets.supernet import Supernet
from nas.training.recalibration import recalibrate
from nas.training.recipe import BaseRecipe


@dataclass(frozen=True, slots=True, eq=False)
class ElasticStep:
    """One step of the weights of a store: the batch, and what computes on it.

    `run` returns the logits (B, classes) of an architecture, `outcome` their loss by the labels and by the teacher, where the
    recipe has one, and `taught` the logits of the net's own teacher without a gradient. `progress` is the share of the search
    that is over.
    """

    net: ElasticNet
    run: Callable[[Any], Tensor]
    outcome: Callable[[Tensor], BatchOutcome]
    taught: Callable[[], Tensor]
    rng: Random
    progress: float


@record
class Elastic(OneShot):
    """A one-shot method whose shared weights are a store of elastic ones; `kernel_transforms` is explained there."""

    kernel_transforms: bool = False

    @abstractmethod
    def add_gradients(self, step: ElasticStep) -> BatchOutcome:
        """Add the gradients of one step to the weights; return the outcome of one of its architectures, detached."""

    def policy(self, choices: Mapping[str, Choice]) -> Policy:
        return NothingLearned()


@final
class NothingLearned(Policy):
    """The policy of a method that learns no architecture parameters."""

    def gates(self, moment: StepContext) -> dict[str, Gate]:
        return {}

    def strengths(self) -> dict[str, list[float]]:
        return {}


@final
class ElasticNet(nn.Module):
    """A store as the supernet of a search; `model` is the store, `teacher` the largest architecture as it was at some time.

    Takes images (B, C, H, W), returns the logits (B, classes) of the architecture that was taken, or of the largest. All batch
    norms use batch statistics, as in any supernet.
    """

    def __init__(self, space: Any, stack: Callable[[Any], Node], method: Elastic, input: Shape) -> None:
        super().__init__()
        self.space = space
        self.model = ElasticStore(space, stack, input, method.kernel_transforms)
        self.model.batch_statistics = True
        self.policy = method.policy({})
        self.gates, self.choices = Gates(), dict[str, Choice]()
        self.moment = StepContext(0.0, torch.Generator())
        self.teacher: nn.Module | None = None
        self._taken: Any = None

    def forward(self, x: Tensor) -> Any:
        return self.model(x, self.model.largest if self._taken is None else self._taken)

    def take(self, space: Any, architecture: Any) -> None:
        """Compute one architecture of the space, until `use(None)`."""
        self._taken = architecture

    def use(self, source: None) -> None:
        """Compute the largest architecture again."""
        self._taken = source

    def keep_teacher(self) -> nn.Module:
        """Return the teacher, which is the largest architecture as it is now if there was none; it uses batch statistics."""
        if self.teacher is None:
            self.teacher = self.model.take_out(self.model.largest).train().requires_grad_(False)
        return self.teacher

    def take_out(self, architecture: Any, split: Split, recipe: BaseRecipe) -> nn.Module:
        """Return an architecture as an ordinary network; its norms have the statistics of its own maps of training images."""
        model = self.model.take_out(architecture)
        recalibrate(model, split, recipe)
        return model


def supernet_of(space: Any, stack: Callable[[Any], Node], method: Method, input: Shape) -> Supernet | ElasticNet:
    """Return the supernet of a space, as the method needs it; `stack` returns the network of the space or of a member."""
    if isinstance(method, Elastic):
        return ElasticNet(space, stack, method, input)
    return Supernet(stack(space), method, input)
