"""Shift convolution: 1x1 convolutions around a shift replace a kxk convolution."""

from __future__ import annotations

from torch import nn

from nas.building import Node, Site
from nas.layers.conv import ConvNormAct
from nas.layers.shuffle import Shift
from nas.operations.conv import same_conv
from nas.records import Positive, record


@record
class ShiftConv(Node):
    """Apply a 1x1 convolution to `expansion` times the width, a shift, and a 1x1 convolution that has the stride.

    The module "CSC" of ShiftNet, pre-activated: batch norm and ReLU come before each convolution and, as an operation ends in
    a norm here, another norm after the last. Source: Wu et al. 2018, arXiv:1711.08141, section 3.2; `learned` shifts: Jeon
    and Kim 2018, arXiv:1806.07370.
    """

    kernel: Positive = 3
    expansion: Positive = 1
    learned: bool = False

    def build(self, site: Site) -> nn.Module:
        expand = ConvNormAct(1, site.channels * self.expansion, order="pre")
        inner = site.put(site.shape)
        shape = inner.output(expand)
        project = nn.BatchNorm2d(shape[0], affine=site.affine), nn.ReLU(inplace=True)
        conv = same_conv((shape[0], site.channels), stride=site.stride)
        shift = site.put(shape).build(Shift(self.kernel, self.learned))
        return nn.Sequential(
            inner.build(expand), *project, shift, conv, nn.BatchNorm2d(site.channels, affine=site.affine)
        )
