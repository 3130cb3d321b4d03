"""GoogLeNet (Inception v1): modules of four parallel paths, 1x1, 3x3, 5x5 and pooling, with 1x1 convolutions.

Source: Szegedy et al. 2015, arXiv:1409.4842, table 1 and section 5. `googlenet` is torchvision's form: batch norm, 3x3 where
the paper has 5x5, and 2x2 pooling before the last stage. `googlenet_v1` is the paper's, with biases and without norm, as in
Caffe's bvlc_googlenet, save for its two local response norms, which have no weights and stand in `googlenet_v1_lrn`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nas.building import Node
from nas.family import Family
from nas.layers.conv import ConvNormAct
from nas.layers.norm import BatchNorm, LocalResponseNorm, Norm
from nas.layers.pool import Pool
from nas.notation import notation
from nas.space import one_of
from nas.topology.branches import Branches
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Auxiliary, Network, with_classes
from nas.topology.pooled import PooledClassifier

Widths = tuple[int, int, int, int, int, int]
"""Widths of a module's convolutions: 1x1; 1x1 and 3x3; 1x1 and 5x5; 1x1 after the pooling."""

# Table 1: modules 3a and 3b, 4a to 4e, 5a and 5b.
_STAGES: tuple[tuple[Widths, ...], ...] = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


def halve(kernel: int = 3) -> Pool:
    """Return the max pooling between stages, whose last windows overhang the border."""
    return Pool(kernel, 2, padding=0, ceil=True)


def inception(widths: Widths, kernel: int = 5, norm: Norm = "batch") -> Branches:
    """Return the module of figure 2b; `kernel` is that of the larger convolution."""
    only, before_3x3, conv_3x3, before_large, large, pooled = widths

    def conv(size: int, channels: int) -> ConvNormAct:
        return ConvNormAct(size, channels, norm=norm)

    return Branches(
        (
            conv(1, only),
            Chain((conv(1, before_3x3), conv(3, conv_3x3))),
            Chain((conv(1, before_large), conv(kernel, large))),
            Chain((Pool(3, 1), conv(1, pooled))),
        )
    )


def imagenet(kernel: int, norm: Norm, last_pool: int, dropout: float, response: Sequence[Node] = ()) -> Network:
    """Stack the nine modules of table 1, with max pooling between the stages; `response` are the norms in the stem."""
    convs = (ConvNormAct(1, 64, norm=norm), ConvNormAct(3, 192, norm=norm))
    stem = Chain((ConvNormAct(7, 64, 2, norm=norm), halve(), *response, *convs, *response, halve()))
    first, second, third = ([inception(widths, kernel, norm) for widths in stage] for stage in _STAGES)
    return Network(stem, (*first, halve(), *second, halve(last_pool), *third), Classifier(1000, dropout=dropout))


def with_auxiliary(network: Network, norm: Norm) -> Network:
    """Return the network with two auxiliary heads, which classify the outputs of modules 4a and 4d in training."""
    return replace(network, auxiliary=tuple(Auxiliary(i, head=PooledClassifier(1000, norm=norm)) for i in (3, 6)))


def searched(name: str) -> Branches:
    """Return a module that divides its width among the paths; kernel, pooling and the reduced widths are open."""
    reduce = ConvNormAct(1, ratio=one_of(f"{name}/reduce", [0.25, 0.5, 1.0]))
    large = one_of(f"{name}/kernel", [ConvNormAct(kernel) for kernel in (3, 5, 7)])
    pool = one_of(f"{name}/pool", [Pool(3, 1), Pool(3, 1, kind="mean")])
    paths: tuple[Node, ...] = (Chain((reduce, ConvNormAct(3))), Chain((reduce, large)), Chain((pool, ConvNormAct(1))))
    return Branches((ConvNormAct(1), *paths))


def googlenet_space(channels: int = 32, classes: int = 10, depths: Sequence[int] = (1, 2, 3)) -> Network:
    """Return the space: in each of three stages depth, width and the paths of the module are open."""

    def stage(i: int) -> Stage:
        name = f"stage{i + 1}"
        widths = [channels * 2**i, channels * 3 * 2**i // 2, channels * 2 ** (i + 1)]
        return Stage(searched(name), one_of(f"{name}/depth", depths), one_of(f"{name}/width", widths))

    stages = (stage(0), Pool(3, 2), stage(1), Pool(3, 2), stage(2))
    return Network(ConvNormAct(3, channels), stages, Classifier(classes))


_NORM = BatchNorm(1e-3)  # torchvision's
_BATCH_NORM = imagenet(3, _NORM, 2, dropout=0.2)
_PAPER = imagenet(5, "none", 3, dropout=0.4)
_CAFFE = imagenet(5, "none", 3, 0.4, [LocalResponseNorm(alpha=2e-5, k=1.0)])

PUBLISHED: dict[str, Network] = {
    "googlenet": _BATCH_NORM,
    "googlenet_aux": with_auxiliary(_BATCH_NORM, _NORM),
    "googlenet_v1": _PAPER,
    "googlenet_v1_aux": with_auxiliary(_PAPER, "none"),
    "googlenet_v1_lrn": _CAFFE,
    "googlenet_v1_lrn_aux": with_auxiliary(_CAFFE, "none"),
}

family = Family(
    "Szegedy et al. 2015, arXiv:1409.4842", googlenet_space, with_classes, notation, PUBLISHED, input=(3, 224, 224)
)
