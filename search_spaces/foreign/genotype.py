"""Genotypes: the cells of DARTS as its repository and those that follow it print them, or the same fields as JSON.

Source: quark0/darts, cnn/genotypes.py; with the edges of each node in a list of their own khanrc/pt.darts, and with a weight as
a third value D-X-Y/AutoDL-Projects (GDAS).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.family import StackedNetwork
from nas.foreign import Foreign
from nas.literal import Call
from search_spaces.darts import FIELDS, from_genotype


def recognises(content: Any) -> bool:
    """Whether a content is a genotype: a call of that name, or a mapping with one of its fields."""
    if isinstance(content, Call):
        return "genotype" in content.name.lower() or bool(content.fields.keys() & set(FIELDS))
    return isinstance(content, Mapping) and bool(content.keys() & set(FIELDS))


def read(content: Any) -> StackedNetwork:
    """Read a genotype."""
    return StackedNetwork("darts", from_genotype(content))


foreign = Foreign("quark0/darts, khanrc/pt.darts, D-X-Y/AutoDL-Projects", recognises, read)
