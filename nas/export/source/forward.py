"""Forward: the methods of a class in the written file, as lines of code."""

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
"""The import lines of every written file, by the name that each gives."""

TAKEN = frozenset((*IMPORTS, "DTYPES", "load", "network", "read_tensors", *dir(builtins)))
"""The names that are taken in every written file, Python's builtins included."""


class NotExpressible(Exception):
    """The reason why a piece of code cannot be written to a standalone file."""


class ActsInTraining(NotExpressible):
    """Raised where a module behaves differently in training, so that a trace in evaluation mode would miss a part."""

    def __str__(self) -> str:
        return "it behaves differently in training and in evaluation"


@dataclass(frozen=True, slots=True)
class Forward:
    """The methods of a class; `attributes` are the module's attributes that they read.

    `is_wired` is whether the code indexes single parts of a list of modules, so that it fits modules of one structure
    only. `imports` are import lines; `helpers` are functions and constants next to the class, by name.
    """

    lines: tuple[str, ...]
    attributes: tuple[str, ...]
    is_wired: bool = False
    imports: frozenset[str] = frozenset()
    helpers: Mapping[str, str] = field(default_factory=dict, compare=False)

    def beside(self) -> list[tuple[str, str]]:
        """Return the names that the methods need outside the class, with the line or the code that defines each."""
        return [*((line.split()[-1], line) for line in sorted(self.imports)), *self.helpers.items()]


def method(arguments: Iterable[str], body: Iterable[str]) -> tuple[str, ...]:
    """Return the lines of a `forward` that takes tensors."""
    taken = ", ".join(["self", *(f"{name}: Tensor" for name in arguments)])
    return (f"    def forward({taken}) -> Tensor:", *body)
