"""SqueezeNet: fire modules, whose 1x1 convolution narrows the input of parallel 1x1 and 3x3 convolutions.

Source: Iandola et al. 2016, arXiv:1602.07360, table 1 and sections 5 (the questions of the space) and 6 (bypass); 1.1: the
authors' repository. Networks as in torchvision and the released Caffe models: no norms, and poolings whose last window may
overhang the border. The first convolution has no padding: images of 224 give a map of 109 (table 1 has 111). With the complex
bypass (figure 2, right) the modules that change the width add their input after a 1x1 convolution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nas.building import Node
from nas.family import Family
from nas.layers.conv import ConvNormAct
from nas.layers.pool import Pool
from nas.notation import notation
from nas.operations.skip import Skip
from nas.space import one_of
from nas.topology.branches import Branches
from nas.topology.chain import Chain, Stage
from nas.topology.heads import ConvClassifier
from nas.topology.network import Network, with_classes
from nas.topology.residual import Residual

POOL = Pool(3, 2, padding=0, ceil=True)


def expand(share: float = 0.5) -> Branches:
    """Return parallel 1x1 and 3x3 convolutions; the 3x3 have that share of the width."""
    # `Branches` requests half of the width of each path, hence the factor 2.
    return Branches(tuple(ConvNormAct(k, ratio=2 * part, norm="none") for k, part in ((1, 1 - share), (3, share))))


def fire(squeeze: float = 0.125, expansion: Node | None = None) -> Chain:
    """Return the module: a 1x1 convolution to a share of the width, and the expansion to all of it."""
    return Chain((ConvNormAct(1, ratio=squeeze, norm="none"), expansion or expand()))


def squeezenet(stem: ConvNormAct, stages: Sequence[Sequence[int]], bypass: Mapping[int, Node] | None = None) -> Network:
    """Stack a fire module for each width, a pooling before each stage; `bypass` has the shortcuts by the module's number."""
    shortcuts = bypass or {}
    nodes: list[Node] = []
    # The paper numbers the first convolution 1, so the first fire module is fire2.
    number = 1
    for i, widths in enumerate(stages):
        nodes += [POOL] if i else []
        for width in widths:
            number += 1
            module = Residual(fire(), shortcuts[number]) if number in shortcuts else fire()
            nodes.append(Stage(module, 1, width))
    return Network(Chain((stem, POOL)), tuple(nodes), ConvClassifier(1000))


def stem(kernel: int, channels: int) -> ConvNormAct:
    """Return the first convolution, which halves the size and has no padding."""
    return ConvNormAct(kernel, channels, 2, padding="valid", norm="none")


def squeezenet_space(channels: int = 32, classes: int = 10, depths: Sequence[int] = (1, 2, 3)) -> Network:
    """Return the space: in each of three stages squeeze ratio, share of 3x3, bypass, depth and width are open.

    A bypass is a 1x1 convolution where the width changes, as the paper's complex one, but without its bias.
    """

    def stage(i: int) -> Stage:
        name, width = f"stage{i + 1}", channels * (i + 1)
        expansion = one_of(f"{name}/share", [expand(share) for share in (0.25, 0.5, 0.75)])
        module = fire(one_of(f"{name}/squeeze", [0.125, 0.25, 0.5, 0.75]), expansion)
        block: Node = one_of(f"{name}/bypass", [module, Residual(module, Skip("bare"))])
        return Stage(block, one_of(f"{name}/depth", depths), one_of(f"{name}/width", [width, width * 2]))

    first, *others = map(stage, range(3))
    nodes = [first, *(node for other in others for node in (Pool(3), other))]
    return Network(ConvNormAct(3, channels), tuple(nodes), ConvClassifier(classes))


# widths of the fire modules of each stage: both expansions together (table 1)
_STAGES = (128, 128, 256), (256, 384, 384, 512), (512,)

# shortcuts of the fire modules by their number (figure 2)
_SIMPLE: dict[int, Node] = dict.fromkeys((3, 5, 7, 9), Skip())
_COMPLEX = _SIMPLE | dict.fromkeys((2, 4, 6, 8), ConvNormAct(1, norm="none", activation=None))

PUBLISHED: dict[str, Network] = {
    "squeezenet1_0": squeezenet(stem(7, 96), _STAGES),
    "squeezenet1_1": squeezenet(stem(3, 64), ((128, 128), (256, 256), (384, 384, 512, 512))),
    "squeezenet1_0_bypass": squeezenet(stem(7, 96), _STAGES, _SIMPLE),
    "squeezenet1_0_complex_bypass": squeezenet(stem(7, 96), _STAGES, _COMPLEX),
}

family = Family(
    "Iandola et al. 2016, arXiv:1602.07360", squeezenet_space, with_classes, notation, PUBLISHED, input=(3, 224, 224)
)
