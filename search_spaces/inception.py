"""Inception v2 to v4: modules of parallel paths whose large kernels are factorised into 3x3, 1xk and kx1.

Sources: v2 (BN-Inception), Ioffe and Szegedy 2015, arXiv:1502.03167, figure 5; v3, Szegedy et al. 2016, arXiv:1512.00567,
section 6; v4, Szegedy et al. 2017, arXiv:1602.07261, figures 3 to 9. The form is that of the released models: v2 as in Caffe,
with biases before batch norm and a last pooling that is a maximum (pretrained-models.pytorch); v3 as in torchvision; v4 as in
TensorFlow, by way of pretrained-models.pytorch. The epsilon of batch norms is that of these models.

`inception_v2_drawn` is v2 as table 1 and figures 5 to 7 of arXiv:1512.00567 draw it, which is not what was released: v3 as
released is the paper's supplementary `model.txt`. Widths inside modules are those of v3, as the paper draws none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nas.building import Node
from nas.family import Family
from nas.layers.conv import ConvNormAct
from nas.layers.norm import BatchNorm
from nas.layers.pool import Pool
from nas.notation import notation
from nas.space import one_of
from nas.topology.branches import Branches
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Auxiliary, Network, with_batch_norms, with_classes

Kernel = int | tuple[int, int]
Part = Node | tuple[Kernel, int] | tuple[Kernel, int, int]
"""A part of a path: a node, or a convolution's (kernel, width) or (kernel, width, stride)."""

ROW, COLUMN = (1, 7), (7, 1)

HALVE = Pool(3, 2, padding=0)
"""Halves the size as the parallel 3x3 convolutions without padding do."""

MEAN = Pool(3, 1, kind="mean")
PADDED_MEAN = Pool(3, 1, kind="mean", count_padding=True)

NORM = BatchNorm(1e-3)
"""The norm of v3 and v4 as released."""


def path(*parts: Part, bias: bool | None = None) -> Node:
    """Return nodes and convolutions in a row; `bias` decides whether the convolutions have a bias."""
    nodes = tuple(part if isinstance(part, Node) else _conv(*part, bias=bias) for part in parts)
    return Chain(nodes) if len(nodes) > 1 else nodes[0]


def _conv(kernel: Kernel, channels: int, stride: int = 1, *, bias: bool | None) -> ConvNormAct:
    return ConvNormAct(kernel, channels, stride, bias=bias)


def module(*paths: Sequence[Part], bias: bool | None = None) -> Branches:
    """Return parallel paths."""
    return Branches(tuple(path(*parts, bias=bias) for parts in paths))


def valid(channels: int, stride: int = 1) -> ConvNormAct:
    """Return a 3x3 convolution without padding."""
    return ConvNormAct(3, channels, stride, padding="valid")


def v2_module(widths: Sequence[int], pool: Pool = PADDED_MEAN) -> Branches:
    """Return a module of v2: 1x1, 3x3, twice 3x3 and pooling, with the widths in this order."""
    only, reduced, single, reduced_double, double, pooled = widths
    doubled = ((1, reduced_double), (3, double), (3, double))
    return module([(1, only)], [(1, reduced), (3, single)], doubled, [pool, (1, pooled)], bias=True)


def v2_halving(reduced: int, single: int, reduced_double: int, double: int) -> Branches:
    """Return the module of v2 that halves the size."""
    doubled = ((1, reduced_double), (3, double), (3, double, 2))
    return module([(1, reduced), (3, single, 2)], doubled, [Pool(3, 2, padding=0, ceil=True)], bias=True)


def v2() -> Network:
    """Return v2."""
    pool = Pool(3, 2, padding=0, ceil=True)
    stem = path((7, 64, 2), pool, (1, 64), (3, 192), pool, bias=True)
    # 1x1; 1x1, 3x3; 1x1, twice 3x3; 1x1 after the pooling
    stages = (
        *map(v2_module, ((64, 64, 64, 64, 96, 32), (64, 64, 96, 64, 96, 64))),
        v2_halving(128, 160, 64, 96),
        *map(v2_module, ((224, 64, 96, 96, 128, 128), (192, 96, 128, 96, 128, 128))),
        *map(v2_module, ((160, 128, 160, 128, 160, 128), (96, 128, 192, 160, 192, 128))),
        v2_halving(128, 192, 192, 256),
        v2_module((352, 192, 320, 160, 224, 128)),
        v2_module((352, 192, 320, 192, 224, 128), Pool(3, 1)),
    )
    return Network(stem, stages, Classifier(1000))


STEM = path(valid(32, 2), valid(32), (3, 64), HALVE, (1, 80), valid(192), HALVE)
"""The stem of v3."""

TO_17 = module([valid(384, 2)], [(1, 64), (3, 96), valid(96, 2)], [HALVE])
TO_8 = module([(1, 192), valid(320, 2)], [(1, 192), (ROW, 192), (COLUMN, 192), valid(192, 2)], [HALVE])
"""The modules of v3 that halve the size, to maps of 17x17 and 8x8."""


def v3_35(pooled: int) -> Branches:
    """Return the module for maps of 35x35 (figure 5); `pooled` is the width after the pooling."""
    return module([(1, 64)], [(1, 48), (5, 64)], [(1, 64), (3, 96), (3, 96)], [PADDED_MEAN, (1, pooled)])


def v3_17(width: int) -> Branches:
    """Return the module for maps of 17x17 (figure 6), of 1x7 and 7x1 convolutions; `width` is that of the inner ones."""
    once = ((1, width), (ROW, width), (COLUMN, 192))
    twice = ((1, width), (COLUMN, width), (ROW, width), (COLUMN, width), (ROW, 192))
    return module([(1, 192)], once, twice, [PADDED_MEAN, (1, 192)])


def outer(channels: int) -> Branches:
    """Return parallel 1x3 and 3x1 convolutions, which end paths of the last stage."""
    return module([((1, 3), channels)], [((3, 1), channels)])


def v3_8() -> Branches:
    """Return the module for maps of 8x8 (figure 7)."""
    return module([(1, 320)], [(1, 384), outer(384)], [(1, 448), (3, 384), outer(384)], [PADDED_MEAN, (1, 192)])


def v3() -> Network:
    """Return v3 (table 1)."""
    stages = (
        *map(v3_35, (32, 64, 64)),
        TO_17,
        *map(v3_17, (128, 160, 160, 192)),
        TO_8,
        Stage(v3_8(), 2),
    )
    return with_batch_norms(Network(STEM, stages, Classifier(1000, dropout=0.5)), NORM)


def v2_drawn() -> Network:
    """Return v2 as it is drawn: convolutions instead of the second pooling, and one module more for maps of 17x17."""
    stem = path(valid(32, 2), valid(32), (3, 64), HALVE, valid(80), valid(192, 2), (3, 288))
    stages = (
        Stage(module([(1, 64)], [(1, 48), (3, 64)], [(1, 64), (3, 96), (3, 96)], [PADDED_MEAN, (1, 64)]), 3),
        TO_17,
        *map(v3_17, (128, 160, 160, 160, 192)),
        TO_8,
        Stage(v3_8(), 2),
    )
    return Network(stem, stages, Classifier(1000))


def split_stem(first: Kernel = ROW, second: Kernel = COLUMN) -> Chain:
    """Return the stem of figure 3, except its last step: parallel pooling and convolutions."""
    split = module([(1, 64), valid(96)], [(1, 64), (first, 64), (second, 64), valid(96)])
    return Chain((valid(32, 2), valid(32), ConvNormAct(3, 64), module([HALVE], [valid(96, 2)]), split))


def v4() -> Network:
    """Return v4."""
    inner: list[Part] = [(1, 192), (COLUMN, 192), (ROW, 224), (COLUMN, 224), (ROW, 256)]
    last: list[Part] = [(1, 384), ((3, 1), 448), ((1, 3), 512), outer(256)]
    # Figures 4, 7, 5, 8 and 6 in turn: Inception-A, Reduction-A, Inception-B, Reduction-B, Inception-C.
    stages = (
        Stage(module([(1, 96)], [(1, 64), (3, 96)], [(1, 64), (3, 96), (3, 96)], [MEAN, (1, 96)]), 4),
        module([valid(384, 2)], [(1, 192), (3, 224), valid(256, 2)], [HALVE]),
        Stage(module([(1, 384)], [(1, 192), (ROW, 224), (COLUMN, 256)], inner, [MEAN, (1, 128)]), 7),
        module([(1, 192), valid(192, 2)], [(1, 256), (ROW, 256), (COLUMN, 320), valid(320, 2)], [HALVE]),
        Stage(module([(1, 256)], [(1, 384), outer(256)], last, [MEAN, (1, 256)]), 3),
    )
    stem = Chain((*split_stem().nodes, module([valid(192, 2)], [HALVE])))
    return with_batch_norms(Network(stem, stages, Classifier(1000, dropout=0.2)), NORM)


def path_of(*kernels: Kernel, ratio: float = 1.0) -> Node:
    """Return convolutions of these kernels in a row, each of the requested width times the ratio."""
    return path(*(ConvNormAct(kernel, ratio=ratio) for kernel in kernels))


def searched(name: str) -> Branches:
    """Return a module that divides its width among four paths; the factorisation of two, and the pooling, are open."""
    halves = Branches((ConvNormAct((1, 3)), ConvNormAct((3, 1))))
    factorised = [path_of(5), path_of(3, 3), path_of((1, 5), (5, 1)), path_of(ROW, COLUMN)]
    paths: tuple[Node, ...] = (
        Chain((ConvNormAct(1), one_of(f"{name}/small", [ConvNormAct(3), path_of((1, 3), (3, 1)), halves]))),
        Chain((ConvNormAct(1), one_of(f"{name}/large", factorised))),
        Chain((one_of(f"{name}/pool", [Pool(3, 1), MEAN]), ConvNormAct(1))),
    )
    return Branches((ConvNormAct(1), *paths))


def inception_space(channels: int = 32, classes: int = 10, depths: Sequence[int] = (1, 2, 3)) -> Network:
    """Return the space: depth, width and factorisation of three stages, and how the size halves between them, are open."""

    def stage(i: int) -> Stage:
        name = f"stage{i + 1}"
        widths = [channels * 2**i, channels * 3 * 2**i // 2, channels * 2 ** (i + 1)]
        return Stage(searched(name), one_of(f"{name}/depth", depths), one_of(f"{name}/width", widths))

    parallel = Branches((Chain((ConvNormAct(1), ConvNormAct(3, stride=2))), Pool(3, 2)))
    halving = [one_of(f"halving{i}", [Pool(3, 2), Pool(3, 2, kind="mean"), parallel]) for i in (1, 2)]
    stages = (stage(0), halving[0], stage(1), halving[1], stage(2))
    return Network(ConvNormAct(3, channels), stages, Classifier(classes))


PUBLISHED: dict[str, Network] = {
    "inception_v2": v2(),
    "inception_v2_drawn": v2_drawn(),
    "inception_v3": v3(),
    "inception_v3_aux": replace(v3(), auxiliary=Auxiliary(7, 1000)),
    "inception_v4": v4(),
}

SOURCES = {
    "inception_v2": "Ioffe and Szegedy 2015, arXiv:1502.03167",
    "inception_v4": "Szegedy et al. 2017, arXiv:1602.07261",
}

INPUTS = {name: (3, 299, 299) for name in PUBLISHED if name != "inception_v2"}

family = Family(
    "Szegedy et al. 2016, arXiv:1512.00567",
    inception_space,
    with_classes,
    notation,
    PUBLISHED,
    sources=SOURCES,
    input=(3, 224, 224),
    inputs=INPUTS,
)
