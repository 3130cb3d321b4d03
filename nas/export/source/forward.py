"""Forward: what a class of the written file computes, as lines of code."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

IMPORTS = {
    "Path": "from pathlib import Path",
    "Tensor": "from torch import Tensor",
    "json": "import json",
    "nn": "from torch import nn",
    "sys": "import sys",
    "torch": "import torch",
}
"""The lines by which every file has a name."""

TAKEN = frozenset((*IMPORTS, "DTYPES", "load", "network", "read_tensors", *dir(builtins)))
"""The names that every file has, and Python's own."""


class NotExpressible(Exception):
    """Says why a piece of code cannot stand in a file of its own."""


class ActsInTraining(NotExpressible):
    """Says that what is seen of a module in evaluation is not all that it does."""

    def __str__(self) -> str:
        return "it acts in training otherwise than in evaluation"


@dataclass(frozen=True, slots=True)
class Forward:
    """The methods of a class; `attributes` are those of the module that they read.

    `is_wired` says that single parts of a list of modules are named in it, so that it holds for modules of one structure
    only. `imports` are lines, `helpers` functions and constants beside the class by name.
    """

    lines: tuple[str, ...]
    attributes: tuple[str, ...]
    is_wired: bool = False
    imports: frozenset[str] = frozenset()
    helpers: Mapping[str, str] = field(default_factory=dict, compare=False)

    def beside(self) -> list[tuple[str, str]]:
        """Return what the methods need beside the class: names, and the line or the code that gives them."""
        return [*((line.split()[-1], line) for line in sorted(self.imports)), *self.helpers.items()]


def method(arguments: Iterable[str], body: Iterable[str]) -> tuple[str, ...]:
    """Return the lines of a `forward` that takes tensors."""
    taken = ", ".join(["self", *(f"{name}: Tensor" for name in arguments)])
    return (f"    def forward({taken}) -> Tensor:", *body)
