"""Once-for-all: progressive shrinking of a store of elastic weights. Cai et al. 2020, arXiv:1908.09791."""

from __future__ import annotations

from random import Random
from typing import Any, final

import torch
from torch.nn import functional

from nas.morphisms.nesting import Size
from nas.records import Positive, RecordError, record
from nas.space import decisions, resolve
from nas.supernets.bilevel import BatchOutcome
from nas.supernets.elastic_method import Elastic, ElasticNet, ElasticStep

SIZES = ("kernel", "depth", "width")


@final
@record
class OnceForAll(Elastic):
    """Train the largest architecture, then random ones with smaller kernels, then also fewer layers, then also narrower ones.

    The phases of section 3.3; all have equally many epochs. Each entry of `frees` names the sizes that a phase frees. A choice is
    free when all the sizes that it changes are, and has until then the decision of the largest architecture; what a choice
    changes is found from the networks. A step of a later phase trains as many random architectures as `samples` says for it,
    on the labels and, with the same weight, on the soft predictions of the largest architecture as the first phase left it.
    The gradients are added.

    The paper's phases differ in length and learning rate, and free depth and width bit by bit; here one schedule covers all, and
    a phase frees all options at once. The numbers of samples are those of the released code, as recalled. Its kernels are
    transformed when they are cropped: give `kernel_transforms`.
    """

    frees: tuple[tuple[Size, ...], ...] = (("kernel",), ("depth",), ("width",))
    samples: tuple[Positive, ...] = (1, 2, 4)

    def __post_init__(self) -> None:
        if len(self.samples) != len(self.frees):
            raise RecordError(
                f"samples has {len(self.samples)} phases, and frees has {len(self.frees)}: give a number for each",
                "samples",
            )
        if sorted(size for phase in self.frees for size in phase) != sorted(SIZES):
            raise RecordError(f"frees frees {self.frees}: give each of {', '.join(SIZES)} once", "frees")

    def phase(self, progress: float) -> int:
        """Return the number of the phase at a share of the search; 0 is that of the largest architecture alone."""
        return min(int(progress * (1 + len(self.samples))), len(self.samples))

    def sample(self, net: ElasticNet, phase: int, rng: Random) -> Any:
        """Draw an architecture of a phase: choices that are not free yet are as in the largest."""
        free = {size for sizes in self.frees[:phase] for size in sizes}
        held = decisions(net.space, net.model.largest)
        sizes = net.model.sizes
        return resolve(
            net.space,
            lambda choice: rng.randrange(choice.arity) if sizes[choice.name] <= free else held.get(choice.name, 0),
        )

    def add_gradients(self, step: ElasticStep) -> BatchOutcome:
        phase = self.phase(step.progress)
        if not phase:
            outcome = step.outcome(step.run(step.net.model.largest))
            torch.autograd.backward(outcome.loss)
            return outcome.detach()
        taught = step.taught().softmax(1)
        for _ in range(self.samples[phase - 1]):
            logits = step.run(self.sample(step.net, phase, step.rng))
            outcome = step.outcome(logits)
            torch.autograd.backward(outcome.loss + functional.cross_entropy(logits, taught))
        return outcome.detach()
