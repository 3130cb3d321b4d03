"""Foreign: architectures as other libraries write them, read into the families of this one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nas.family import StackedNetwork


@dataclass(frozen=True, slots=True)
class Foreign:
    """The `foreign` of a module in `search_spaces.foreign`: one notation of another library.

    `recognises` returns whether a content is in this notation, whole or damaged, and never raises. `read` returns the network
    and raises RecordError, with the reason, for a damaged content. A content is a parsed file or a typed text: mappings, lists,
    numbers and texts, or a `nas.literal.Call` such as a printed namedtuple. `source` names the library, or its paper.
    """

    source: str
    recognises: Callable[[Any], bool]
    read: Callable[[Any], StackedNetwork]


def foreigns(package: str = "search_spaces.foreign") -> dict[str, Foreign]:
    """Return every foreign notation in the package by its name, that of its module."""
    modules = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return {module.name: importlib.import_module(f"{package}.{module.name}").foreign for module in modules}
