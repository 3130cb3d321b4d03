"""Head: a classifier of an inner map by a few averages and fully connected layers."""

from __future__ import annotations

from torch import nn

from nas.building import Node, Shape, Site
from nas.layers.conv import ConvNormAct
from nas.layers.norm import Norm
from nas.records import Fraction, Positive, record
from nas.topology.heads import FullyConnected


@record
class PooledClassifier(Node):
    """Average the map to `pool` x `pool`, apply a 1x1 convolution to `channels`, and classify by connected layers.

    The auxiliary head of GoogLeNet (Szegedy et al. 2015, arXiv:1409.4842, section 5) as in torchvision, for maps of any size.
    The paper averages 5x5 with stride 3, which also makes 4x4 of a map of 14x14, from windows larger by one pixel.
    """

    classes: Positive
    pool: Positive = 4
    channels: Positive = 128
    hidden: tuple[Positive, ...] = (1024,)
    dropout: Fraction = 0.7
    norm: Norm = "batch"

    def build(self, site: Site) -> nn.Module:
        pooled = site.put((site.shape[0], self.pool, self.pool))
        conv = ConvNormAct(1, self.channels, norm=self.norm)
        head = FullyConnected(self.classes, self.hidden, dropout=self.dropout)
        classify = site.put(pooled.output(conv)).build(head)
        return nn.Sequential(nn.AdaptiveAvgPool2d(self.pool), pooled.build(conv), classify)

    def shape(self, site: Site) -> Shape:
        return self.classes, 1, 1
