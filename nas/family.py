"""A family of architectures: a space, how its members become networks, and the members that were published."""

from __future__ import annotations

import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

from nas.building import Node, Shape
from nas.plain import read_arguments
from nas.records import RecordError, nearest


@dataclass(frozen=True, slots=True)
class Family:
    """What a module of `search_spaces` offers, as its `family`.

    `space` makes the space and `network` stacks a member, or the space itself, to a network; both have typed parameters
    with defaults, which experiments set by name. `describe` writes a member as short text for people. `source` is the
    space's; `sources` those of published members that are from elsewhere. `input` is the shape of the images (C, H, W)
    that published members are for, and `inputs` those of members that differ in it.
    """

    source: str
    space: Callable[..., Any]
    network: Callable[..., Node]
    describe: Callable[[Any], str]
    published: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    input: Shape = (3, 32, 32)
    inputs: Mapping[str, Shape] = field(default_factory=dict)

    def network_arguments(self, options: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return options of `network` from plain data, checked; its first parameter is the architecture."""
        return read_arguments(self.network, options, where, supplied=list(signature(self.network).parameters)[:1])

    def source_of(self, member: str) -> str:
        """Return where a published member is from."""
        return self.sources.get(member, self.source)

    def input_of(self, member: str) -> Shape:
        """Return the shape (C, H, W) of the images that a published member is for."""
        return self.inputs.get(member, self.input)


def families(package: str = "search_spaces") -> dict[str, Family]:
    """Return every family in the package by name, which is that of its module."""
    modules = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return {module.name: importlib.import_module(f"{package}.{module.name}").family for module in modules}


def family(name: str) -> Family:
    """Return a family by its name in `search_spaces`, or that of a module of your own.

    Raises RecordError, with the nearest name, where there is none.
    """
    if not all(part.isidentifier() for part in name.split(".")):
        raise RecordError(f"there is no space {name!r}: {nearest(name, families())}")
    is_ours = "." not in name and importlib.util.find_spec(f"search_spaces.{name}") is not None
    path = f"search_spaces.{name}" if is_ours else name
    try:
        found = importlib.import_module(path).family
    except ModuleNotFoundError as error:
        if error.name is None or not path.startswith(error.name):
            raise
        if "." in name:
            raise RecordError(f"module {name} cannot be imported ({error}): put its folder on PYTHONPATH") from None
        raise RecordError(
            f"there is no space {name!r}: {nearest(name, families())}; one of your own needs its folder on PYTHONPATH"
        ) from None
    except AttributeError:
        raise RecordError(f"module {path} has no `family`: give it a nas.family.Family of that name") from None
    if not isinstance(found, Family):
        raise RecordError(f"`family` of module {path} is {found!r}: give a nas.family.Family")
    return found


def published(name: str) -> tuple[Family, Any]:
    """Return the family and the architecture of a published name such as `darts:DARTS_V2`."""
    family_name, _, member = name.partition(":")
    found = family(family_name)
    if member not in found.published:
        raise RecordError(f"{family_name} has no architecture {member!r}: {nearest(member, found.published)}")
    return found, found.published[member]
