"""ResNet: residual blocks, basic or bottleneck, post- or pre-activated; ImageNet, CIFAR and wide forms.

Source: He et al. 2016, arXiv:1512.03385 (table 1, section 4.2) and arXiv:1603.05027; wide: Zagoruyko and Komodakis 2016,
arXiv:1605.07146. Networks as in torchvision, with the stride in the 3x3; the paper has it in the first 1x1 (`resnet50_v1`).
`preresnet*` are pre-activated. For CIFAR, those of 110 and 164 layers also have the other places of norm and activation in
table 2 of arXiv:1603.05027.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nas.building import Node
from nas.family import Family
from nas.layers.activation import RELU
from nas.layers.conv import ConvNormAct, Normalize, bare
from nas.layers.pool import Pool
from nas.notation import notation
from nas.operations.skip import Skip
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes
from nas.topology.residual import Residual

STEM = Chain((ConvNormAct(7, 64, 2), Pool(3, 2)))
"""The stem of ImageNet networks: 7x7 and pooling, each halving the size."""

PROJECTION, PADDED, BARE = Skip("projection"), Skip("padded"), Skip("bare")


def basic(shortcut: Node = PROJECTION, activation: Node = RELU) -> Residual:
    """Return the block of two 3x3 convolutions."""
    body = Chain((ConvNormAct(3, activation=activation), ConvNormAct(3, activation=None)))
    return Residual(body, shortcut, activation)


def bottleneck(ratio: float = 0.25, groups: int = 1, strided: int = 1, inside: Sequence[Node] = ()) -> Residual:
    """Return the block of 1x1, 3x3 and 1x1 convolutions, the first two of `ratio` of the width.

    Convolution `strided` has the stride. The nodes `inside` end the body, such as squeeze-and-excitation.
    """
    convs = (
        ConvNormAct(1, ratio=ratio),
        ConvNormAct(3, ratio=ratio, groups=groups),
        ConvNormAct(1, activation=None),
    )
    return Residual(Chain((*convs, *inside), strided=strided), PROJECTION, RELU)


def imagenet(block: Node, depths: Sequence[int], width: int = 64, stem: Node = STEM) -> Network:
    """Stack a block in four stages, each after the first at half the size and twice the width."""
    stages = (Stage(block, depth, width * 2**i, 1 if i == 0 else 2) for i, depth in enumerate(depths))
    return Network(stem, tuple(stages), Classifier(1000))


def cifar(block: Node, depth: int, widths: Sequence[int] = (16, 32, 64), classes: int = 10) -> Network:
    """Stack a block in three stages for images of 32x32 (section 4.2)."""
    stages = (Stage(block, depth, width, 1 if i == 0 else 2) for i, width in enumerate(widths))
    return Network(ConvNormAct(3, 16), tuple(stages), Classifier(classes))


def preactivated(shortcut: Node = BARE, activation: Node = RELU) -> Residual:
    """Return the block of two 3x3 convolutions, each preceded by norm and activation."""
    body = Chain((bare(3), ConvNormAct(3, activation=activation, order="pre")))
    return Residual(body, shortcut, opening=Normalize(activation=activation))


def preactivated_bottleneck() -> Residual:
    """Return the block of 1x1, 3x3 and 1x1 convolutions, each preceded by norm and activation."""
    convs = bare(1, ratio=0.25), ConvNormAct(3, ratio=0.25, order="pre"), ConvNormAct(1, order="pre")
    return Residual(Chain(convs, strided=1), BARE, opening=Normalize())


def preactivated_cifar(block: Node, depth: int, width: int = 16, classes: int = 10) -> Network:
    """Stack a pre-activated block in three stages for images of 32x32."""
    stages = (Stage(block, depth, width * 2**i, 1 if i == 0 else 2) for i in range(3))
    return Network(bare(3, 16), tuple(stages), Classifier(classes, norm=True, relu=True))


def preactivated_imagenet(depths: Sequence[int]) -> Network:
    """Stack the pre-activated bottleneck in four stages; norm and ReLU of the first block are those of the stem (appendix)."""
    block = preactivated_bottleneck()
    opened = (Stage(replace(block, opening=None), 1, 256), Stage(block, depths[0] - 1, 256))
    others = (Stage(block, depth, 512 * 2**i, 2) for i, depth in enumerate(depths[1:]))
    return Network(STEM, (*opened, *others), Classifier(1000, norm=True, relu=True))


def other_places(convs: Sequence[ConvNormAct], shortcut: Node) -> dict[str, Residual]:
    """Return the block with each place of norm and activation between post- and pre-activation (arXiv:1603.05027, figure 4).

    The last of the convolutions has a norm and no activation, the others have both.
    """
    *others, last = convs

    def body(ending: ConvNormAct) -> Chain:
        return Chain((*others, ending), strided=len(others) - 1)

    return {
        "bn_after_addition": Residual(body(replace(last, norm="none", bias=False)), shortcut, Normalize()),
        "relu_before_addition": Residual(body(replace(last, activation=RELU)), shortcut),
        "relu_preactivation": Residual(body(last), shortcut, opening=RELU),
    }


def placed_cifar(convs: Sequence[ConvNormAct], width: int, shortcut: Node) -> dict[str, Network]:
    """Return the network of three stages of 18 blocks with each of the other places, by the place."""
    made = {
        place: cifar(block, 18, (width, 2 * width, 4 * width)) for place, block in other_places(convs, shortcut).items()
    }
    # The first block begins with the stem's ReLU, and one follows the last block (appendix).
    outer = replace(
        made["relu_preactivation"], stem=ConvNormAct(3, 16, activation=None), head=Classifier(10, relu=True)
    )
    return {**made, "relu_preactivation": outer}


def resnet_space(channels: int = 16, classes: int = 10, depths: Sequence[int] = (1, 2, 3, 4)) -> Network:
    """Return the space: in each of three stages block, depth and width are open."""

    def stage(i: int) -> Stage:
        blocks = [basic(), bottleneck(), bottleneck(0.5, groups=4), preactivated()]
        block = one_of(f"stage{i + 1}/block", blocks)
        width = one_of(f"stage{i + 1}/width", [channels * 2**i, channels * 3 * 2**i // 2, channels * 2 ** (i + 1)])
        return Stage(block, one_of(f"stage{i + 1}/depth", depths), width, 1 if i == 0 else 2)

    return Network(ConvNormAct(3, channels), tuple(map(stage, range(3))), Classifier(classes, norm=True, relu=True))


# Blocks of the four stages (table 1).
_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}

# Convolutions of a block, width of the first stage and shortcut, for images of 32x32.
_BLOCKS: dict[int, tuple[tuple[ConvNormAct, ...], int, Node]] = {
    110: ((ConvNormAct(3), ConvNormAct(3, activation=None)), 16, PADDED),
    164: ((ConvNormAct(1, ratio=0.25), ConvNormAct(3, ratio=0.25), ConvNormAct(1, activation=None)), 64, PROJECTION),
}

PUBLISHED: dict[str, Network] = {
    **{f"resnet{depth}": imagenet(basic(), _DEPTHS[depth]) for depth in (18, 34)},
    **{f"resnet{depth}": imagenet(bottleneck(), _DEPTHS[depth], 256) for depth in (50, 101, 152)},
    **{f"resnet{depth}_v1": imagenet(bottleneck(strided=0), _DEPTHS[depth], 256) for depth in (50, 101, 152)},
    **{f"wide_resnet{depth}_2": imagenet(bottleneck(0.5), _DEPTHS[depth], 256) for depth in (50, 101)},
    # For CIFAR, n blocks in each of three stages: 6n + 2 layers, 9n + 2 with bottlenecks, and 6n + 4 in wide networks.
    **{f"resnet{depth}_cifar": cifar(basic(PADDED), (depth - 2) // 6) for depth in (20, 32, 44, 56, 110)},
    "resnet1202_cifar": cifar(basic(PADDED), 200),
    "resnet164_cifar": cifar(bottleneck(), 18, (64, 128, 256)),
    **{
        f"resnet{depth}_{place}_cifar": network
        for depth, block in _BLOCKS.items()
        for place, network in placed_cifar(*block).items()
    },
    "preresnet110_cifar": preactivated_cifar(preactivated(), 18),
    "preresnet164_cifar": preactivated_cifar(preactivated_bottleneck(), 18, 64),
    "preresnet1001_cifar": preactivated_cifar(preactivated_bottleneck(), 111, 64),
    "preresnet152": preactivated_imagenet(_DEPTHS[152]),
    "preresnet200": preactivated_imagenet((3, 24, 36, 3)),
    "wide_resnet28_10_cifar": preactivated_cifar(preactivated(), 4, 160),
}

SOURCES = {
    **{
        name: "He et al. 2016, arXiv:1603.05027"
        for name in PUBLISHED
        if name.startswith("preresnet") or "addition" in name or "preactivation" in name or name == "resnet164_cifar"
    },
    **dict.fromkeys(
        ("wide_resnet50_2", "wide_resnet101_2", "wide_resnet28_10_cifar"),
        "Zagoruyko and Komodakis 2016, arXiv:1605.07146",
    ),
}

INPUTS = {name: (3, 32, 32) for name in PUBLISHED if name.endswith("_cifar")}

family = Family(
    "He et al. 2016, arXiv:1512.03385",
    resnet_space,
    with_classes,
    notation,
    PUBLISHED,
    sources=SOURCES,
    input=(3, 224, 224),
    inputs=INPUTS,
)
