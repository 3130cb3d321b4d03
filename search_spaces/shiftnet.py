"""ShiftNet: shifts, which move groups of channels and have no weights, between 1x1 convolutions, instead of larger kernels.

Source: Wu et al. 2018, arXiv:1711.08141 (section 3.2, figure 3, and the table of ShiftNet-A). The released code has the
paper's CIFAR networks only. A module is pre-activated: batch norm, ReLU, 1x1 convolution, shift, batch norm, ReLU, 1x1
convolution. Where the size halves, the pooled input is appended, as in ShuffleNet. `shiftnet_b` halves all widths of
`shiftnet_a`. Learned shifts, also in the space: Jeon and Kim 2018, arXiv:1806.07370, whose networks are `as_resnet_w*`, of that
width in the first stage: pre-activated blocks of a 1x1 convolution, a learned shift and a 1x1 convolution that has the stride,
as in the released Caffe models.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.family import Family
from nas.layers.conv import ConvNormAct, Normalize, bare
from nas.layers.shuffle import Shift
from nas.notation import notation
from nas.operations.skip import Skip
from nas.space import one_of
from nas.topology.appended import Appended
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes
from nas.topology.residual import Residual


def module(expansion: float, shift: Shift) -> Chain:
    """Return a 1x1 convolution to `expansion` times the width, a shift, and a 1x1 convolution that has the stride."""
    return Chain((ConvNormAct(1, ratio=expansion, order="pre"), shift, ConvNormAct(1, order="pre")), strided=2)


def stage(modules: tuple[Chain, Chain], more: int, width: int) -> Chain:
    """Return a module that halves the size, and `more` modules that keep the shape."""
    first, others = modules
    return Chain((Stage(Appended(first), 1, width, 2), Stage(Residual(others), more, width)))


def shiftnet(channels: int) -> Network:
    """Return ShiftNet-A with `channels` channels in its stem; all other widths are multiples of them."""
    # (expansion of the first module, of the others), kernel, number of the others
    rows = (((4, 4), 5, 4), ((4, 3), 5, 5), ((3, 2), 3, 6), ((2, 1), 3, 2))
    stages = (
        stage((module(first, Shift(kernel)), module(others, Shift(kernel))), more, channels * 2 ** (i + 1))
        for i, ((first, others), kernel, more) in enumerate(rows)
    )
    return Network(bare(7, channels, 2), tuple(stages), Classifier(1000, norm=True, relu=True))


def as_resnet(width: int) -> Network:
    """Return AS-ResNet: a block of learned shifts behind the stem, and in four stages."""
    body = Chain((bare(1), Normalize(), Shift(learned=True), bare(1)), strided=3)
    block = Residual(body, Skip("bare"), opening=Normalize())
    stages = (Stage(block, depth, width * 2**i, 2) for i, depth in enumerate((3, 4, 6, 3)))
    return Network(bare(3, width, 2), (Stage(block, 1, width), *stages), Classifier(1000, norm=True, relu=True))


def shiftnet_space(
    channels: int = 16, classes: int = 10, kernels: Sequence[int] = (3, 5, 7), depths: Sequence[int] = (1, 2, 3)
) -> Network:
    """Return the space: in each of three stages shift, expansion, width and depth are open.

    Each stage halves the size and is wider than the one before. `depths` count the modules after a stage's first.
    """

    def opened(i: int) -> Chain:
        name, wide = f"stage{i + 1}", channels * 2 ** (i + 1)
        shift = one_of(f"{name}/shift", [Shift(kernel, learned) for kernel in kernels for learned in (False, True)])
        body = module(one_of(f"{name}/expansion", [1.0, 2.0, 3.0, 4.0]), shift)
        width = one_of(f"{name}/width", [wide, 5 * wide // 4, 3 * wide // 2])
        return stage((body, body), one_of(f"{name}/depth", depths), width)

    return Network(bare(3, channels), tuple(map(opened, range(3))), Classifier(classes, norm=True, relu=True))


PUBLISHED: dict[str, Network] = {
    "shiftnet_a": shiftnet(32),
    "shiftnet_b": shiftnet(16),
    **{f"as_resnet_w{width}": as_resnet(width) for width in (32, 50, 68)},
}

SOURCES = {name: "Jeon and Kim 2018, arXiv:1806.07370" for name in PUBLISHED if name.startswith("as_resnet")}

family = Family(
    "Wu et al. 2018, arXiv:1711.08141",
    shiftnet_space,
    with_classes,
    notation,
    PUBLISHED,
    sources=SOURCES,
    input=(3, 224, 224),
)
