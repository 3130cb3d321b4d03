"""Labels: the decisions of an architecture in words, to sort and compare by in a tracker."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, final

from nas.choice import Choice, choices, is_open
from nas.labels import labels_of
from nas.notation import notation
from nas.space import decisions

LETTERS = 80
"""The maximum length of a label."""

WAYS = 256
"""The maximum arity of a choice with labels; choices with more are left out."""

# an innermost choice in notation, as {kernel: 3 | 5} or {picks 2: a | b}; the group is its name
_INNER = re.compile(r"\{([^{}|]*?)(?: \d+)?: [^{}]*\}")


@final
class DecisionLabels:
    """The choices of a space, with a label for each decision."""

    def __init__(self, space: Any) -> None:
        self.space = space
        self.ways = {name: _ways(each) for name, each in choices(space).items() if 1 < each.arity <= WAYS}

    def of(self, architecture: Any) -> Mapping[str, str]:
        """Return the decisions of an architecture, as labels by the name of the choice, without choices that were never open."""
        if not self.ways:
            return {}
        taken = decisions(self.space, architecture)
        return {name: self.ways[name][taken[name]] for name in taken if name in self.ways}


def _ways(choice: Choice) -> tuple[str, ...]:
    """Return a label for each decision, all different."""
    options = [_label(*each) for each in zip(choice.options, labels_of(choice), strict=True)]
    labels = [" + ".join(options[i] for i in choice.picked(way)) or "none" for way in range(choice.arity)]
    cut = [label if len(label) <= LETTERS else f"{label[: LETTERS - 1]}…" for label in labels]
    return tuple(f"{label} ({way})" if cut.count(label) > 1 else label for way, label in enumerate(cut))


def _label(option: Any, short: str) -> str:
    """Return the label of an option: its notation or, where inner choices make that long, its structure with their names."""
    if isinstance(option, str):
        return option
    text = short if is_open(option) else notation(option)
    # from the inside out: each replacement makes the choice around it an innermost one
    while text != (text := _INNER.sub(r"<\1>", text)):
        pass
    return text
