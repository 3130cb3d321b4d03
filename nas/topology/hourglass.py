"""Hourglass structure: a body that sees a smaller map, whose output is resized to the size of the input."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from nas.building import BuildError, Node, Shape, Site
from nas.layers.pool import Pool
from nas.records import record


@record
class Hourglass(Node):
    """Pool, apply a body, and resize its output to the input's size by bilinear interpolation.

    An hourglass in the body makes one of several levels; `Residual(Hourglass(...))` has skips between equal sizes. Source:
    Newell et al. 2016, arXiv:1603.06937; pooling and interpolation as in Wang et al. 2017, arXiv:1704.06904, section 3.1.
    """

    body: Node
    pool: Node = Pool(3, 2)

    def build(self, site: Site) -> nn.Module:
        self.shape(site)
        pool = site.put(site.shape).build(self.pool)
        return _Hourglass(nn.Sequential(pool, self._inner(site).build(self.body)))

    def shape(self, site: Site) -> Shape:
        if site.stride != 1:
            raise BuildError(
                f"an hourglass keeps the size, and stride {site.stride} is requested: put it after the stride"
            )
        return self._inner(site).output(self.body)[0], *site.shape[1:]

    def _inner(self, site: Site) -> Site:
        return site.put(site.put(site.shape).output(self.pool))


class _Hourglass(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(self.body(x), x.shape[2:], mode="bilinear", align_corners=True)
