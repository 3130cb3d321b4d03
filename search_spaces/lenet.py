"""LeNet: alternating convolutions and subsampling, then fully connected layers.

Source: LeCun et al. 1998, Gradient-based learning applied to document recognition (Proceedings of the IEEE 86, section II.B);
the 300-100 network, without convolutions: section III.C. `lenet5` is the usual form: every map of the second convolution
reads all maps before it, subsampling has no weights, tanh is not scaled, and the last layer is linear. The paper connects
maps by a table, gives each subsampled map a weight, a bias and a squashing function, and ends in radial basis functions:
60,000 weights. `lenet5_caffe` is the wider form of the Caffe examples, with one ReLU.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.activation import RELU, Activation
from nas.layers.conv import ConvNormAct, Padding
from nas.layers.pool import Pool
from nas.notation import notation
from nas.space import one_of
from nas.topology.chain import Chain
from nas.topology.heads import FullyConnected
from nas.topology.network import Network, with_classes

TANH = Activation("tanh")
MEAN = Pool(2, kind="mean")


def layer(channels: int, activation: Node | None = TANH, pool: Node = MEAN, padding: Padding = "valid") -> Chain:
    """Return a pair of a 5x5 convolution and a pooling that halves the size."""
    return Chain((ConvNormAct(5, channels, padding=padding, norm="none", activation=activation), pool))


def lenet(
    widths: Sequence[int] = (6, 16),
    hidden: tuple[int, ...] = (120, 84),
    activation: Node | None = TANH,
    hidden_activation: Node = TANH,
    pool: Node = MEAN,
) -> Network:
    """Stack a pair for each width, and fully connected layers."""
    first, *others = (layer(width, activation, pool) for width in widths)
    return Network(first, tuple(others), FullyConnected(10, hidden, hidden_activation, dropout=0.0))


def lenet_space(channels: int = 8, classes: int = 10, kernels: Sequence[int] = (3, 5, 7)) -> Network:
    """Return the space: kernel, width, activation and pooling of three pairs, and the hidden layers, are open."""

    def pair(i: int) -> Chain:
        name, width = f"layer{i + 1}", channels * 2**i
        conv = ConvNormAct(
            one_of(f"{name}/kernel", kernels),
            one_of(f"{name}/width", [width, width * 3 // 2, width * 2]),
            norm="none",
            activation=one_of(f"{name}/activation", [TANH, RELU]),
        )
        return Chain((conv, one_of(f"{name}/pool", [MEAN, Pool(2)])))

    first, *others = map(pair, range(3))
    hidden = one_of("hidden", [(84,), (120,), (120, 84)])
    head = FullyConnected(classes, hidden, one_of("hidden/activation", [TANH, RELU]), dropout=0.0, pool=2)
    return Network(first, tuple(others), head)


PUBLISHED: dict[str, Network] = {
    "lenet5": lenet(),
    "lenet5_caffe": lenet((20, 50), (500,), activation=None, hidden_activation=RELU, pool=Pool(2)),
    "lenet_300_100": Network(Chain(()), (), FullyConnected(10, (300, 100), TANH, dropout=0.0)),
}

SOURCES = {"lenet5_caffe": "Jia et al. 2014, arXiv:1408.5093"}

INPUTS = dict.fromkeys(("lenet5_caffe", "lenet_300_100"), (1, 28, 28))

family = Family(
    "LeCun et al. 1998, doi:10.1109/5.726791",
    lenet_space,
    with_classes,
    notation,
    PUBLISHED,
    sources=SOURCES,
    input=(1, 32, 32),
    inputs=INPUTS,
)
