"""Appending reduction: the pooled input and the output of a body, concatenated."""

from __future__ import annotations

from torch import nn

from nas.building import BuildError, Node, Shape, Site
from nas.layers.pool import Pool
from nas.records import record
from nas.topology.branches import Joined


@record
class Appended(Node):
    """Pool the input and append the output of a body, which supplies the channels missing to the requested width.

    Both have the stride. Sources: ShuffleNet, Zhang et al. 2018, arXiv:1707.01083, figure 2 (c); ShiftNet, Wu et al. 2018,
    arXiv:1711.08141, figure 3.
    """

    body: Node
    pool: Node = Pool(3, 1, 1, "mean", count_padding=True)

    def build(self, site: Site) -> nn.Module:
        self.shape(site)
        pool = site.put(site.shape, stride=site.stride).build(self.pool)
        return Joined([pool, self._missing(site).build(self.body)])

    def shape(self, site: Site) -> Shape:
        kept, added = site.put(site.shape, stride=site.stride).output(self.pool), self._missing(site).output(self.body)
        if kept[1:] != added[1:]:
            raise BuildError(
                f"the pooling gives maps of {kept[1:]} and the body of {added[1:]}: make their sizes equal"
            )
        return kept[0] + added[0], *kept[1:]

    def _missing(self, site: Site) -> Site:
        missing = site.channels - site.shape[0]
        if missing < 1:
            raise BuildError(
                f"the input has {site.shape[0]} channels, and {site.channels} are requested: nothing is left to append; "
                "request more"
            )
        return site.put(site.shape, missing, site.stride)
