"""PolyNet: Inception-ResNet whose modules are polynomials: a body applied several times, or parallel bodies.

Source: Zhang et al. 2017, arXiv:1611.05725, section 3.1; the very deep PolyNet has 10, 20 and 10 modules, 2-way in the first
stage, alternating poly-3 and 2-way in the others. The form is that of the released model, by way of
pretrained-models.pytorch: the stem of Inception v4, all convolutions with batch norm, and scales that fall evenly from 1 to
0.7 over the modules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from nas.building import Node
from nas.family import Family
from nas.layers.activation import RELU
from nas.layers.conv import ConvNormAct
from nas.layers.pool import Pool
from nas.notation import notation
from nas.space import one_of
from nas.topology.branches import Branches
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes
from nas.topology.polynomial import Polynomial
from search_spaces.inception import COLUMN, HALVE, ROW, Part, module, path_of, split_stem, valid


def body(*paths: Sequence[Part]) -> Chain:
    """Return parallel paths, projected to the width of the input."""
    return Chain((module(*paths), ConvNormAct(1, activation=None)))


BODY_A = body([(1, 32), (3, 48), (3, 64)], [(1, 32), (3, 32)], [(1, 32)])
BODY_B = body([(1, 128), (ROW, 160), (COLUMN, 192)], [(1, 192)])
BODY_C = body([(1, 192), ((1, 3), 224), ((3, 1), 256)], [(1, 192)])


def two_way(body: Node, scale: float) -> Polynomial:
    """Return I + F + G."""
    return Polynomial(body, 2, "way", scale, RELU)


def poly_3(body: Node, scale: float) -> Polynomial:
    """Return I + F + F² + F³."""
    return Polynomial(body, 3, "poly", scale, RELU)


def modules() -> Iterator[Polynomial]:
    """Yield the 40 modules of the three stages."""
    scales = (round(1 - i / 130, 6) for i in range(40))  # from 1 to 0.7
    yield from (two_way(BODY_A, next(scales)) for _ in range(10))
    for stage, pairs in ((BODY_B, 10), (BODY_C, 5)):
        for _ in range(pairs):
            yield poly_3(stage, next(scales))
            yield two_way(stage, next(scales))


def polynet() -> Network:
    """Return the very deep PolyNet."""
    scaled = tuple(modules())
    halving_a = module([(1, 256), (3, 256), valid(384, 2)], [valid(384, 2)], [HALVE])
    halving_b = module(
        [(1, 256), (3, 256), valid(256, 2)], [(1, 256), valid(256, 2)], [(1, 256), valid(384, 2)], [HALVE]
    )
    stages = (*scaled[:10], halving_a, *scaled[10:30], halving_b, *scaled[30:])
    stem = Chain((*split_stem(COLUMN, ROW).nodes, module([HALVE], [valid(192, 2)])))
    return Network(stem, stages, Classifier(1000, dropout=0.2))


def searched(name: str, scale: float) -> Polynomial:
    """Return a module with open body, order and kind of polynomial."""
    ratio = one_of(f"{name}/ratio", [0.25, 0.5])
    kernels = [path_of(3, ratio=ratio), path_of((1, 3), (3, 1), ratio=ratio), path_of(ROW, COLUMN, ratio=ratio)]
    inner = ConvNormAct(1, ratio=ratio)
    paths = Branches((inner, Chain((inner, one_of(f"{name}/kernels", kernels)))))
    kinds: list[Literal["poly", "mpoly", "way"]] = ["poly", "mpoly", "way"]
    body = Chain((paths, ConvNormAct(1, activation=None)))
    return Polynomial(body, one_of(f"{name}/order", [2, 3]), one_of(f"{name}/kind", kinds), scale, RELU)


def polynet_space(
    channels: int = 32, classes: int = 10, depths: Sequence[int] = (1, 2, 3), scale: float = 0.3
) -> Network:
    """Return the space: depth and module of three stages, and the width added where the size halves, are open."""

    def stage(i: int) -> Stage:
        return Stage(searched(f"stage{i + 1}", scale), one_of(f"stage{i + 1}/depth", depths))

    def halving(i: int) -> Branches:
        added = one_of(f"halving{i}/width", [channels * i // 2, channels * i, channels * i * 3 // 2])
        return Branches((ConvNormAct(3, added, 2), Pool(3, 2)))

    stages = (stage(0), halving(1), stage(1), halving(2), stage(2))
    return Network(ConvNormAct(3, channels), stages, Classifier(classes))


PUBLISHED: dict[str, Network] = {"polynet": polynet()}

INPUTS = {"polynet": (3, 331, 331)}

family = Family(
    "Zhang et al. 2017, arXiv:1611.05725",
    polynet_space,
    with_classes,
    notation,
    PUBLISHED,
    input=(3, 224, 224),
    inputs=INPUTS,
)
