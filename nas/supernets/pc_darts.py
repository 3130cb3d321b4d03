"""PC-DARTS: a mixture on a quarter of the channels, with normalised edges. Xu et al. 2020, arXiv:1907.05737."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from nas.building import Site
from nas.choice import Choice
from nas.records import Positive, record
from nas.supernets.gates import StepContext
from nas.supernets.method import Differentiable, Mixture
from nas.supernets.partial import partial_channels


@record
class PcDarts(Differentiable):
    """Mix the options on 1/k of the channels (section 3.2), and the edges of a node by edge weights (section 3.3).

    Both weights are softmaxes. In the derivation the strength of an edge is the product of the two. Where options change
    the number of channels, as outside of cells, all channels are mixed.
    """

    is_smooth = True

    edge_weights = True

    k: Positive = 4

    def mix(self, alphas: Tensor, k: int, moment: StepContext) -> Mixture:
        return Mixture(alphas.softmax(1))

    def relax(self, choice: Choice, site: Site, mixed: Callable[[Site], nn.Module]) -> nn.Module:
        return partial_channels(choice, site, mixed, self.k)
