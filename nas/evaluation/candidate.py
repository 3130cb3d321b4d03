"""The joint search of architectures and of the recipe that trains them."""

from __future__ import annotations

from typing import Any

from nas.records import record


@record
class Candidate:
    """An architecture with the recipe that trains it; with open choices in either, the space of a joint search."""

    architecture: Any
    recipe: Any


def architecture_of(tree: Any) -> Any:
    """Return the architecture of a candidate, or of the space of candidates; any other tree as it is."""
    return tree.architecture if isinstance(tree, Candidate) else tree
