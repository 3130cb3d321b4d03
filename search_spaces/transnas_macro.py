"""TransNAS-Bench-101, macro: four to six modules, some of which halve the map or double its width; 3,256 networks, all published.

Source: Duan et al. 2021, arXiv:2105.11871, section 3; the networks as in the released code (yawen-d/TransNASBench), for the tasks
of classification. That code has the encoding, but not its limits: one to four modules that halve the map, and one to three that
double the width, are those of NASLib, and give the published number of networks. The parameters are those of the released
modules; we found none in print to compare them with.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nas.building import Node
from nas.family import Family, OtherForm
from nas.fields import shown
from nas.operations.conv import Conv
from nas.operations.skip import Skip
from nas.records import Positive, RecordError
from nas.space import one_of, some_of
from nas.topology.backbone import Backbone
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes
from nas.topology.residual import Residual

CHANNELS = 64

MODULES = (4, 5, 6)
"""The numbers of modules that a network may have."""

HALVED, DOUBLED = (1, 2, 3, 4), (1, 2, 3)
"""The numbers of modules that may halve the map, and that may double the width."""

STEM = Chain((Stage(Conv(3, "none"), 1, CHANNELS // 2, 2), Stage(Conv(3), 1, CHANNELS, 2)))
"""Two strided convolutions, ReLU between them: the map has a quarter of the image's size."""

MODULE = Stage(Residual(Chain((Conv(3), Conv(3))), Skip("projection")), 2)
"""Two residual blocks; the first has the stride and the width."""


def transnas_macro(classes: Positive = 75) -> Network:
    """Return the space: the number of modules, and which of them halve the map or double its width, are open."""

    def some(what: str, modules: int, numbers: Sequence[int]) -> tuple[int, ...]:
        options = [some_of(f"{modules}/{what}/{number}", number, range(modules)) for number in numbers]
        return one_of(f"{modules}/{what}", options)

    backbones = [Backbone(MODULE, n, some("halved", n, HALVED), some("doubled", n, DOUBLED)) for n in MODULES]
    return network(one_of("modules", backbones), classes)


def network(backbone: Node, classes: Positive = 75) -> Network:
    """Return the classifier of a backbone, that of this space or of the micro space."""
    return Network(STEM, (backbone,), Classifier(classes))


def from_string(text: str) -> Network:
    """Return the network of a text such as 64-1234-basic: a digit for each module, from 1 to 4.

    1 keeps size and width, 2 doubles the width, 3 halves the size, 4 does both. Raises OtherForm where the text is not in this
    notation, and RecordError where the space has no such network.
    """
    match = re.fullmatch(rf"{CHANNELS}-(\d+)-basic", text.strip())
    if match is None:
        raise OtherForm(f"{shown(text)} is no macro network of TransNAS-Bench-101: write {CHANNELS}-1234-basic")
    halved = tuple(i for i, kind in enumerate(match[1]) if kind in "34")
    doubled = tuple(i for i, kind in enumerate(match[1]) if kind in "24")
    is_known = not set(match[1]) - set("1234") and len(match[1]) in MODULES
    if not is_known or len(halved) not in HALVED or len(doubled) not in DOUBLED:
        raise RecordError(
            f"{shown(text)} is no macro network of TransNAS-Bench-101: give four to six digits from 1 to 4, of which one to four "
            "are 3 or 4, and one to three are 2 or 4"
        )
    return network(Backbone(MODULE, len(match[1]), halved, doubled))


def to_string(network: Network) -> str:
    """Return a network in the benchmark's notation, as 64-1234-basic. Raises RecordError where it is of another space."""
    backbone = network.stages[0] if network.stages else None
    if not isinstance(backbone, Backbone) or backbone.module != MODULE or network.stem != STEM:
        raise RecordError("the network is no macro network of TransNAS-Bench-101: its modules are others")
    kinds = (1 + (i in backbone.doubled) + 2 * (i in backbone.halved) for i in range(backbone.modules))
    return f"{CHANNELS}-{''.join(map(str, kinds))}-basic"


family = Family(
    source="Duan et al. 2021, arXiv:2105.11871",
    space=transnas_macro,
    network=with_classes,
    describe=to_string,
    parse=from_string,
    published={"example": from_string("64-1234-basic")},
    input=(3, 256, 256),
)
