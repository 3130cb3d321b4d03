"""AlexNet: five convolutions, three overlapping poolings, three fully connected layers.

Source: Krizhevsky et al. 2012, Advances in Neural Information Processing Systems 25, section 3.5; one tower: Krizhevsky 2014,
arXiv:1404.5997. `alexnet` is torchvision's one tower; its dropout follows each hidden layer here, and precedes it there.
`alexnet_lrn` is the paper's, with two groups for its two GPUs, and for images of 227x227, as the paper's 224 do not give its
map of 55x55. `alexnet_groups` leaves out its local response norms, which have no weights, as VGG found that they do not help
(arXiv:1409.1556, table 3). `caffenet` is Caffe's form: it pools before it normalises. `zfnet` reads the image with a smaller
kernel and stride, Zeiler and Fergus 2013, arXiv:1311.2901, figure 3, and `zfnet_wide` has more maps in the last three layers
(section 5.1); the norms are AlexNet's.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.conv import ConvNormAct, Padding
from nas.layers.norm import LocalResponseNorm
from nas.layers.pool import Pool
from nas.notation import notation
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import FullyConnected
from nas.topology.network import Network, with_classes

POOL = Pool(3, 2, padding=0)
"""Overlapping by one pixel, without padding."""


def conv(kernel: int, channels: int, groups: int = 1, stride: int = 1, padding: Padding = "same") -> ConvNormAct:
    """Return a convolution and ReLU, without a norm."""
    return ConvNormAct(kernel, channels, stride, groups, padding=padding, norm="none")


def alexnet(widths: Sequence[int], groups: int = 1, padding: Padding = 2) -> Network:
    """Stack convolutions of five widths; all but the first and the third read within `groups`."""
    first, second, third, fourth, fifth = widths
    nodes: tuple[Node, ...] = (
        Chain((conv(5, second, groups), POOL)),
        conv(3, third),
        conv(3, fourth, groups),
        Chain((conv(3, fifth, groups), POOL)),
    )
    return Network(Chain((conv(11, first, 1, 4, padding), POOL)), nodes, FullyConnected(1000, pool=6))


def alexnet_lrn(*after: Node) -> Network:
    """Return the paper's network, whose first two convolutions are followed by the nodes `after`, a pooling among them."""
    stem = Chain((conv(11, 96, 1, 4, "valid"), *after))
    nodes = (conv(3, 384), conv(3, 384, 2), Chain((conv(3, 256, 2), POOL)))
    return Network(stem, (Chain((conv(5, 256, 2), *after)), *nodes), FullyConnected(1000, pool=6))


def zfnet(widths: Sequence[int]) -> Network:
    """Return ZFNet with the widths of its last three convolutions."""
    pool = Pool(3, 2, padding=0, ceil=True)
    third, fourth, fifth = widths
    stem = Chain((conv(7, 96, 1, 2, 1), pool, LocalResponseNorm()))
    second = Chain((conv(5, 256, 1, 2, "valid"), pool, LocalResponseNorm()))
    nodes = (second, conv(3, third), conv(3, fourth), Chain((conv(3, fifth), pool)))
    return Network(stem, nodes, FullyConnected(1000, pool=6))


def alexnet_space(channels: int = 16, classes: int = 10, depths: Sequence[int] = (1, 2)) -> Network:
    """Return the space: kernel, groups, depth, width and pooling of three stages, and the hidden layers, are open."""

    def stage(i: int) -> Chain:
        name, width = f"stage{i + 1}", channels * 2**i
        kernel, groups = one_of(f"{name}/kernel", [3, 5]), one_of(f"{name}/groups", [1, 2, 4])
        convs = ConvNormAct(kernel, groups=groups, norm="none")
        widths = one_of(f"{name}/width", [width, width * 3 // 2])
        pool = one_of(f"{name}/pool", [Pool(2), Pool(3)])
        return Chain((Stage(convs, one_of(f"{name}/depth", depths), widths), pool))

    stem = ConvNormAct(one_of("stem/kernel", [3, 5, 7]), channels, norm="none")
    head = FullyConnected(classes, one_of("hidden", [(128,), (256,), (128, 128)]), pool=2)
    return Network(stem, tuple(map(stage, range(3))), head)


# widths of the five convolutions
PUBLISHED: dict[str, Network] = {
    "alexnet": alexnet((64, 192, 384, 256, 256)),
    "alexnet_groups": alexnet((96, 256, 384, 384, 256), groups=2, padding="valid"),
    "alexnet_lrn": alexnet_lrn(LocalResponseNorm(), POOL),
    "caffenet": alexnet_lrn(POOL, LocalResponseNorm(alpha=2e-5, k=1.0)),
    "zfnet": zfnet((384, 384, 256)),
    "zfnet_wide": zfnet((512, 1024, 512)),
}

SOURCES = {
    "alexnet": "Krizhevsky 2014, arXiv:1404.5997",
    "caffenet": "Jia et al. 2014, arXiv:1408.5093",
    **dict.fromkeys(("zfnet", "zfnet_wide"), "Zeiler and Fergus 2013, arXiv:1311.2901"),
}

INPUTS = dict.fromkeys(("alexnet_groups", "alexnet_lrn", "caffenet"), (3, 227, 227))

family = Family(
    "Krizhevsky et al. 2012, doi:10.1145/3065386",
    alexnet_space,
    with_classes,
    notation,
    PUBLISHED,
    sources=SOURCES,
    input=(3, 224, 224),
    inputs=INPUTS,
)
