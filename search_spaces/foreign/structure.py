"""Structures: cells of NAS-Bench-201 as lists of edges for each node, `[[('nor_conv_3x3', 0)], [('none', 0), ...], ...]`.

Source: D-X-Y/AutoDL-Projects, the genotypes of its Structure. Its text form, `|nor_conv_3x3~0|+...`, is read by the family.
"""

from __future__ import annotations

from typing import Any

from nas.family import StackedNetwork
from nas.fields import shown
from nas.foreign import Foreign
from nas.literal import LiteralCall
from nas.records import RecordError
from search_spaces.nasbench201 import from_edges


def recognises(content: Any) -> bool:
    """Whether a content is a list of nodes, each a list of pairs of an operation and a state."""
    nodes = _nodes(content)
    return isinstance(nodes, list | tuple) and bool(nodes) and all(map(_is_node, nodes))


def _nodes(content: Any) -> Any:
    """Return the nodes, which may be the argument of a call, as in `Structure([...])`."""
    is_call = isinstance(content, LiteralCall) and len(content.values) == 1 and not content.fields
    return content.values[0] if is_call else content


def _is_node(node: Any) -> bool:
    pairs = node if isinstance(node, list | tuple) else ()
    return bool(pairs) and all(isinstance(pair, list | tuple) and len(pair) in (2, 3) for pair in pairs)


def read(content: Any) -> StackedNetwork:
    """Return the network of a cell of three nodes."""
    nodes = [[edge[:2] for edge in edges] for edges in _nodes(content)]
    try:
        return StackedNetwork("nasbench201", from_edges(nodes))
    except RecordError as error:
        raise RecordError(f"{shown(nodes)} {error}") from None


foreign = Foreign("D-X-Y/AutoDL-Projects", recognises, read)
