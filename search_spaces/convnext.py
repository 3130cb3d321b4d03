"""ConvNeXt: blocks of a 7x7 depthwise convolution, layer norm and two 1x1 convolutions; patches instead of a stem.

Source: Liu et al. 2022, arXiv:2201.03545, section 2 and appendix A. Networks as in torchvision, whose linear layers are 1x1
convolutions here. There stochastic depth grows from block to block; here it is the same in all blocks. V2: Woo et al. 2023,
arXiv:2301.00808, section 3, sizes as released: global response norm inside the bottleneck, and no layer scale.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.family import Family
from nas.layers.activation import Activation
from nas.layers.conv import ConvNormAct, LayerScale
from nas.layers.norm import GlobalResponseNorm
from nas.notation import notation
from nas.operations.skip import Skip
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes
from nas.topology.residual import Residual


def block(kernel: int = 7, expansion: float = 4.0) -> Residual:
    """Return the block: depthwise convolution and layer norm, an inverted bottleneck with GELU, and layer scale."""
    body = (
        ConvNormAct(kernel, groups="depthwise", norm="layer", activation=None, bias=True),
        ConvNormAct(1, ratio=expansion, norm="none", activation=Activation("gelu")),
        ConvNormAct(1, norm="none", activation=None),
        LayerScale(),
    )
    return Residual(Chain(body), Skip(), drop_path=1.0)


def block_v2() -> Residual:
    """Return the block of V2."""
    body = (
        ConvNormAct(7, groups="depthwise", norm="layer", activation=None, bias=True),
        ConvNormAct(1, ratio=4.0, norm="none", activation=Activation("gelu")),
        GlobalResponseNorm(),
        ConvNormAct(1, norm="none", activation=None),
    )
    return Residual(Chain(body), Skip(), drop_path=1.0)


def patches(size: int, channels: int) -> ConvNormAct:
    """Return the stem: a convolution with non-overlapping windows, and layer norm."""
    return ConvNormAct(size, channels, size, padding="valid", norm="layer", activation=None, bias=True)


DOWNSAMPLE = ConvNormAct(2, padding="valid", norm="layer", activation=None, order="pre", bias=True)
"""Layer norm and a 2x2 convolution, between two stages."""


def imagenet(depths: Sequence[int], widths: Sequence[int], body: Residual) -> Network:
    """Stack the block in four stages; a layer that halves the size precedes each but the first."""
    stages = [Stage(body, depths[0])]
    for depth, width in zip(depths[1:], widths[1:], strict=True):
        stages += [Stage(DOWNSAMPLE, 1, width, 2), Stage(body, depth)]
    return Network(patches(4, widths[0]), tuple(stages), Classifier(1000, layer_norm=True))


def convnext_space(channels: int = 16, classes: int = 10, depths: Sequence[int] = (1, 2, 3)) -> Network:
    """Return the space: the patch size and, in each of three stages, kernel, expansion, depth and width are open."""

    def stage(name: str) -> Stage:
        kernel, expansion = one_of(f"{name}/kernel", (3, 5, 7)), one_of(f"{name}/expansion", (2.0, 3.0, 4.0))
        return Stage(block(kernel, expansion), one_of(f"{name}/depth", depths))

    stages = [stage("stage1")]
    for i in (2, 3):
        width = one_of(f"stage{i}/width", [channels * i, channels * 3 * i // 2, channels * 2 * i])
        stages += [Stage(DOWNSAMPLE, 1, width, 2), stage(f"stage{i}")]
    stem = one_of("stem/patches", [patches(size, channels) for size in (1, 2, 4)])
    return Network(stem, tuple(stages), Classifier(classes, layer_norm=True))


# depths of the four stages and width of the first, which doubles from stage to stage (section 3; V2 as released)
_V1 = {
    "tiny": ((3, 3, 9, 3), 96),
    "small": ((3, 3, 27, 3), 96),
    "base": ((3, 3, 27, 3), 128),
    "large": ((3, 3, 27, 3), 192),
}
_V2 = {
    "atto": ((2, 2, 6, 2), 40),
    "femto": ((2, 2, 6, 2), 48),
    "pico": ((2, 2, 6, 2), 64),
    "nano": ((2, 2, 8, 2), 80),
    "tiny": ((3, 3, 9, 3), 96),
    "base": ((3, 3, 27, 3), 128),
    "large": ((3, 3, 27, 3), 192),
    "huge": ((3, 3, 27, 3), 352),
}

PUBLISHED: dict[str, Network] = {
    f"{version}_{name}": imagenet(depths, [width * 2**i for i in range(4)], body)
    for version, sizes, body in (("convnext", _V1, block()), ("convnext_v2", _V2, block_v2()))
    for name, (depths, width) in sizes.items()
}

SOURCES = {name: "Woo et al. 2023, arXiv:2301.00808" for name in PUBLISHED if "_v2_" in name}

family = Family(
    "Liu et al. 2022, arXiv:2201.03545",
    convnext_space,
    with_classes,
    notation,
    PUBLISHED,
    sources=SOURCES,
    input=(3, 224, 224),
)
