"""Attention among the pixels of a map: self-attention, beside a convolution or alone, non-local and double attention."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.building import BuildError, Node, Shape, Site
from nas.layers.activation import RELU, activate
from nas.layers.conv import Ratio, bare
from nas.layers.norm import Norm, make_norm
from nas.records import Fraction, Positive, record

# B batch, C channels, H x W the map, d channels of a key per head; a pixel is a position of the map.


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    heads: int,
    rows: Tensor | None = None,
    columns: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """Return (B, V, H, W): for each query (B, K, H, W) the mean of the values (B, V, H', W'), weighted by keys (B, K, H', W').

    With `rows` and `columns`, the embeddings (distances, d), all maps have one size. `scale` None is 1 / sqrt(d).
    """
    query, key, value = (
        each.reshape(each.shape[0], heads, -1, each[0, 0].numel()).transpose(2, 3) for each in (queries, keys, values)
    )  # (B, heads, pixels, channels per head)
    bias = None
    if rows is not None and columns is not None:
        # softmax((QK' + S_H + S_W) / sqrt(d)) V: the function below scales QK' only, so the query of S is scaled here.
        bias = relative(query * query.shape[-1] ** -0.5, rows, columns, *queries.shape[2:])
    attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=scale)
    return attended.transpose(2, 3).reshape(queries.shape[0], -1, *queries.shape[2:])


def relative(query: Tensor, rows: Tensor, columns: Tensor, height: int, width: int) -> Tensor:
    """Return (B, heads, pixels, pixels): query times the embedding of its distance to a key, rows plus columns."""
    grid = query.reshape(*query.shape[:2], height, width, -1)
    # (B, heads, H, W, d) @ (H, d, H): the queries of a row times the embeddings of its distance to every row.
    by_row = grid @ distances(rows, height).mT  # matmul, as no exporter can flatten einsum's result
    by_column = (grid.transpose(2, 3) @ distances(columns, width).mT).transpose(2, 3)
    # (B, heads, H, W, H, 1) + (B, heads, H, W, 1, W)
    bias = by_row[..., :, None] + by_column[..., None, :]
    return bias.reshape(*query.shape[:3], height * width)


def distances(weights: Tensor, size: int) -> Tensor:
    """Return (size, size, d): the embedding of the distance between each two positions."""
    # The middle of `weights` is distance 0, so a smaller map uses the embeddings around it.
    places = torch.arange(size, device=weights.device)
    return weights[places[None, :] - places[:, None] + len(weights) // 2]


def embeddings(size: int, width: int) -> nn.Parameter:
    """Return one embedding (d,) for each distance, from -(size - 1) to size - 1."""
    return nn.Parameter(torch.randn(2 * size - 1, width) * width**-0.5)


def per_head(channels: int, share: float, heads: int, least: int = 1) -> int:
    """Return a share of the channels as a multiple of the heads, rounded down, at least `least` per head."""
    return max(least, int(channels * share / heads)) * heads


@final
class Augmented(nn.Module):
    """A convolution beside self-attention; the relative positions span the map it is built for."""

    def __init__(self, conv: nn.Module, site: Site, stride: int, heads: int, key: int, value: int) -> None:
        super().__init__()
        _, height, width = site.shape
        self.conv, self.heads, self.widths = conv, heads, [key, key, value]
        self.pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
        self.queries_keys_values = nn.Conv2d(site.shape[0], 2 * key + value, 1)
        self.project = nn.Conv2d(value, value, 1)
        self.rows = embeddings(-(-height // stride), key // heads)
        self.columns = embeddings(-(-width // stride), key // heads)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = torch.split(self.queries_keys_values(self.pool(x)), self.widths, 1)
        attended = attend(query, key, value, self.heads, self.rows, self.columns)
        return torch.cat([self.conv(x), self.project(attended)], 1)


@record
class AugmentedConv(Node):
    """Apply a kxk convolution beside self-attention with relative positions, and a norm and an activation of both.

    Of the output's channels the share `value` comes from attention with `heads` heads; keys and queries have the share `key`,
    but `least_key` channels per head: dv = value * width and dk = key * width, rounded down to multiples of the heads. With
    a stride, attention reads the mean of each window. Needs maps no larger than the one it was built for. Source: Bello et
    al. 2019, arXiv:1904.09925, section 3.2.
    """

    kernel: Positive = 3
    channels: Positive | None = None
    stride: Positive = 1
    heads: Positive = 8
    key: Ratio = 0.2
    value: Fraction = 0.1
    least_key: Positive = 1
    ratio: Ratio = 1.0
    norm: Norm = "batch"
    activation: Node | None = RELU

    def build(self, site: Site) -> nn.Module:
        shape = self.shape(site)
        key = per_head(shape[0], self.key, self.heads, self.least_key)
        value = per_head(shape[0], self.value, self.heads)
        if value >= shape[0]:
            raise BuildError(
                f"attention takes {value} of {shape[0]} channels and leaves none to the convolution: lower `value` or `heads`"
            )
        conv = site.build(bare(self.kernel, shape[0] - value, self.stride))
        augmented = Augmented(conv, site, site.stride * self.stride, self.heads, key, value)
        return nn.Sequential(augmented, *make_norm(self.norm, site, shape), *activate(self.activation, site, shape))

    def shape(self, site: Site) -> Shape:
        width = self.channels or max(1, round(site.channels * self.ratio))
        return site.output(bare(self.kernel, width, self.stride))


class _SelfAttention(nn.Module):
    def __init__(self, site: Site, node: SelfAttention, width: int) -> None:
        super().__init__()
        channels, height, wide = site.shape
        self.heads, self.scale = node.heads, None if node.scale else 1.0
        self.widths = [per_head(width, share, node.heads) for share in (node.key, node.value)]
        self.subsample = nn.AvgPool2d(site.stride, ceil_mode=True) if site.stride > 1 else nn.Identity()
        self.pool = nn.MaxPool2d(node.pool, ceil_mode=True) if node.pool > 1 else nn.Identity()
        self.queries = nn.Conv2d(channels, self.widths[0], 1)
        self.keys_values = nn.Conv2d(channels, sum(self.widths), 1)
        self.project = nn.Conv2d(self.widths[1], width, 1)
        self.rows = self.columns = None
        if node.relative:
            self.rows, self.columns = (
                embeddings(-(-size // site.stride), self.widths[0] // node.heads) for size in (height, wide)
            )

    def forward(self, x: Tensor) -> Tensor:
        x = self.subsample(x)
        key, value = torch.split(self.keys_values(self.pool(x)), self.widths, 1)
        projected: Tensor = self.project(
            attend(self.queries(x), key, value, self.heads, self.rows, self.columns, self.scale)
        )
        return projected


@record
class SelfAttention(Node):
    """Let every pixel read all pixels: attention with `heads` heads, and a 1x1 convolution to `channels` or the width.

    Keys and values have the shares `key` and `value` of the output's width, rounded down to multiples of the heads. `relative`
    adds embeddings of the distance in rows and columns (Bello et al. 2019, arXiv:1904.09925, section 3.1); the map is then
    no larger than the one it was built for. `pool` takes keys and values from the maxima of pxp pixels. `scale` divides the
    products by the root of the key's width per head. With a stride, attention reads the mean of each window.
    """

    heads: Positive = 8
    channels: Positive | None = None
    key: Ratio = 1.0
    value: Ratio = 1.0
    relative: bool = False
    pool: Positive = 1
    scale: bool = True

    def __post_init__(self) -> None:
        if self.relative is True and self.pool != 1:
            raise BuildError(
                "relative positions are of pixels, not of pooled ones: give pool 1, or no relative positions"
            )

    def build(self, site: Site) -> nn.Module:
        return _SelfAttention(site, self, self.channels or site.channels)

    def shape(self, site: Site) -> Shape:
        _, height, width = Node.shape(self, site)
        return self.channels or site.channels, height, width


class _Added(nn.Module):
    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = x + self.body(x)
        return total


@record
class NonLocal(Node):
    """Add to the input a weighted mean of all pixels: the non-local block with an embedded Gaussian.

    Keys, queries and values have 1/`reduction` of the width, and keys and values are taken from the maxima of `pool` x `pool`
    pixels. The block begins as an identity: with `norm` the batch norm after the last convolution has weight 0, without it
    the convolution. Source: Wang et al. 2018, arXiv:1711.07971, sections 3.3 and 4.1. The released code divides the products
    by the root of the key's width, `scale`; the paper does not.
    """

    reduction: Positive = 2
    pool: Positive = 2
    scale: bool = False
    norm: bool = True

    def build(self, site: Site) -> nn.Module:
        width = site.shape[0]
        share = max(1, width // self.reduction) / width
        attention = site.put(site.shape, width).build(
            SelfAttention(1, None, share, share, False, self.pool, self.scale)
        )
        if not self.norm:
            return _Added(_zeroed(attention, attention.get_submodule("project")))
        norm = nn.BatchNorm2d(width, affine=site.affine)
        return _Added(_zeroed(nn.Sequential(attention, norm), norm))

    def shape(self, site: Site) -> Shape:
        return site.shape


def _zeroed(module: nn.Module, last: nn.Module) -> nn.Module:
    """Return a module whose last weights are set to zero, so that it begins by returning zero."""
    for weight in last.parameters():
        nn.init.zeros_(weight)
    return module


class _DoubleAttention(nn.Module):
    # M features, N attention maps, P pixels
    def __init__(self, channels: int, features: int, maps: int, norm: list[nn.Module]) -> None:
        super().__init__()
        self.features, self.maps, self.vectors = (nn.Conv2d(channels, width, 1) for width in (features, maps, maps))
        self.project = nn.Sequential(nn.Conv2d(features, channels, 1), *norm)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.maps(x).flatten(2).softmax(2)  # (B, N, P): each map sums to 1 over the pixels
        vectors = self.vectors(x).flatten(2).softmax(1)  # (B, N, P): each pixel sums to 1 over the maps
        gathered = self.features(x).flatten(2) @ maps.mT  # (B, M, N)
        distributed = (gathered @ vectors).unflatten(2, x.shape[2:])
        total: Tensor = x + self.project(distributed)
        return total


@record
class DoubleAttention(Node):
    """Gather features of the whole map by attention, distribute them to the pixels by another one, and add the input.

    Of `features` channels the means under `maps` attention maps are gathered, and each pixel reads its own mean of these; a
    1x1 convolution, and a `norm`, restores the width. Both numbers are 1/`reduction` of the width by default. Source: Chen et
    al. 2018, arXiv:1810.11579, section 3; the authors released no code, and the sum with the input is that of a residual
    network as the paper describes its use.
    """

    reduction: Positive = 4
    features: Positive | None = None
    maps: Positive | None = None
    norm: Norm = "none"

    def build(self, site: Site) -> nn.Module:
        share = max(1, site.shape[0] // self.reduction)
        norm = make_norm(self.norm, site, site.shape)
        return _DoubleAttention(site.shape[0], self.features or share, self.maps or share, norm)

    def shape(self, site: Site) -> Shape:
        return site.shape
