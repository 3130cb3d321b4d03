"""The toy space of Real et al. 2019, arXiv:1802.01548, appendix B: a string of bits; no network, for studying strategies."""

from __future__ import annotations

import re

from nas.building import BuildError, Node
from nas.family import Family, OtherForm
from nas.fields import shown
from nas.records import Positive, record
from nas.space import one_of


@record
class Bits:
    """A string of zeros and ones."""

    values: tuple[int, ...]


def bits(length: Positive = 100) -> Bits:
    """Return the space of all strings of a length."""
    return Bits(tuple(one_of(f"{i:03}", (0, 1)) for i in range(length)))


def network(string: Bits) -> Node:
    """Raise BuildError: a string of bits is not a network."""
    raise BuildError("a string of bits is not a network: score it with the evaluator NoisyBits")


def describe(string: Bits) -> str:
    """Return a string as zeros and ones."""
    return "".join(map(str, string.values))


def parse(text: str) -> Bits:
    """Return the string of a text of zeros and ones. Raises OtherForm for other texts."""
    if not re.fullmatch(r"[01]+", text.strip()):
        raise OtherForm(f"{shown(text)} is not a string of zeros and ones")
    return Bits(tuple(map(int, text.strip())))


family = Family("Real et al. 2019, arXiv:1802.01548, appendix B", bits, network, describe, parse=parse)
