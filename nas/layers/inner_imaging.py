"""Inner imaging: the channel means of a map as a small image, which convolutions read."""

from __future__ import annotations

import math

from torch import Tensor, nn

from nas.building import BuildError, Node, Shape, Site
from nas.records import Positive, record


class _Imaged(nn.Module):
    # B images, C pairs of channels, R rows and K columns of the inner image
    def __init__(self, columns: int, conv: nn.Module, excite: nn.Module) -> None:
        super().__init__()
        self.columns, self.conv, self.excite = columns, conv, excite

    def forward(self, x: Tensor) -> Tensor:
        # (B, 2, C / K, K) to (B, 1, R, K): two rows, one of each map, for each K pairs
        means = x.mean((2, 3)).reshape(x.shape[0], 2, -1, self.columns)
        inner = means.transpose(1, 2).flatten(1, 2)[:, None]
        gate: Tensor = self.excite(self.conv(inner).mean(1).flatten(1))
        return gate[:, :, None, None]


@record
class InnerImaging(Node):
    """Return a gate for each channel, in (0, 1), from the channel means of two maps of one width, which are concatenated.

    The means are laid out as an image: without `columns` two rows, one for each map; with `columns`, up to so many columns that
    divide the width, and a row of each map in turn. A kxk convolution without padding to `maps` channels, a batch norm, their
    mean, and two linear layers, the first to 1/`reduction` of the width, at least 4, make the gate. As `gate` of a residual it is
    competitive squeeze-and-excitation: Hu et al. 2018, arXiv:1807.08920; all sizes are from the released code, whose images lie
    on their side where they are not folded: a kernel (2, 1) here is its 1x2, the paper's "Conv 2x1".
    """

    kernel: Positive | tuple[Positive, Positive] = (2, 1)
    columns: Positive | None = None
    maps: Positive | None = None
    reduction: Positive = 16

    def build(self, site: Site) -> nn.Module:
        pairs, odd = divmod(site.shape[0], 2)
        if odd or not pairs:
            raise BuildError(
                f"inner imaging pairs the channels of two maps, and has {site.shape[0]}: give an even number"
            )
        columns = pairs if self.columns is None else math.gcd(self.columns, pairs)
        kernel = (self.kernel, self.kernel) if isinstance(self.kernel, int) else self.kernel
        height, width = (size - taps + 1 for size, taps in zip((2 * pairs // columns, columns), kernel, strict=True))
        if min(height, width) < 1:
            raise BuildError(
                f"a convolution of {kernel[0]}x{kernel[1]} does not fit the inner image of {2 * pairs // columns}x{columns} "
                f"of {pairs} channels: give a smaller kernel, or other columns"
            )
        squeezed, maps = max(4, pairs // self.reduction), self.maps or max(1, pairs // self.reduction)
        conv = nn.Sequential(nn.Conv2d(1, maps, kernel, bias=False), nn.BatchNorm2d(maps, affine=site.affine))
        excite = nn.Sequential(
            nn.Linear(height * width, squeezed, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(squeezed, site.channels, bias=False),
            nn.Sigmoid(),
        )
        return _Imaged(columns, conv, excite)

    def shape(self, site: Site) -> Shape:
        return site.channels, 1, 1
