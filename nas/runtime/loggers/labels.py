"""Labels: the decisions that made an architecture, in words, for whoever sorts and compares them elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, final

from nas.choice import Choice, choices, is_open
from nas.figures.shares import labels_of
from nas.notation import notation
from nas.space import decisions

LETTERS = 80
"""How long a label may be."""

WAYS = 256
"""A decision that can be taken in more ways is not listed way by way."""

_INNER = re.compile(r"\{([^{}|]*?)(?: \d+)?: [^{}]*\}")


@final
class DecisionLabels:
    """The choices of a space, with a label for each way to decide them."""

    def __init__(self, space: Any) -> None:
        self.space = space
        self.ways = {name: _ways(each) for name, each in choices(space).items() if 1 < each.arity <= WAYS}

    def of(self, architecture: Any) -> Mapping[str, str]:
        """Return what was decided, by the names of the choices; those that were never open are left out."""
        if not self.ways:
            return {}
        taken = decisions(self.space, architecture)
        return {name: self.ways[name][taken[name]] for name in taken if name in self.ways}


def _ways(choice: Choice) -> tuple[str, ...]:
    """Return a label for each decision, no two alike."""
    options = [_label(*each) for each in zip(choice.options, labels_of(choice), strict=True)]
    labels = [" + ".join(options[i] for i in choice.picked(way)) or "none" for way in range(choice.arity)]
    cut = [label if len(label) <= LETTERS else f"{label[: LETTERS - 1]}…" for label in labels]
    return tuple(f"{label} ({way})" if cut.count(label) > 1 else label for way, label in enumerate(cut))


def _label(option: Any, short: str) -> str:
    """Return what an option is called: its notation or, where choices inside make that long, its structure and their names."""
    if isinstance(option, str):
        return option
    text = short if is_open(option) else notation(option)
    while text != (text := _INNER.sub(r"<\1>", text)):
        pass
    return text
