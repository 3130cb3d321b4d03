"""ProxylessNAS: inverted residuals whose kernel and expansion were searched layer by layer, for three devices.

Source: Cai et al. 2019, arXiv:1812.00332, section 4.2 and figure 4 (the published networks). Networks as in the released
PyTorch code. Layers that the search dropped are left out. Norms keep torch's epsilon (released: 0.001).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.activation import Activation
from nas.layers.conv import ConvNormAct
from nas.notation import notation
from nas.operations.mbconv import MBConv
from nas.operations.skip import Skip
from nas.space import one_of
from nas.topology.chain import Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes

RELU6 = Activation("relu6")
STRIDES = 2, 2, 2, 1, 2, 1

Layers = Sequence[Sequence[tuple[int, int]]]
"""Kernel and expansion of each layer of each stage."""


def proxylessnas(stem: int, widths: Sequence[int], last: int, layers: Layers) -> Network:
    """Stack a stage for each width; before them comes a block without an expansion, of the first width."""
    first, *others = widths

    def stages() -> Iterator[Node]:
        yield Stage(MBConv(3, 1.0), 1, first)
        for width, stride, stage in zip(others, STRIDES, layers, strict=True):
            for i, (kernel, expansion) in enumerate(stage):
                yield Stage(MBConv(kernel, expansion), 1, width, 1 if i else stride)
        yield ConvNormAct(1, last, activation=RELU6)

    return Network(ConvNormAct(3, stem, 2, activation=RELU6), tuple(stages()), Classifier(1000))


def proxylessnas_space(
    channels: int = 16,
    classes: int = 10,
    layers: int = 3,
    kernels: Sequence[int] = (3, 5, 7),
    expansions: Sequence[float] = (3.0, 6.0),
) -> Network:
    """Return the space: each layer of three stages is one of the blocks or, except for a stage's first, is dropped."""
    blocks = [MBConv(kernel, expansion) for kernel in kernels for expansion in expansions]

    def layer(stage: int, i: int) -> Stage:
        options: list[Node] = [*blocks] if i == 0 else [*blocks, Skip()]
        block = one_of(f"stage{stage + 1}/layer{i + 1}", options)
        return Stage(block, 1, channels * (stage + 1), 2 if stage and not i else 1)

    nodes = tuple(layer(stage, i) for stage in range(3) for i in range(layers))
    return Network(ConvNormAct(3, channels, activation=RELU6), nodes, Classifier(classes))


# (kernel, expansion) of each layer, a tuple per stage (figure 4, as in the released code)
CPU: Layers = (
    *(((3, 6), (3, 3), (3, 3), (3, 3)), ((3, 6), (3, 3), (3, 3), (5, 3)), ((3, 6), (3, 3))),
    *(((5, 6), (3, 3), (3, 3), (3, 3)), ((5, 6), (5, 3), (5, 3), (3, 3)), ((5, 6),)),
)
GPU: Layers = (
    *(((5, 3),), ((7, 3), (3, 3)), ((7, 6), (5, 3))),
    *(((5, 6), (3, 3), (5, 3)), ((7, 6), (7, 6), (7, 6), (5, 6)), ((7, 6),)),
)
MOBILE: Layers = (
    *(((5, 3), (3, 3)), ((7, 3), (3, 3), (5, 3), (5, 3)), ((7, 6), (5, 3), (5, 3), (5, 3))),
    *(((5, 6), (5, 3), (5, 3), (5, 3)), ((7, 6), (7, 6), (7, 3), (7, 3)), ((7, 6),)),
)

# stem width, stage widths, width of the last convolution, layers
PUBLISHED: dict[str, Network] = {
    "proxyless_cpu": proxylessnas(40, (24, 32, 48, 88, 104, 216, 360), 1432, CPU),
    "proxyless_gpu": proxylessnas(40, (24, 32, 56, 112, 128, 256, 432), 1728, GPU),
    "proxyless_mobile": proxylessnas(32, (16, 32, 40, 80, 96, 192, 320), 1280, MOBILE),
    "proxyless_mobile_14": proxylessnas(48, (24, 40, 56, 112, 136, 256, 448), 1792, MOBILE),
}

family = Family(
    "Cai et al. 2019, arXiv:1812.00332", proxylessnas_space, with_classes, notation, PUBLISHED, input=(3, 224, 224)
)
