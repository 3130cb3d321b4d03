"""Xception: residual blocks of depthwise-separable convolutions, with max pooling where the size halves.

Source: Chollet 2017, arXiv:1610.02357, figure 5. The form is that of the model released for Keras, by way of
pretrained-models.pytorch (timm's legacy_xception): no activation between a depthwise and a pointwise convolution, which share
one batch norm, and no fully connected layer before the last. Deviations: Keras pads the pooling of even maps on the right and
the bottom only; dropout of one half precedes the classifier, as in section 4.3, which the port leaves out.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.activation import RELU, Activation
from nas.layers.conv import ConvNormAct
from nas.layers.pool import Pool
from nas.notation import notation
from nas.operations.separable import SepConv
from nas.operations.skip import Skip
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes
from nas.topology.residual import Residual

PROJECTION = Skip("projection")

POOL = Pool(3, 1)
"""Pooling with the requested stride."""


def depthwise(kernel: int = 3, activation: Node | None = None) -> ConvNormAct:
    """Return a depthwise convolution without a norm."""
    return ConvNormAct(kernel, groups="depthwise", norm="none", activation=activation, bias=False)


def halving(*convs: Node) -> Residual:
    """Return a block that ends in max pooling, with a projection as its shortcut."""
    return Residual(Chain((*convs, POOL), strided=len(convs)), PROJECTION)


def entry(channels: int) -> Stage:
    """Return a block of the entry flow: two separable convolutions of the same width.

    ReLU also comes first in the first block: its input is the output of a ReLU, which another ReLU does not change.
    """
    return Stage(halving(SepConv(3, repeats=2)), 1, channels, 2)


def xception(channels: int = 728, depth: int = 8) -> Network:
    """Stack entry flow, middle flow of `depth` blocks, and exit flow."""
    stem = Chain((ConvNormAct(3, 32, 2, padding="valid"), ConvNormAct(3, 64, padding="valid")))
    keep = Stage(SepConv(3, repeats=1), 1, channels)  # the exit flow widens in its second convolution only
    stages = (
        *map(entry, (128, 256, channels)),
        Stage(Residual(SepConv(3, repeats=3)), depth, channels),
        Stage(halving(keep, SepConv(3, repeats=1)), 1, 1024, 2),
        Chain((depthwise(), ConvNormAct(1, 1536), depthwise(), ConvNormAct(1, 2048))),
    )
    return Network(stem, stages, Classifier(1000, dropout=0.5))


def searched(name: str) -> Stage:
    """Return separable convolutions in a row; number, kernel and inner activation (section 4.7) are open."""
    inside = [depthwise(kernel, each) for kernel in (3, 5, 7) for each in (None, RELU, Activation("elu"))]
    separable = Chain((RELU, one_of(f"{name}/depthwise", inside), ConvNormAct(1, activation=None)))
    return Stage(separable, one_of(f"{name}/convolutions", [1, 2, 3]))


def xception_space(channels: int = 32, classes: int = 10, depths: Sequence[int] = (1, 2, 3)) -> Network:
    """Return the space: width, depth and separable convolutions of three stages are open; each stage halves the size."""

    def stage(i: int) -> tuple[Stage, Stage]:
        name = f"stage{i + 1}"
        width = one_of(f"{name}/width", [channels * 2**i, channels * 3 * 2**i // 2, channels * 2 ** (i + 1)])
        body = searched(name)
        return Stage(halving(body), 1, width, 2), Stage(Residual(body), one_of(f"{name}/depth", depths), width)

    stages = tuple(part for i in range(3) for part in stage(i))
    return Network(ConvNormAct(3, channels), stages, Classifier(classes, relu=True))


PUBLISHED: dict[str, Network] = {"xception": xception()}

INPUTS = {"xception": (3, 299, 299)}

family = Family(
    "Chollet 2017, arXiv:1610.02357",
    xception_space,
    with_classes,
    notation,
    PUBLISHED,
    input=(3, 224, 224),
    inputs=INPUTS,
)
