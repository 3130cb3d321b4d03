"""P-DARTS: a supernet that becomes deeper while it loses options. Chen et al. 2019, arXiv:1904.12760."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, final

from torch import Tensor, nn
from torch.nn import functional

from nas.building import Node
from nas.choice import choices
from nas.operations.skip import Skip
from nas.records import Fraction, Natural, Positive, RecordError, record
from nas.space import decisions
from nas.supernets.derivation import Strengths, derive
from nas.supernets.gates import Gates, StepContext
from nas.supernets.method import Differentiable, Mixture, Phase, divided
from nas.topology.cell import Cells

PHASE = 25
"""The number of epochs of a published phase, to which the decay of the dropout refers."""


@record
class PDarts(Differentiable):
    """Search in phases, each with new weights and alphas, on a deeper network with fewer options (section 3.2).

    Each phase stacks its entry of `layers`, an option of the network, unless the tuple is empty; it keeps its entry of
    `options`, where the first phase has all. In the first `weights_only` epochs of a phase the alphas do not learn.
    Identities are followed by dropout, which starts at `skip_dropout` and decays. At most `skips` skip connections are
    left in the normal cell, or, in a space without cells, in the whole architecture (section 3.3). The defaults are the
    published ones for CIFAR-10, three phases of 25 epochs.
    """

    is_smooth = True

    layers: tuple[Positive, ...] = (5, 11, 17)
    options: tuple[Positive, ...] = (8, 5, 3)
    skip_dropout: tuple[Fraction, ...] = (0.0, 0.4, 0.7)
    weights_only: Natural = 10
    skips: Natural = 2

    def __post_init__(self) -> None:
        phases = {"layers": len(self.layers or self.options), "skip_dropout": len(self.skip_dropout)}
        for name, number in phases.items():
            if number != len(self.options) or not number:
                raise RecordError(
                    f"PDarts.{name} has {number} phases, options has {len(self.options)}: give one or more, as many of each"
                )

    def mix(self, alphas: Tensor, k: int, moment: StepContext) -> Mixture:
        return Mixture(alphas.softmax(1))

    def option(self, node: Node, module: nn.Module, gates: Gates) -> nn.Module:
        """Follow an identity by dropout, with the rate of the method's first phase."""
        drops = isinstance(node, Skip) and isinstance(module, nn.Identity) and self.skip_dropout[0] > 0
        return SkipDropout(self.skip_dropout[0], gates) if drops else module

    def phases(self, epochs: int, alphas_from: int) -> tuple[Phase, ...]:
        """Divide the epochs evenly; the alphas rest for `weights_only` epochs of each phase.

        Raises RecordError where a phase has no epoch left for the alphas.
        """
        parts = divided(epochs, len(self.options))
        if min(parts) <= self.weights_only:
            raise RecordError(
                f"{epochs} epochs in {len(parts)} phases are {min(parts)} each, and PDarts.weights_only is "
                f"{self.weights_only}: give more epochs, or a smaller weights_only"
            )
        return tuple(self._phase(i, part) for i, part in enumerate(parts))

    def _phase(self, i: int, epochs: int) -> Phase:
        one = slice(i, i + 1)  # a tuple of one entry, or still empty: a phase is a PDarts of one phase
        alone = replace(self, layers=self.layers[one], options=self.options[one], skip_dropout=self.skip_dropout[one])
        network = {"layers": self.layers[i]} if self.layers else {}
        return Phase(alone, epochs, self.options[i] if i else None, network, alphas_from=self.weights_only)

    def derive_from(self, space: Any, strengths: Strengths) -> Any:
        """Derive; while there are too many skips, set the strength of the weakest to 0 and derive again.

        So does the released code; the paper removes all but the strongest at once.
        """
        left = {name: list(each) for name, each in strengths.items()}
        while True:
            architecture = derive(space, left)
            skips = _skips(space, architecture)
            # a skip of strength 0 that is still taken has no alternative: it stays
            removable = [(name, i) for name, i in skips if left[name][i] > 0]
            if len(skips) <= self.skips or not removable:
                return architecture
            name, i = min(removable, key=lambda each: left[each[0]][each[1]])
            left[name][i] = 0.0


def _skips(space: Any, architecture: Any) -> list[tuple[str, int]]:
    """Return the choices at which the architecture has a skip, and the skip's index; of the normal cell, if there is one."""
    open_, closed = (each.normal if isinstance(each, Cells) else each for each in (space, architecture))
    known = choices(open_)
    taken = decisions(open_, closed).items()
    return [(name, i) for name, i in taken if known[name].k is None and isinstance(known[name].options[i], Skip)]


@final
class SkipDropout(nn.Module):
    """Dropout on the output of a skip connection, (B, C, H, W), in training.

    As in the released code, the probability falls linearly in the first 10 of a phase's 25 epochs; from then on it decays
    from the full value by exp(-0.2) an epoch. The paper only says that it decays. In a phase of another length the
    schedule is scaled.
    """

    def __init__(self, probability: float, gates: Gates) -> None:
        super().__init__()
        self.probability, self.gates = probability, gates

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.now(), self.training)

    def now(self) -> float:
        """Return the probability at the current progress of the phase."""
        epoch = PHASE * self.gates.progress  # as if the phase had the published length
        part = 1 - (epoch + 1) / PHASE if epoch < 10 else math.exp(-0.2 * (epoch - 10))
        return self.probability * part
