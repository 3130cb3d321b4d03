"""Highway networks: layers whose learned gate mixes the output of the layer and its input.

Source: Srivastava et al. 2015, arXiv:1505.00387, and the full paper, arXiv:1507.06228. `highway<depth>_mnist` are the thin,
fully connected networks of the first paper's experiments: a plain layer of 50 units, 9 to 99 highway layers, a linear one.
Here the first layer is a plain convolution of the image's size, the others 1x1 convolutions. The paper searched for the
activation, ReLU or tanh; here it is ReLU. `highway19_cifar` has the widths of the FitNet used in the full paper (Romero et
al. 2015, arXiv:1412.6550), without its hidden layer; layers that change the width are plain.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.activation import RELU, Activation
from nas.layers.conv import ConvNormAct, Padding
from nas.layers.norm import Norm
from nas.layers.pool import Pool
from nas.notation import notation
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.highway import Highway
from nas.topology.network import Network, with_classes


def plain(
    kernel: int = 3, padding: Padding = "same", activation: Node | None = RELU, norm: Norm = "none"
) -> ConvNormAct:
    """Return a layer without a gate."""
    return ConvNormAct(kernel, padding=padding, norm=norm, activation=activation)


def stage(depth: int, channels: int, gated: Node, pool: Sequence[Node] = (), first: Node | None = None) -> Stage:
    """Return a plain layer, which sets the width, `depth` gated layers, and the pooling after them."""
    return Stage(Chain((first or plain(), Stage(gated, depth), *pool)), 1, channels)


def mnist(depth: int, units: int = 50) -> Network:
    """Stack fully connected layers for images of 28x28."""
    first = Stage(plain(28, "valid"), 1, units)
    return Network(first, (Stage(Highway(plain(1), 1), depth - 1, units),), Classifier(10))


def cifar(widths: Sequence[tuple[int, int, bool]]) -> Network:
    """Stack stages for images of 32x32; each has a width, a number of gated layers, and whether a pooling follows."""
    gated = Highway(plain())
    first, *others = (stage(depth, width, gated, [Pool(2)] if pooled else []) for width, depth, pooled in widths)
    return Network(first, tuple(others), Classifier(10))


def highway_space(channels: int = 16, classes: int = 10, depths: Sequence[int] = (1, 2, 4)) -> Network:
    """Return the space: in each of three stages depth, width, kernels and activation are open, and in all the norm."""
    norm: Norm = one_of("norm", ["none", "batch"])

    def opened(i: int) -> Stage:
        name, width = f"stage{i + 1}", channels * (i + 1)
        activation = one_of(f"{name}/activation", [RELU, Activation("tanh")])
        body = plain(one_of(f"{name}/kernel", [3, 5]), activation=activation, norm=norm)
        gated = Highway(body, one_of(f"{name}/gate", [1, 3]))
        width = one_of(f"{name}/width", [width, width * 3 // 2])
        return stage(one_of(f"{name}/depth", depths), width, gated, [Pool(2)] if i < 2 else [], plain(norm=norm))

    first, *others = map(opened, range(3))
    return Network(first, tuple(others), Classifier(classes))


PUBLISHED: dict[str, Network] = {
    **{f"highway{depth}_mnist": mnist(depth) for depth in (10, 20, 50, 100)},
    # width, gated layers, pooling
    "highway19_cifar": cifar([(32, 2, False), (48, 1, True), (80, 5, True), (128, 5, False)]),
}

SOURCES = {"highway19_cifar": "Srivastava et al. 2015, arXiv:1507.06228"}

INPUTS = {name: (1, 28, 28) for name in PUBLISHED if name.endswith("_mnist")}

family = Family(
    "Srivastava et al. 2015, arXiv:1505.00387",
    highway_space,
    with_classes,
    notation,
    PUBLISHED,
    sources=SOURCES,
    input=(3, 32, 32),
    inputs=INPUTS,
)
