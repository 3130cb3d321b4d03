"""ResNeXt: bottleneck blocks with grouped 3x3 convolutions, ImageNet and CIFAR forms.

Source: Xie et al. 2017, arXiv:1611.05431 (table 1, section 5; CIFAR: section 5.3). A name contains the number of groups, the
cardinality, and the group width in the first stage: `32x4d`. Networks as in torchvision, with the stride in the 3x3. For
CIFAR, table 7 of the paper; blocks keep the form of ImageNet's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nas.family import Family
from nas.layers.activation import RELU
from nas.layers.conv import ConvNormAct
from nas.notation import notation
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes
from nas.topology.residual import Residual
from search_spaces.resnet import PROJECTION, bottleneck, cifar, imagenet


def block(groups: int, width: int) -> Residual:
    """Return the block with 256 channels in the first stage, and `groups` groups, each `width` wide there."""
    # The ratio of inner to outer width is the same in all stages, so groups widen with the stages.
    return bottleneck(groups * width / 256, groups)


def resnext(depths: Sequence[int], groups: int, width: int) -> Network:
    """Return a network for ImageNet."""
    return imagenet(block(groups, width), depths, 256)


def resnext_cifar(groups: int, width: int, depth: int = 3, classes: int = 10) -> Network:
    """Return a network for images of 32x32, of 9 * depth + 2 layers."""
    network = cifar(block(groups, width), depth, (256, 512, 1024), classes)
    return replace(network, stem=ConvNormAct(3, 64))


def grouped(ratio: float, group_width: int) -> Residual:
    """Return the block with a fixed group width in all stages: the number of groups grows with the stage's width."""
    convs = (
        ConvNormAct(1, ratio=ratio),
        ConvNormAct(3, ratio=ratio, group_width=group_width),
        ConvNormAct(1, activation=None),
    )
    return Residual(Chain(convs, strided=1), PROJECTION, RELU)


def resnext_space(channels: int = 32, classes: int = 10, depths: Sequence[int] = (1, 2, 3, 4)) -> Network:
    """Return the space: in each of three stages the bottleneck's ratio, its group width, depth and width are open."""

    def stage(i: int) -> Stage:
        ratio = one_of(f"stage{i + 1}/ratio", [0.25, 0.5, 1.0])
        group_width = one_of(f"stage{i + 1}/group_width", [2, 4, 8])
        width = one_of(f"stage{i + 1}/width", [channels * 2**i, channels * 3 * 2**i // 2])
        body = grouped(ratio, group_width)
        return Stage(body, one_of(f"stage{i + 1}/depth", depths), width, 1 if i == 0 else 2)

    return Network(ConvNormAct(3, channels), tuple(map(stage, range(3))), Classifier(classes))


_DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}

# Groups, and their width in the first stage: those of one complexity (table 3), of twice it (table 4), and torchvision's.
_EQUAL, _TWICE, _LARGER = ((32, 4), (8, 14), (4, 24), (2, 40)), ((64, 4), (2, 64), (1, 100)), ((32, 8),)
_FORMS = {50: _EQUAL, 101: (*_EQUAL, *_TWICE, *_LARGER)}

PUBLISHED: dict[str, Network] = {
    **{
        f"resnext{depth}_{groups}x{width}d": resnext(_DEPTHS[depth], groups, width)
        for depth, forms in _FORMS.items()
        for groups, width in forms
    },
    "resnext29_32x4d_cifar": resnext_cifar(32, 4),
    "resnext29_8x64d_cifar": resnext_cifar(8, 64),
    "resnext29_16x64d_cifar": resnext_cifar(16, 64),
}

INPUTS = {name: (3, 32, 32) for name in PUBLISHED if name.endswith("_cifar")}

family = Family(
    "Xie et al. 2017, arXiv:1611.05431",
    resnext_space,
    with_classes,
    notation,
    PUBLISHED,
    input=(3, 224, 224),
    inputs=INPUTS,
)
