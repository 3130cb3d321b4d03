"""VGG: stages of 3x3 convolutions, each stage ended by a pooling, then three fully connected layers.

Source: Simonyan and Zisserman 2015, arXiv:1409.1556, table 1 (configurations A to E). Networks as in torchvision: the `_bn`
forms have batch norm after each convolution, and the convolutions keep their bias as well. `vgg16_c` is configuration C, where
the last convolution of the last three stages is 1x1, and `vgg11_lrn` is A-LRN, with a local response norm, that of AlexNet,
after the first convolution; torchvision has neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nas.building import Node
from nas.family import Family
from nas.layers.conv import ConvNormAct
from nas.layers.norm import LocalResponseNorm, Norm
from nas.layers.pool import Pool
from nas.notation import notation
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import FullyConnected
from nas.topology.network import Network, with_classes

POOL = Pool(2)


def stage(depth: int, channels: int, norm: Norm = "none", kernel: int = 3, last: Sequence[Node] = ()) -> Chain:
    """Return convolutions of one width, the nodes `last`, and a pooling."""
    return Chain((Stage(ConvNormAct(kernel, norm=norm, bias=True), depth, channels), *last, POOL))


def vgg(depths: Sequence[int], norm: Norm = "none", widths: Sequence[int] = (64, 128, 256, 512, 512)) -> Network:
    """Stack a stage for each depth."""
    first, *others = (stage(depth, width, norm) for depth, width in zip(depths, widths, strict=True))
    return Network(first, tuple(others), FullyConnected(1000, pool=7))


def vgg_c() -> Network:
    """Return configuration C."""
    stages = (stage(2, width, last=[ConvNormAct(1, width, norm="none")]) for width in (256, 512, 512))
    return Network(stage(2, 64), (stage(2, 128), *stages), FullyConnected(1000, pool=7))


def vgg_space(channels: int = 16, classes: int = 10, depths: Sequence[int] = (1, 2, 3, 4)) -> Network:
    """Return the space: in each of three stages kernel, depth and width are open, and in all the norm and the head."""
    norm: Norm = one_of("norm", ["batch", "none"])

    def opened(i: int) -> Chain:
        name, width = f"stage{i + 1}", channels * 2**i
        widths = one_of(f"{name}/width", [width, width * 5 // 4, width * 3 // 2])
        return stage(one_of(f"{name}/depth", depths), widths, norm, one_of(f"{name}/kernel", [1, 3]))

    first, *others = map(opened, range(3))
    hidden = one_of("hidden", [(), (128,), (128, 128)])
    return Network(first, tuple(others), FullyConnected(classes, hidden, pool=2))


# convolutions of each stage (table 1, configurations A, B, D and E)
_DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}

PUBLISHED: dict[str, Network] = {
    **{f"vgg{depth}": vgg(depths) for depth, depths in _DEPTHS.items()},
    **{f"vgg{depth}_bn": vgg(depths, "batch") for depth, depths in _DEPTHS.items()},
    "vgg11_lrn": replace(vgg(_DEPTHS[11]), stem=stage(1, 64, last=[LocalResponseNorm()])),
    "vgg16_c": vgg_c(),
}

family = Family(
    "Simonyan and Zisserman 2015, arXiv:1409.1556", vgg_space, with_classes, notation, PUBLISHED, input=(3, 224, 224)
)
