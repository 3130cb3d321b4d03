"""Genotypes: the cells of DARTS as printed by its repository and derived ones, or the same fields as JSON.

Source: quark0/darts, cnn/genotypes.py. khanrc/pt.darts has a separate list of edges per node; D-X-Y/AutoDL-Projects (GDAS)
has a weight as a third value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.family import StackedNetwork
from nas.foreign import Foreign
from nas.literal import LiteralCall
from search_spaces.darts import FIELDS, from_genotype


def recognises(content: Any) -> bool:
    """Whether a content is a genotype: a call of that name, or a mapping with one of its fields."""
    if isinstance(content, LiteralCall):
        return "genotype" in content.name.lower() or bool(content.fields.keys() & set(FIELDS))
    return isinstance(content, Mapping) and bool(content.keys() & set(FIELDS))


def read(content: Any) -> StackedNetwork:
    """Return the network of a genotype."""
    return StackedNetwork("darts", from_genotype(content))


foreign = Foreign("quark0/darts, khanrc/pt.darts, D-X-Y/AutoDL-Projects", recognises, read)
