"""Foreign: how other libraries write architectures, read into the families of this one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nas.family import StackedNetwork


@dataclass(frozen=True, slots=True)
class Foreign:
    """What a module of `search_spaces.foreign` offers, as its `foreign`: one way in which others write architectures.

    `recognises` says whether a content is written so, whole or damaged, and never raises; `read` reads it and raises
    RecordError, with what is wrong, for a damaged one. A content is what a file or a typed text spells: mappings, lists,
    numbers and texts, or a `nas.literal.Call` such as a namedtuple prints. `source` names the library, or its paper.
    """

    source: str
    recognises: Callable[[Any], bool]
    read: Callable[[Any], StackedNetwork]


def foreigns(package: str = "search_spaces.foreign") -> dict[str, Foreign]:
    """Return every way in the package by name, which is that of its module."""
    modules = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return {module.name: importlib.import_module(f"{package}.{module.name}").foreign for module in modules}
