"""A family of architectures: a space, how its members become networks, and the published members."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from nas.building import Node, Shape
from nas.fields import shown
from nas.notation import parse
from nas.own import file_of, import_named, is_path
from nas.plain import read_arguments
from nas.preprocessing import Preprocessing
from nas.records import RecordError, nearest, record


class OtherForm(RecordError):
    """A text that is not in the notation of this family, and may be in that of another."""


@dataclass(frozen=True, slots=True)
class Family:
    """The `family` of a module in `search_spaces`.

    `space` returns the space. `network` stacks a member, or the space itself, into a network. Both have typed parameters with
    defaults, which experiments set by name. `describe` writes a member as short text and `parse` reads that text, and other
    notations of the family; `parse` raises OtherForm for texts of other families, and RecordError for a damaged text of its
    own. `usual` writes a member as in its literature, where that differs from `describe`; it raises RecordError where that is
    impossible. `canonical` returns a text that is the same for members that are one architecture, where a space has such.
    `source` is the paper of the space, `sources` those of published members from other papers. `input` is the
    image shape (C, H, W) of the published members, `inputs` that of the members that differ. `preprocessing` is that of the
    released weights of published members, where it is known.
    """

    source: str
    space: Callable[..., Any]
    network: Callable[..., Node]
    describe: Callable[[Any], str]
    parse: Callable[[str], Any] = field(default=parse, kw_only=True)
    usual: Callable[[Any], str] | None = field(default=None, kw_only=True)
    canonical: Callable[[Any], str] | None = field(default=None, kw_only=True)
    published: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    input: Shape = (3, 32, 32)
    inputs: Mapping[str, Shape] = field(default_factory=dict)
    preprocessing: Mapping[str, Preprocessing] = field(default_factory=dict)

    def network_arguments(self, options: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return checked arguments of `network` from plain data, without its first parameter, the architecture."""
        return read_arguments(self.network, options, where, supplied=list(signature(self.network).parameters)[:1])

    def source_of(self, member: str) -> str:
        """Return the source of a published member."""
        return self.sources.get(member, self.source)

    def input_of(self, member: str) -> Shape:
        """Return the image shape (C, H, W) of a published member."""
        return self.inputs.get(member, self.input)


LIBRARY = "search_spaces"
"""The package of the families that come with the library."""


def families(package: str = LIBRARY) -> dict[str, Family]:
    """Return every family in the package by its name, that of its module."""
    modules = pkgutil.iter_modules(_library(package).__path__)
    names = [module.name for module in modules if not module.ispkg]
    return {name: importlib.import_module(f"{package}.{name}").family for name in names}


def _library(package: str) -> ModuleType:
    """Import a package of the library. Raises RecordError, with both folders, where another package of that name hides it."""
    # A user's package of the same name may come first on sys.path.
    found = importlib.import_module(package)
    ours = Path(__file__).resolve().parents[1] / package / "__init__.py"
    if package == LIBRARY and ours.is_file() and Path(found.__file__ or "").resolve() != ours:
        raise RecordError(
            f"{package} is {found.__file__ or list(found.__path__)}, which hides the library's, {ours}: rename yours, "
            "and name a space in it by its path, as ./spaces/mine.py"
        )
    return found


def family(name: str) -> Family:
    """Return a family by its name in `search_spaces`, or by the dotted name or path of a user's module.

    Raises RecordError, with the nearest name, where there is none, and with both files where two have the name.
    """
    return _found_from(name, Path.cwd())


@lru_cache(maxsize=256)
def _found_from(name: str, folder: Path) -> Family:
    """Return a family by its name, as seen from a working directory; the folder is part of the cache's key."""
    if is_path(name):
        return _family_of(import_named(name), name)
    if not all(part.isidentifier() for part in name.split(".")):
        raise RecordError(
            f"there is no space {shown(name)}: give one of {', '.join(families())}, or a path as ./mine.py"
        )
    if "." in name:
        return _family_of(import_named(name), name)
    ours = file_of(f"{_library(LIBRARY).__name__}.{name}")
    if ours is not None:
        _check_one(name, ours)
        return _family_of(importlib.import_module(f"{LIBRARY}.{name}"), name)
    if file_of(name) is None:
        is_file = Path(f"{name}.py").is_file()
        hint = f"./{name}.py is here" if is_file else "for a space of your own give its path, as ./mine.py"
        raise RecordError(f"there is no space {name!r}: {nearest(name, families())}; {hint}")
    return _family_of(import_named(name), name)


def _check_one(name: str, ours: Path) -> None:
    """Raise RecordError, with both files, where a user's module offers a family of the same name."""
    for other in (Path(f"{name}.py").resolve(), file_of(name)):
        # Another module of that name counts only if its source assigns `family`; reading it does not run it.
        if (
            other is not None
            and other != ours
            and other.is_file()
            and re.search(r"^family\b.*=", _text(other), re.MULTILINE)
        ):
            raise RecordError(
                f"two spaces are named {name}: {ours} and {other}: give {LIBRARY}.{name} or, for yours, its path, as ./{name}.py"
            )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _family_of(module: ModuleType, name: str) -> Family:
    if not hasattr(module, "family"):
        raise RecordError(f"module {name} has no `family`: give it a nas.family.Family of that name")
    if not isinstance(module.family, Family):
        raise RecordError(f"`family` of module {name} is {shown(module.family)}: give a nas.family.Family")
    found: Family = module.family
    return found


def published(name: str) -> tuple[Family, Any]:
    """Return the family and the architecture of a published name such as `darts:DARTS_V2`."""
    family_name, _, member = name.rpartition(":")
    found = family(family_name)
    if member not in found.published:
        raise RecordError(f"{family_name} has no architecture {member!r}: {nearest(member, found.published)}")
    return found, found.published[member]


@record
class StackedNetwork:
    """A network by name: the family, the architecture, the options of its `network`, and its input shape (C, H, W).

    `scores` are those of its evaluation in a run. For a trained network, `classes` are the class names in the order of the
    logits, and `preprocessing` is how an image becomes an input.
    """

    formerly: ClassVar = ("Found",)
    former_fields: ClassVar = {"network": "options"}

    family: str
    architecture: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    input: tuple[int, int, int] = (3, 32, 32)
    scores: Mapping[str, float] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None

    def tree(self) -> Node:
        """Return the network tree. Raises RecordError for options that the family's `network` does not take."""
        known = family(self.family)
        return known.network(self.architecture, **known.network_arguments(self.options, ""))

    def with_head(self, classes: int) -> StackedNetwork:
        """Return the same features with a new head for `classes` classes, and without an auxiliary head."""
        fresh: dict[str, Any] = {"classes": classes, "auxiliary": False}
        known = signature(family(self.family).network).parameters
        return replace(self, options={**self.options, **{key: fresh[key] for key in fresh.keys() & known.keys()}})
