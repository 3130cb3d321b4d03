"""Proxy: the protocol of a zero-cost score, and what is measured: a copy of the network, in training mode."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from copy import deepcopy
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from nas.evaluation.captured import answering
from nas.operations.drop_path import DropPath
from nas.records import RecordError
from nas.training import seeded
from nas.training.randomness import stream


class Proxy(ABC):
    """A score of an untrained network, from one batch of images; a record, whose fields are its settings.

    Abdelfattah et al. 2021, arXiv:2101.08134, compare many of them. With `needs_path` a network has a score only if its output
    depends on its input.
    """

    needs_path: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The name of the score: that of the class, as `jacob_cov` of JacobCov, and of a setting that changes it."""
        return name_of(type(self))

    def score(self, model: nn.Module, images: Tensor, labels: Tensor, seed: int = 0) -> float:
        """Return the score of a network for normalised images (B, C, H, W) and labels (B,); the network stays as it is.

        `seed` is that of numbers that a proxy draws. Raises RecordError where the output does not depend on the images, or where
        the score is not finite.
        """
        copy = copied(model)
        if self.needs_path:
            _check_path(copy, images, self.name)
        with seeded(seed):
            value = self.measure(copy, images, labels)
        if not math.isfinite(value):
            raise RecordError(f"{self.name} is {value}: this network has no such score with these images")
        return value

    @abstractmethod
    def measure(self, model: nn.Module, images: Tensor, labels: Tensor) -> float:
        """Return the score of a copy in training mode, which the method may change; it need not be finite."""


def name_of(cls: type[Proxy]) -> str:
    """Return the name of a proxy's score with the default settings, as `jacob_cov` of JacobCov."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()


def copied(model: nn.Module) -> nn.Module:
    """Return a copy of a network in training mode, where batch norms use the statistics of the batch.

    Dropout is off, auxiliary heads are left out, and no module works in place.
    """
    copy: nn.Module = deepcopy(answering(model)).train().requires_grad_(True)
    copy.zero_grad()
    if hasattr(copy, "auxiliary"):
        copy.training = False  # the network itself alone, which would run its auxiliary heads
    for part in copy.modules():
        if isinstance(part, _DropoutNd | DropPath):
            part.training = False
        if getattr(part, "inplace", False):
            part.inplace = False  # type: ignore[assignment]
    return copy


@torch.no_grad()
def _check_path(model: nn.Module, images: Tensor, name: str) -> None:
    """Raise RecordError where two images of noise have the same output; the running statistics of norms stay."""
    noise = torch.randn(2, *images.shape[1:], generator=stream(0, "path")).to(images)
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    first, second = torch.func.functional_call(model, buffers, (noise,))
    if torch.equal(first, second):
        raise RecordError(f"the network has no path from input to output, and so no {name}")
