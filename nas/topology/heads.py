"""Heads: classifiers of the last map."""

from __future__ import annotations

from torch import nn

from nas.building import Node, Shape, Site
from nas.layers.activation import RELU, activate
from nas.layers.norm import ChannelNorm
from nas.records import Fraction, Positive, record


@record
class Classifier(Node):
    """Average each channel over the map and classify; `norm` and `relu` come before, dropout after the average.

    `layer_norm` normalises the averages (ConvNeXt).
    """

    classes: Positive
    norm: bool = False
    relu: bool = False
    dropout: Fraction = 0.0
    layer_norm: bool = False

    def build(self, site: Site) -> nn.Module:
        channels = site.shape[0]
        parts: list[nn.Module] = [nn.BatchNorm2d(channels)] if self.norm else []
        parts += [nn.ReLU()] if self.relu else []
        parts += [nn.AdaptiveAvgPool2d(1)]
        parts += [ChannelNorm(channels, affine=True)] if self.layer_norm else []
        parts += [nn.Flatten()]
        parts += [nn.Dropout(self.dropout)] if self.dropout else []
        return nn.Sequential(*parts, nn.Linear(channels, self.classes))

    def shape(self, site: Site) -> Shape:
        return self.classes, 1, 1


@record
class FullyConnected(Node):
    """Flatten the map and classify by fully connected layers; an activation and dropout follow each hidden layer.

    `pool` first pools the map to that size, whatever the image size; without it, the layers have the map's size.
    """

    classes: Positive
    hidden: tuple[Positive, ...] = (4096, 4096)
    activation: Node = RELU
    dropout: Fraction = 0.5
    pool: Positive | None = None

    def build(self, site: Site) -> nn.Module:
        channels, height, width = site.shape
        parts: list[nn.Module] = [nn.Flatten()]
        if self.pool is not None:
            parts.insert(0, nn.AdaptiveAvgPool2d(self.pool))
            height = width = self.pool
        incoming = channels * height * width
        for size in self.hidden:
            parts += [nn.Linear(incoming, size), *activate(self.activation, site, (size, 1, 1))]
            parts += [nn.Dropout(self.dropout)] if self.dropout else []
            incoming = size
        return nn.Sequential(*parts, nn.Linear(incoming, self.classes))

    def shape(self, site: Site) -> Shape:
        return self.classes, 1, 1


@record
class ConvClassifier(Node):
    """Classify every pixel by a 1x1 convolution with ReLU, and average.

    Source: SqueezeNet, Iandola et al. 2016, arXiv:1602.07360.
    """

    classes: Positive
    dropout: Fraction = 0.5

    def build(self, site: Site) -> nn.Module:
        parts: list[nn.Module] = [nn.Dropout(self.dropout)] if self.dropout else []
        parts += [
            nn.Conv2d(site.shape[0], self.classes, 1),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        ]
        return nn.Sequential(*parts)

    def shape(self, site: Site) -> Shape:
        return self.classes, 1, 1
