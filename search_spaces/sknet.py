"""SKNet: bottleneck blocks that select, channel by channel, among convolutions with several receptive fields.

Source: Li et al. 2019, arXiv:1903.06586 (section 3.2, table 1: SK[2, 16, 32]). Networks as in the released Caffe model: a 5x5
convolution is a 3x3 one with dilation 2, the stem's pooling has no padding and rounds up, and the stride is in the selective
convolution.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.family import Family
from nas.layers.activation import RELU
from nas.layers.conv import ConvNormAct
from nas.layers.pool import Pool
from nas.notation import notation
from nas.operations.selective import SelectiveKernel
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes
from nas.topology.residual import Residual
from search_spaces.resnet import PROJECTION, imagenet

STEM = Chain((ConvNormAct(7, 64, 2), Pool(3, 2, 0, ceil=True)))
"""Pooling as in Caffe."""


def block(selective: SelectiveKernel, ratio: float = 0.5) -> Residual:
    """Return the bottleneck block whose middle convolution, `ratio` of the width, is a selective one."""
    middle = Stage(selective, ratio=ratio)
    return Residual(
        Chain((ConvNormAct(1, ratio=ratio), middle, ConvNormAct(1, activation=None)), strided=1), PROJECTION, RELU
    )


def sknet(depths: Sequence[int]) -> Network:
    """Return a network for ImageNet."""
    return imagenet(block(SelectiveKernel()), depths, 256, STEM)


def sknet_space(
    channels: int = 32, classes: int = 10, depths: Sequence[int] = (1, 2, 3), paths: Sequence[int] = (2, 3)
) -> Network:
    """Return the space: in each of three stages paths, groups, reduction, ratio, width and depth are open."""

    def stage(i: int) -> Stage:
        name, wide = f"stage{i + 1}", channels * 2**i
        groups, reduction = one_of(f"{name}/groups", [1, 2, 4]), one_of(f"{name}/reduction", [2, 4, 8])
        selective = SelectiveKernel(one_of(f"{name}/paths", paths), groups, reduction, least=1)
        body = block(selective, one_of(f"{name}/ratio", [0.25, 0.5]))
        width = one_of(f"{name}/width", [wide, 3 * wide // 2])
        return Stage(body, one_of(f"{name}/depth", depths), width, 1 if i == 0 else 2)

    return Network(ConvNormAct(3, channels), tuple(map(stage, range(3))), Classifier(classes))


# blocks of the four stages, as in ResNet
PUBLISHED: dict[str, Network] = {
    "sknet50": sknet((3, 4, 6, 3)),
    "sknet101": sknet((3, 4, 23, 3)),
    "sknet152": sknet((3, 8, 36, 3)),
}

family = Family("Li et al. 2019, arXiv:1903.06586", sknet_space, with_classes, notation, PUBLISHED, input=(3, 224, 224))
