"""PReLU-nets: the networks for which PReLU and He's initialisation were made; convolutions in three stages, and a pyramid.

Source: He et al. 2015, arXiv:1502.01852, table 3 (models A to C) and section 4.1. Every convolution and hidden layer is followed
by a PReLU with a slope for each channel; the recipe's `initialisation` He is theirs. A pooling of 2x2 begins each stage, and the
first fully connected layer reads a spatial pyramid of 7x7, 3x3, 2x2 and 1x1 windows (arXiv:1406.4729). No weights were
released. The widths are those whose multiply-adds are the table's complexity: of A and B to its digits, of C 0.9 % more.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.family import Family
from nas.layers.activation import Activation
from nas.layers.conv import ConvNormAct
from nas.layers.norm import Norm
from nas.layers.pool import Pool, SpatialPyramid
from nas.notation import notation
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import FullyConnected
from nas.topology.network import Network, with_classes

PRELU = Activation("prelu")


def conv(kernel: int, norm: Norm = "none", activation: Activation = PRELU) -> ConvNormAct:
    """Return a convolution with a bias and its activation."""
    return ConvNormAct(kernel, norm=norm, activation=activation, bias=True)


def prelunet(depth: int, widths: Sequence[int]) -> Network:
    """Stack a stage of `depth` convolutions for each width."""
    *stages, last = (Chain((Pool(2), Stage(conv(3), depth, width))) for width in widths)
    pyramid = Chain((*last.nodes, SpatialPyramid((7, 3, 2, 1))))
    return Network(Stage(conv(7), channels=96, stride=2), (*stages, pyramid), FullyConnected(1000, activation=PRELU))


def prelunet_space(channels: int = 16, classes: int = 10, depths: Sequence[int] = (1, 2, 3)) -> Network:
    """Return the space: depth and width of three stages, norm, activation, pyramid and hidden layers are open."""
    norm: Norm = one_of("norm", ["batch", "none"])
    activation = one_of("activation", [PRELU, Activation("relu"), Activation("leaky_relu")])

    def opened(i: int) -> Stage:
        name, width = f"stage{i + 1}", channels * 2**i
        widths = one_of(f"{name}/width", [width, width * 5 // 4, width * 3 // 2])
        return Stage(conv(3, norm, activation), one_of(f"{name}/depth", depths), widths)

    first, *others = map(opened, range(3))
    pyramid = SpatialPyramid(one_of("levels", [(1,), (2, 1), (4, 2, 1)]))
    head = FullyConnected(classes, one_of("hidden", [(), (128,)]), activation)
    return Network(first, tuple(Chain((Pool(2), each)) for each in others), Chain((pyramid, head)))


PUBLISHED: dict[str, Network] = {
    "prelunet_a": prelunet(5, (256, 512, 512)),
    "prelunet_b": prelunet(6, (256, 512, 512)),
    "prelunet_c": prelunet(6, (384, 768, 896)),
}

family = Family(
    "He et al. 2015, arXiv:1502.01852", prelunet_space, with_classes, notation, PUBLISHED, input=(3, 224, 224)
)
