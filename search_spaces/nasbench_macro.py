"""NAS-Bench-Macro: a chain of eight blocks in three stages, three options each; 6,561 networks, all trained and published.

Source: Su et al. 2021, arXiv:2103.11922, section 5.1 and its released table; widths are those that give its parameters and
multiply-adds exactly.
"""

from __future__ import annotations

import re

from nas.building import Node
from nas.family import Family, OtherForm
from nas.fields import shown
from nas.layers.activation import Activation
from nas.layers.conv import ConvNormAct
from nas.operations.mbconv import MBConv
from nas.operations.skip import Skip
from nas.records import Positive, RecordError
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes

BLOCKS: tuple[Node, ...] = (Skip("projection"), MBConv(3, 3.0), MBConv(5, 6.0))
"""In the benchmark's order, so that a decision is a digit of its notation. Identity is a projection where the shape changes."""

LENGTHS = (2, 3, 3)
"""The numbers of blocks of the three stages; the first block of each has the stride and the width."""

WIDTHS = (64, 128, 256)


def nasbench_macro(classes: Positive = 10) -> Network:
    """Return the space: each of eight blocks is open."""
    names = iter(range(1, 1 + sum(LENGTHS)))
    return _network([[one_of(f"block{next(names)}", BLOCKS) for _ in range(length)] for length in LENGTHS], classes)


def _network(stages: list[list[Node]], classes: int) -> Network:
    relu6 = Activation("relu6")
    made = tuple(
        Stage(Chain(tuple(blocks)), channels=width, stride=2) for blocks, width in zip(stages, WIDTHS, strict=True)
    )
    stem = ConvNormAct(3, 32, activation=relu6)
    return Network(stem, (*made, ConvNormAct(1, 1280, activation=relu6)), Classifier(classes))


def from_digits(text: str) -> Network:
    """Return the network of eight digits, such as 22212202 or 22-212-202: 0 identity, 1 MBConv 3x3 of expansion 3, 2 5x5 of 6.

    Raises OtherForm where the text is anything else.
    """
    if not re.fullmatch(r"[012]{2}(-?)[012]{3}\1[012]{3}", text.strip()):
        raise OtherForm(
            f"{shown(text)} is no network of NAS-Bench-Macro: write eight digits of 0, 1 and 2, as 22-212-202"
        )
    digits = iter(text.strip().replace("-", ""))
    return _network([[BLOCKS[int(next(digits))] for _ in range(length)] for length in LENGTHS], 10)


def to_digits(network: Network) -> str:
    """Return a network in the benchmark's notation, as 22212202. Raises RecordError where it is of another space."""
    return "".join(_digits(network))


def describe(network: Network) -> str:
    """Return the digits of a network by stage, as 22-212-202, which no other space writes."""
    return "-".join(_digits(network))


def _digits(network: Network) -> list[str]:
    """Return the digits of each stage."""
    chains = [stage.body for stage in network.stages[:-1] if isinstance(stage, Stage)]
    found = [
        "".join(str(BLOCKS.index(node)) if node in BLOCKS else "?" for node in chain.nodes)
        for chain in chains
        if isinstance(chain, Chain)
    ]
    if tuple(map(len, found)) != LENGTHS or "?" in "".join(found):
        raise RecordError("the network is none of NAS-Bench-Macro: its stages have other blocks")
    return found


def canonical(network: Network) -> str:
    """Return a text that is the same for equal networks: 3,969 of the 6,561 differ.

    After the first block of a stage an identity changes nothing, so it stands before or after another block alike.
    """
    return " ".join(stage[0] + "".join(sorted(stage[1:], key=lambda digit: digit == "0")) for stage in _digits(network))


family = Family(
    source="Su et al. 2021, arXiv:2103.11922",
    space=nasbench_macro,
    network=with_classes,
    describe=describe,
    parse=from_digits,
    usual=to_digits,
    canonical=canonical,
    published={"best": from_digits("22212202"), "smallest": from_digits("00000000")},
)
