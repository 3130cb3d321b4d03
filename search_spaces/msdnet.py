"""MSDNet: dense layers on maps of several sizes, with a classifier after every few of them.

Source: Huang et al. 2018, arXiv:1703.09844, sections 4 and 5, and the released code. Names of the networks for ImageNet contain
the layers between two classifiers; the paper counts three layers more. The early classifiers are auxiliary heads: with the
recipe's `auxiliary` 1 a training sums all losses as the paper does, and a network that is evaluated or exported has the last. To
predict at any time, apply the heads to the maps that `model.layers[0].parts` returns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.conv import ConvNormAct
from nas.layers.pool import Pool
from nas.notation import notation
from nas.space import one_of
from nas.topology.chain import Chain
from nas.topology.heads import Classifier
from nas.topology.multi_scale import MultiScale
from nas.topology.network import Auxiliary, Network, with_classes


def layer(ratio: float) -> Chain:
    """Return the layer of a scale: a 1x1 convolution to `ratio` times what it appends, and a 3x3 convolution."""
    return Chain((ConvNormAct(1, ratio=ratio), ConvNormAct(3)), strided=1)


def exit_head(classes: int, channels: int | None = None) -> Chain:
    """Return a classifier behind two 3x3 convolutions, which halve the size, to `channels` or the width of the map."""
    return Chain((ConvNormAct(3, channels, 2), ConvNormAct(3, channels, 2), Pool(2, kind="mean"), Classifier(classes)))


def msdnet(stem: Node, factors: Sequence[int], growth: int, exits: Sequence[int], head: Node) -> Network:
    """Return a network with a classifier after each of the layers `exits`, counted from 1, the last after the last."""
    *early, last = exits
    interval = math.ceil(last / len(factors))
    body = MultiScale(tuple(map(layer, map(float, factors))), tuple(factors), growth, last, interval)
    return Network(stem, (body,), head, tuple(Auxiliary(0, head=head, part=each - 1) for each in early))


def cifar(exits: Sequence[int]) -> Network:
    """Return a network for images of 32x32."""
    return msdnet(ConvNormAct(3, 16), (1, 2, 4), 6, exits, exit_head(10, 128))


def imagenet(step: int) -> Network:
    """Return a network for ImageNet with five classifiers, each after `step` layers more."""
    stem = Chain((ConvNormAct(7, 32, 2), Pool(3, 2)))
    return msdnet(stem, (1, 2, 4, 4), 16, [step * (i + 1) for i in range(5)], exit_head(1000))


def msdnet_space(channels: int = 8, classes: int = 10, depths: Sequence[int] = (4, 6, 8)) -> Network:
    """Return the space: growth, depth, layers until a reduction, the ratios of three scales, and the early exits are open."""
    layers = tuple(layer(one_of(f"scale{i + 1}/ratio", [1.0, 2.0, 4.0])) for i in range(3))
    growth, interval = one_of("growth", [4, 6, 8]), one_of("interval", [2, 3, None])
    body = MultiScale(layers, (1, 2, 4), growth, one_of("depth", depths), interval)
    head = Chain((ConvNormAct(3), Classifier(classes)))
    heads = [tuple(Auxiliary(0, head=head, part=part) for part in parts) for parts in ((), (1,), (0, 2), (1, 3))]
    return Network(ConvNormAct(3, channels), (body,), head, one_of("exits", heads))


PUBLISHED: dict[str, Network] = {
    "msdnet_cifar": cifar(range(4, 23, 2)),
    **{f"msdnet_k{step}": imagenet(step) for step in (4, 6, 7)},
}

INPUTS = {"msdnet_cifar": (3, 32, 32)}

family = Family(
    "Huang et al. 2018, arXiv:1703.09844",
    msdnet_space,
    with_classes,
    notation,
    PUBLISHED,
    input=(3, 224, 224),
    inputs=INPUTS,
)
