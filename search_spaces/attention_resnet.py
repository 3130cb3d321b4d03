"""ResNets with attention inside or between their blocks: CBAM, BAM, attention-augmented convolutions, double attention.

Sources: CBAM: Woo et al. 2018, arXiv:1807.06521: channel and pixel gates end each body. BAM: Park et al. 2018,
arXiv:1807.06514: one module after each stage but the last. Both as released. AA: Bello et al. 2019, arXiv:1904.09925, section
4.2: the 3x3 convolutions of the last three stages give a tenth of their channels to attention. A2: Chen et al. 2018,
arXiv:1810.11579, section 4.2: after every other block of the second and third stage; that these are the five places, and that
features and maps have half of the width, we infer from the printed size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from nas.building import Node
from nas.family import Family
from nas.layers.activation import RELU, Activation
from nas.layers.attention import BAM, SpatialGate, SqueezeExcite
from nas.layers.conv import ConvNormAct
from nas.layers.self_attention import AugmentedConv, DoubleAttention
from nas.notation import notation
from nas.operations.skip import Skip
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes
from nas.topology.residual import Residual
from search_spaces.resnet import PROJECTION, STEM, basic, bottleneck, imagenet

CBAM = (SqueezeExcite(16, pool="both"), SpatialGate())

# Blocks of the four stages.
_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def cbam_basic() -> Residual:
    """Return the block of two 3x3 convolutions that ends in CBAM."""
    return Residual(Chain((ConvNormAct(3), ConvNormAct(3, activation=None), *CBAM)), PROJECTION, RELU)


def with_bam(network: Network) -> Network:
    """Return a network with BAM after each stage but the last."""
    *stages, last = network.stages
    return replace(network, stages=(*(node for stage in stages for node in (stage, BAM())), last))


def augmented() -> Residual:
    """Return the bottleneck block whose 3x3 convolution is augmented by attention."""
    inner = AugmentedConv(3, ratio=0.25, least_key=20)
    convs = ConvNormAct(1, ratio=0.25), inner, ConvNormAct(1, activation=None)
    return Residual(Chain(convs, strided=1), PROJECTION, RELU)


def aa_resnet(depths: Sequence[int]) -> Network:
    """Return a ResNet whose last three stages are augmented."""
    _, *others = imagenet(augmented(), depths, 256).stages
    return Network(STEM, (Stage(bottleneck(), depths[0], 256), *others), Classifier(1000))


def a2_resnet(depths: Sequence[int]) -> Network:
    """Return a ResNet with double attention after every other block of the second and third stage."""

    def stages() -> Iterator[Node]:
        for i, depth in enumerate(depths):
            width, stride = 256 * 2**i, 2 if i else 1
            if i not in (1, 2):
                yield Stage(bottleneck(), depth, width, stride)
                continue
            for pair in range(depth // 2):
                yield Stage(bottleneck(), 2, width, 1 if pair else stride)
                yield DoubleAttention(2)

    return Network(STEM, tuple(stages()), Classifier(1000))


def attention_resnet_space(channels: int = 16, classes: int = 10, depths: Sequence[int] = (1, 2, 3)) -> Network:
    """Return the space: in each of three stages the attention after each block, the 3x3 convolution, width and depth are open.

    The channel gates have a swish: their few channels may all be negative, and after a ReLU no gradient would flow.
    """
    squeeze = SqueezeExcite(4, activation=Activation("swish"))
    gates = Chain((replace(squeeze, pool="both"), SpatialGate()))

    def stage(i: int) -> Stage:
        name, width = f"stage{i + 1}", channels * 2**i
        attention: Node = one_of(f"{name}/attention", [Skip(), squeeze, gates, BAM(4), DoubleAttention(2)])
        augmented = AugmentedConv(3, ratio=0.5, heads=2, key=0.5, value=0.25)
        inner: Node = one_of(f"{name}/conv", [ConvNormAct(3, ratio=0.5), augmented])
        convs = ConvNormAct(1, ratio=0.5), inner, ConvNormAct(1, activation=None)
        block = Chain((Residual(Chain(convs, strided=1), PROJECTION, RELU), attention))
        widths = one_of(f"{name}/width", [width, width * 3 // 2])
        return Stage(block, one_of(f"{name}/depth", depths), widths, 2 if i else 1)

    return Network(ConvNormAct(3, channels), tuple(map(stage, range(3))), Classifier(classes))


PUBLISHED: dict[str, Network] = {
    **{f"cbam_resnet{depth}": imagenet(cbam_basic(), _DEPTHS[depth]) for depth in (18, 34)},
    **{f"cbam_resnet{depth}": imagenet(bottleneck(inside=CBAM), _DEPTHS[depth], 256) for depth in (50, 101)},
    **{f"bam_resnet{depth}": with_bam(imagenet(basic(), _DEPTHS[depth])) for depth in (18, 34)},
    **{f"bam_resnet{depth}": with_bam(imagenet(bottleneck(), _DEPTHS[depth], 256)) for depth in (50, 101)},
    **{f"aa_resnet{depth}": aa_resnet(_DEPTHS[depth]) for depth in (50, 101, 152)},
    "a2_resnet50": a2_resnet(_DEPTHS[50]),
}

_SOURCES = {
    "bam": "Park et al. 2018, arXiv:1807.06514",
    "aa": "Bello et al. 2019, arXiv:1904.09925",
    "a2": "Chen et al. 2018, arXiv:1810.11579",
}
SOURCES = {name: _SOURCES[kind] for name in PUBLISHED if (kind := name.partition("_")[0]) in _SOURCES}

family = Family(
    "Woo et al. 2018, arXiv:1807.06521",
    attention_resnet_space,
    with_classes,
    notation,
    PUBLISHED,
    sources=SOURCES,
    input=(3, 224, 224),
)
