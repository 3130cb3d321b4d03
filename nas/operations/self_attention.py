"""Attention-augmented convolution: some of the output's channels come from self-attention over the map."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.building import BuildError, Node, Site
from nas.operations.conv import same_conv
from nas.records import Fraction, Positive, record


# B batch, H x W the pooled map, d channels of a key per head; a pixel is a position of the map.
class _Augmented(nn.Module):
    """A convolution in parallel with self-attention; the relative positions span the map it is built for."""

    def __init__(self, conv: nn.Module, site: Site, heads: int, key: int, value: int) -> None:
        super().__init__()
        _, height, width = site.shape
        self.conv, self.heads, self.widths = conv, heads, [key, key, value]
        self.pool = nn.AvgPool2d(site.stride, ceil_mode=True) if site.stride > 1 else nn.Identity()
        self.queries_keys_values = nn.Conv2d(site.shape[0], 2 * key + value, 1)
        self.project = nn.Conv2d(value, value, 1)
        # One embedding per distance, from -(n - 1) to n - 1.
        rows, columns = -(-height // site.stride), -(-width // site.stride)
        self.rows = nn.Parameter(torch.randn(2 * rows - 1, key // heads) * (key // heads) ** -0.5)
        self.columns = nn.Parameter(torch.randn(2 * columns - 1, key // heads) * (key // heads) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pool(x)
        parts = torch.split(self.queries_keys_values(pooled), self.widths, 1)
        # (B, heads, pixels, channels per head)
        query, key, value = (
            part.reshape(x.shape[0], self.heads, -1, pooled[0, 0].numel()).transpose(2, 3) for part in parts
        )
        # softmax((QK' + S_H + S_W) / sqrt(d)) V: the function below scales QK' only, so the query of S is scaled here.
        bias = self._relative(query * query.shape[-1] ** -0.5, *pooled.shape[2:])
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        attended = attended.transpose(2, 3).reshape(x.shape[0], -1, *pooled.shape[2:])
        return torch.cat([self.conv(x), self.project(attended)], 1)

    def _relative(self, query: Tensor, height: int, width: int) -> Tensor:
        """Return (B, heads, pixels, pixels): query times the embedding of its distance to a key, rows plus columns."""
        grid = query.reshape(*query.shape[:2], height, width, -1)
        # (B, heads, H, W, d) @ (H, d, H): the queries of a row times the embeddings of its distance to every row.
        by_row = grid @ _distances(self.rows, height).mT  # matmul, as no exporter can flatten einsum's result
        by_column = (grid.transpose(2, 3) @ _distances(self.columns, width).mT).transpose(2, 3)
        # (B, heads, H, W, H, 1) + (B, heads, H, W, 1, W)
        bias = by_row[..., :, None] + by_column[..., None, :]
        return bias.reshape(*query.shape[:3], height * width)


def _distances(weights: Tensor, size: int) -> Tensor:
    """Return (size, size, d): the embedding of the distance between each two positions."""
    # The middle of `weights` is distance 0, so a smaller map uses the embeddings around it.
    places = torch.arange(size, device=weights.device)
    return weights[places[None, :] - places[:, None] + len(weights) // 2]


@record
class AttentionConv(Node):
    """Apply ReLU, a kxk convolution in parallel with self-attention over the whole map, and batch norm.

    Of the output's channels, the share `value` comes from attention with `heads` heads; keys and queries have the share
    `key`. Needs maps no larger than the one it was built for. Source: Bello et al. 2019, arXiv:1904.09925, section 3.
    """

    kernel: Positive = 3
    heads: Positive = 4
    key: Fraction = 0.25
    value: Fraction = 0.25

    def build(self, site: Site) -> nn.Module:
        key, value = (max(1, int(site.channels * share / self.heads)) * self.heads for share in (self.key, self.value))
        if value >= site.channels:
            raise BuildError(
                f"attention takes {value} of {site.channels} channels and leaves none to the convolution: lower `value`"
            )
        conv = same_conv((site.shape[0], site.channels - value), self.kernel, site.stride)
        norm = nn.BatchNorm2d(site.channels, affine=site.affine)
        return nn.Sequential(nn.ReLU(), _Augmented(conv, site, self.heads, key, value), norm)
