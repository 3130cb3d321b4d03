"""Attention-augmented convolution: some of the output's channels come from self-attention over the map."""

from __future__ import annotations

from torch import nn

from nas.building import BuildError, Node, Site
from nas.layers.self_attention import Augmented, per_head
from nas.operations.conv import same_conv
from nas.records import Fraction, Positive, record


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
        key, value = (per_head(site.channels, share, self.heads) for share in (self.key, self.value))
        if value >= site.channels:
            raise BuildError(
                f"attention takes {value} of {site.channels} channels and leaves none to the convolution: lower `value`"
            )
        conv = same_conv((site.shape[0], site.channels - value), self.kernel, site.stride)
        norm = nn.BatchNorm2d(site.channels, affine=site.affine)
        return nn.Sequential(nn.ReLU(), Augmented(conv, site, site.stride, self.heads, key, value), norm)
