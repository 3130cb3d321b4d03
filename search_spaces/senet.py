"""SENet: residual networks whose channels are scaled by squeeze-and-excitation.

Source: Hu et al. 2018, arXiv:1709.01507 (section 3.3, table 1; SENet-154: appendix; the place of the module: section 6.5).
Networks as in the released Caffe models and Cadene's port: `se_resnet*` have the stride in the first 1x1, the others in the
3x3, the stem's pooling has no padding and rounds up, and the 1x1 convolutions of the module have biases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nas.building import Node
from nas.family import Family
from nas.layers.activation import RELU, Activation
from nas.layers.attention import SqueezeExcite
from nas.layers.conv import ConvNormAct
from nas.layers.pool import Pool
from nas.notation import notation
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes
from nas.topology.residual import Residual
from search_spaces.resnet import PROJECTION, bottleneck, imagenet

POOL = Pool(3, 2, 0, ceil=True)
"""Pooling as in Caffe."""

STEM = Chain((ConvNormAct(7, 64, 2), POOL))

DEEP_STEM = Chain((ConvNormAct(3, 64, 2), ConvNormAct(3, 64), ConvNormAct(3, 128), POOL))
"""The stem of SENet-154: three 3x3 convolutions instead of one 7x7."""

SQUEEZE = (SqueezeExcite(16),)


def se_resnet(depths: Sequence[int]) -> Network:
    """Return a ResNet with squeeze-and-excitation at the end of each body."""
    return imagenet(bottleneck(strided=0, inside=SQUEEZE), depths, 256, STEM)


def se_resnext(depths: Sequence[int], groups: int = 32, width: int = 4) -> Network:
    """Return a ResNeXt with squeeze-and-excitation at the end of each body."""
    return imagenet(bottleneck(groups * width / 256, groups, inside=SQUEEZE), depths, 256, STEM)


def se_block(shortcut: Node = PROJECTION) -> Residual:
    """Return the block of SENet-154, whose first convolution has half the width of the other two."""
    convs = (ConvNormAct(1, ratio=0.5), ConvNormAct(3, groups=64), ConvNormAct(1, activation=None))
    return Residual(Chain((*convs, *SQUEEZE), strided=1), shortcut, RELU)


def senet(depths: Sequence[int]) -> Network:
    """Return the form of SENet-154: where a stage halves the size, the shortcut is a 3x3 convolution."""
    stages = [Stage(se_block(), depths[0], 256)]
    for i, depth in enumerate(depths[1:]):
        wide = 512 * 2**i
        stages += [Stage(se_block(ConvNormAct(3, activation=None)), 1, wide, 2), Stage(se_block(), depth - 1)]
    return Network(DEEP_STEM, tuple(stages), Classifier(1000, dropout=0.2))


def senet_space(
    channels: int = 16, classes: int = 10, depths: Sequence[int] = (1, 2, 3), reductions: Sequence[int] = (2, 4, 8)
) -> Network:
    """Return the space: in each of three stages the module's place and reduction, body, width and depth are open.

    The place is the end of the body, its beginning, or the shortcut. The module has a swish: its few channels may all be
    negative, and after a ReLU no gradient would flow.
    """

    def stage(i: int) -> Stage:
        name, wide = f"stage{i + 1}", channels * 2**i
        squeeze = SqueezeExcite(one_of(f"{name}/reduction", reductions), activation=Activation("swish"))
        plain = Chain((ConvNormAct(3), ConvNormAct(3, activation=None)))
        bodies = [plain, bottleneck(0.25).body, bottleneck(0.5, 4).body]
        body = one_of(f"{name}/body", bodies)
        places = [Chain((body, squeeze)), Chain((squeeze, body), strided=1)]
        residuals = [Residual(each, PROJECTION, RELU) for each in places]
        scaled = replace(residuals[0], body=body, shortcut=Chain((PROJECTION, squeeze)))
        block = one_of(f"{name}/place", [*residuals, scaled])
        width = one_of(f"{name}/width", [wide, 3 * wide // 2])
        return Stage(block, one_of(f"{name}/depth", depths), width, 1 if i == 0 else 2)

    return Network(ConvNormAct(3, channels), tuple(map(stage, range(3))), Classifier(classes))


# blocks of the four stages
PUBLISHED: dict[str, Network] = {
    "se_resnet50": se_resnet((3, 4, 6, 3)),
    "se_resnet101": se_resnet((3, 4, 23, 3)),
    "se_resnet152": se_resnet((3, 8, 36, 3)),
    "se_resnext50_32x4d": se_resnext((3, 4, 6, 3)),
    "se_resnext101_32x4d": se_resnext((3, 4, 23, 3)),
    "senet154": senet((3, 8, 36, 3)),
}

family = Family("Hu et al. 2018, arXiv:1709.01507", senet_space, with_classes, notation, PUBLISHED, input=(3, 224, 224))
