"""Inception-ResNet: modules of parallel paths whose output is scaled and added to their input.

Source: Szegedy et al. 2017, arXiv:1602.07261, section 3.2, figures 10 to 14 (version 1) and 15 to 19 (version 2). The form of
version 2 is that of the model released for TensorFlow, by way of pretrained-models.pytorch: the stem is that of Inception v3 and
a module without a sum follows it, the last convolution of a residual module has a bias and no norm, scales are 0.17, 0.1 and
0.2, and the last module has neither scale nor activation. Version 1, which was not released, has the same scales and biases;
its last module is like the others. The epsilon of version 2's batch norms is that of the released model.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.activation import RELU
from nas.layers.conv import ConvNormAct
from nas.layers.pool import Pool
from nas.notation import notation
from nas.operations.skip import Skip
from nas.space import one_of
from nas.topology.branches import Branches
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_batch_norms, with_classes
from nas.topology.residual import Residual
from search_spaces.inception import COLUMN, HALVE, MEAN, NORM, ROW, STEM, Part, module, path, path_of, valid


def residual(*paths: Sequence[Part], scale: float, activation: Node | None = RELU) -> Residual:
    """Return parallel paths, projected to the width of the input, scaled, and added to it."""
    project = ConvNormAct(1, norm="none", activation=None)
    return Residual(Chain((module(*paths), project)), Skip(), activation, scale)


def version_1() -> Network:
    """Return version 1."""
    stem = path(valid(32, 2), valid(32), (3, 64), HALVE, (1, 80), valid(192), valid(256, 2))
    stages = (
        Stage(residual([(1, 32)], [(1, 32), (3, 32)], [(1, 32), (3, 32), (3, 32)], scale=0.17), 5),
        module([valid(384, 2)], [(1, 192), (3, 192), valid(256, 2)], [HALVE]),
        Stage(residual([(1, 128)], [(1, 128), (ROW, 128), (COLUMN, 128)], scale=0.1), 10),
        module([(1, 256), valid(384, 2)], [(1, 256), valid(256, 2)], [(1, 256), (3, 256), valid(256, 2)], [HALVE]),
        Stage(residual([(1, 192)], [(1, 192), ((1, 3), 192), ((3, 1), 192)], scale=0.2), 5),
    )
    return Network(stem, stages, Classifier(1000, dropout=0.2))


def version_2() -> Network:
    """Return version 2."""
    last: list[list[Part]] = [[(1, 192)], [(1, 192), ((1, 3), 224), ((3, 1), 256)]]
    # The first module has no sum; then the residual modules for maps of 35x35, 17x17 and 8x8, with reductions between them.
    stages = (
        module([(1, 96)], [(1, 48), (5, 64)], [(1, 64), (3, 96), (3, 96)], [MEAN, (1, 64)]),
        Stage(residual([(1, 32)], [(1, 32), (3, 32)], [(1, 32), (3, 48), (3, 64)], scale=0.17), 10),
        module([valid(384, 2)], [(1, 256), (3, 256), valid(384, 2)], [HALVE]),
        Stage(residual([(1, 192)], [(1, 128), (ROW, 160), (COLUMN, 192)], scale=0.1), 20),
        module([(1, 256), valid(384, 2)], [(1, 256), valid(288, 2)], [(1, 256), (3, 288), valid(320, 2)], [HALVE]),
        Stage(residual(*last, scale=0.2), 9),
        residual(*last, scale=1.0, activation=None),
        ConvNormAct(1, 1536),
    )
    return with_batch_norms(Network(STEM, stages, Classifier(1000, dropout=0.2)), NORM)


def searched(name: str) -> Residual:
    """Return a residual module of two paths with open width, factorisation and scale."""
    ratio = one_of(f"{name}/ratio", [0.25, 0.5, 1.0])
    chains = [path_of(3, ratio=ratio), path_of(3, 3, ratio=ratio), path_of((1, 5), (5, 1), ratio=ratio)]
    chains.append(path_of(ROW, COLUMN, ratio=ratio))
    inner = ConvNormAct(1, ratio=ratio)
    paths = Branches((inner, Chain((inner, one_of(f"{name}/kernels", chains)))))
    project = ConvNormAct(1, norm="none", activation=None)
    return Residual(Chain((paths, project)), Skip(), RELU, one_of(f"{name}/scale", [0.1, 0.3, 1.0]))


def inception_resnet_space(channels: int = 32, classes: int = 10, depths: Sequence[int] = (1, 2, 3, 4)) -> Network:
    """Return the space: depth and module of three stages, and the width added where the size halves, are open."""

    def stage(i: int) -> Stage:
        return Stage(searched(f"stage{i + 1}"), one_of(f"stage{i + 1}/depth", depths))

    def halving(i: int) -> Branches:
        added = one_of(f"halving{i}/width", [channels * i // 2, channels * i, channels * i * 3 // 2])
        return Branches((ConvNormAct(3, added, 2), Pool(3, 2)))

    stages = (stage(0), halving(1), stage(1), halving(2), stage(2))
    return Network(ConvNormAct(3, channels), stages, Classifier(classes))


PUBLISHED: dict[str, Network] = {"inception_resnet_v1": version_1(), "inception_resnet_v2": version_2()}

INPUTS = dict.fromkeys(PUBLISHED, (3, 299, 299))

family = Family(
    "Szegedy et al. 2017, arXiv:1602.07261",
    inception_resnet_space,
    with_classes,
    notation,
    PUBLISHED,
    input=(3, 224, 224),
    inputs=INPUTS,
)
