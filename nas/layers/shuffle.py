"""Channel shuffle and spatial shift: layers without arithmetic."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.building import BuildError, Node, Shape, Site
from nas.choice import Choice
from nas.records import Positive, record


@record
class ChannelShuffle(Node):
    """Distribute the channels of each group over all groups (Zhang et al. 2018, arXiv:1707.01083)."""

    groups: Positive = 2

    def build(self, site: Site) -> nn.Module:
        if site.shape[0] % self.groups:
            raise BuildError(f"{site.shape[0]} channels are not a multiple of {self.groups} groups: change one")
        return nn.ChannelShuffle(self.groups)

    def shape(self, site: Site) -> Shape:
        return site.shape


class _Shifted(nn.Module):
    """A shift of each group of channels by one of k x k offsets; the border is zero."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.kernel, self.reach = kernel, kernel // 2
        self.widths = [channels // kernel**2] * kernel**2
        # The channels that do not divide evenly join the middle group, whose offset is zero.
        self.widths[len(self.widths) // 2] += channels - sum(self.widths)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        padded = functional.pad(x, [self.reach] * 4)
        # The slice of the padded map from (top, left) is the map shifted by (reach - top, reach - left).
        corners = ((i // self.kernel, i % self.kernel) for i in range(self.kernel**2))
        parts = zip(torch.split(padded, self.widths, 1), corners, strict=True)
        return torch.cat([part[:, :, top : top + height, left : left + width] for part, (top, left) in parts], 1)


class _LearnedShift(nn.Module):
    """A shift of each channel by its own offset in pixels, learned through bilinear interpolation."""

    def __init__(self, channels: int, reach: int) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.empty(channels, 2).uniform_(-reach, reach))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        # In the grid of `grid_sample`, pixel i of n is at (2i + 1) / n - 1. Channels act as the batch: each has its own grid.
        rows = torch.arange(height, device=x.device, dtype=x.dtype) + self.offset[:, :1]
        columns = torch.arange(width, device=x.device, dtype=x.dtype) + self.offset[:, 1:]
        shape = (len(self.offset), height, width)
        at = [columns[:, None, :].expand(shape) * 2 + 1, rows[:, :, None].expand(shape) * 2 + 1]
        grid = torch.stack([at[0] / width - 1, at[1] / height - 1], 3)
        return functional.grid_sample(x.transpose(0, 1), grid, align_corners=False).transpose(0, 1)


@record
class Shift(Node):
    """Shift each of k*k groups of channels by another offset; without weights (Wu et al. 2018, arXiv:1711.08141).

    `learned` gives each channel its own offset, two weights (Jeon and Kim 2018, arXiv:1806.07370).
    """

    kernel: Positive = 3
    learned: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, Choice) and self.kernel % 2 == 0:
            raise BuildError(f"a shift of {self.kernel}x{self.kernel} has no middle: give an odd kernel")

    def build(self, site: Site) -> nn.Module:
        if self.learned:
            return _LearnedShift(site.shape[0], self.kernel // 2)
        return _Shifted(site.shape[0], self.kernel)

    def shape(self, site: Site) -> Shape:
        return site.shape
