"""Norms, as layers and as the field `norm` of other nodes."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nas.building import BuildError, Node, Shape, Site
from nas.choice import Choice
from nas.records import Fraction, NonNegative, Positive, record

Norm = Literal["batch", "layer", "group", "instance", "none"] | Node
"""A norm by its name, with its usual settings, or as a node: `BatchNorm(1e-3)`, `GroupNorm(16)`, `LocalResponseNorm(5)`."""


class ChannelNorm(nn.Module):
    """Normalise the channels of each pixel of (B, C, H, W): layer norm as in ConvNeXt."""

    def __init__(self, channels: int, affine: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6, elementwise_affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(x.permute(0, 2, 3, 1))
        return normed.permute(0, 3, 1, 2)


@record
class BatchNorm(Node):
    """Normalise each channel over the batch and the map (Ioffe and Szegedy 2015, arXiv:1502.03167).

    `epsilon` is added to the variance. `momentum` is the share of a batch in the running statistics, as in torch; TensorFlow's
    momentum is 1 minus that. The norm "batch" is this one with its defaults.
    """

    epsilon: NonNegative = 1e-5
    momentum: Fraction = 0.1

    def build(self, site: Site) -> nn.Module:
        return nn.BatchNorm2d(site.shape[0], self.epsilon, self.momentum, affine=site.affine)

    def shape(self, site: Site) -> Shape:
        return site.shape


@record
class GroupNorm(Node):
    """Normalise each group of channels over the map (Wu and He 2018, arXiv:1803.08494).

    Where `groups` does not divide the width, their greatest common divisor is taken.
    """

    groups: Positive = 32

    def build(self, site: Site) -> nn.Module:
        return nn.GroupNorm(math.gcd(self.groups, site.shape[0]), site.shape[0], affine=site.affine)

    def shape(self, site: Site) -> Shape:
        return site.shape


@record
class LocalResponseNorm(Node):
    """Divide each value by (k + alpha * sum of squares) ** beta, where the sum runs over `size` neighbouring channels.

    Source: Krizhevsky et al. 2012, section 3.3, whose constants are the defaults. `alpha` is the paper's: torch and Caffe divide
    theirs by `size`, so that theirs is `size` times as large; Caffe's AlexNet has alpha 1e-4 / 5 and k 1 in these units.
    """

    size: Positive = 5
    alpha: NonNegative = 1e-4
    beta: NonNegative = 0.75
    k: NonNegative = 2.0

    def build(self, site: Site) -> nn.Module:
        if self.size > 2 * site.shape[0]:
            raise BuildError(
                f"a local response norm over {self.size} channels stands where there are {site.shape[0]}: lower `size`"
            )
        return nn.LocalResponseNorm(self.size, self.alpha * self.size, self.beta, self.k)

    def shape(self, site: Site) -> Shape:
        return site.shape


class _GlobalResponse(nn.Module):
    """Scale each channel by its norm over the map, relative to the mean of all channels' norms."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = (nn.Parameter(torch.zeros(channels, 1, 1)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        norms = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
        shares = norms / (norms.mean(1, keepdim=True) + 1e-6)
        normed: Tensor = self.weight * (x * shares) + self.bias + x
        return normed


@record
class GlobalResponseNorm(Node):
    """Add to each channel its share of the response: x + weight * x * |x| / mean |x| + bias, |x| its L2 norm over the map.

    Weight and bias begin at zero, and the layer at the identity. Source: Woo et al. 2023, arXiv:2301.00808, section 3.2,
    algorithm 1; the small constant is that of the released code.
    """

    def build(self, site: Site) -> nn.Module:
        return _GlobalResponse(site.shape[0])

    def shape(self, site: Site) -> Shape:
        return site.shape


def make_norm(norm: Norm, site: Site, shape: Shape) -> list[nn.Module]:
    """Return a norm of a map (C, H, W) that a node at `site` has made; nothing for "none"."""
    if norm == "none":
        return []
    if norm == "group":
        norm = GroupNorm()
    if not isinstance(norm, str):
        return [site.put(shape).build(norm)]
    if norm == "instance":
        if shape[1:] == (1, 1):
            raise BuildError("an instance norm of a map of 1x1 pixels is zero: give another norm")
        return [nn.InstanceNorm2d(shape[0], affine=site.affine)]
    return [(nn.BatchNorm2d if norm == "batch" else ChannelNorm)(shape[0], affine=site.affine)]


def centres(norm: Any) -> bool:
    """Whether a norm subtracts a mean, so that a convolution before it needs no bias."""
    if isinstance(norm, Choice):
        return all(map(centres, norm.options))
    return norm != "none" if isinstance(norm, str) else isinstance(norm, BatchNorm | GroupNorm)


def makes_anew(norm: Norm) -> bool:
    """Whether a norm surely returns a new tensor, which an activation may overwrite."""
    return norm != "none" if isinstance(norm, str) else isinstance(norm, BatchNorm)
