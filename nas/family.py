"""A family of architectures: a space, how its members become networks, and the members that were published."""

from __future__ import annotations

import importlib.util
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

from nas.building import Node, Shape
from nas.literal import shortened
from nas.notation import parse
from nas.plain import read_arguments
from nas.preprocessing import Preprocessing
from nas.records import RecordError, nearest, record


class OtherForm(RecordError):
    """Says that a text is not written in the form of a family at all, so that it may be in that of another."""


@record
class Found:
    """An architecture of a family, how it is stacked, for images of which shape (C, H, W), and its scores in a run.

    Where it was trained, `classes` names the class of each output in their order, and `preprocessing` says how an image
    becomes an input.
    """

    family: str
    architecture: Any
    network: Mapping[str, Any] = field(default_factory=dict)
    input: tuple[int, int, int] = (3, 32, 32)
    scores: Mapping[str, float] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """What a module of `search_spaces` offers, as its `family`.

    `space` makes the space and `network` stacks a member, or the space itself, to a network; both have typed parameters
    with defaults, which experiments set by name. `describe` writes a member as short text for people, and `parse` reads
    that text, and what else is usual for the family; it raises OtherForm for the texts of other families, and RecordError
    for a damaged one of its own. `usual` writes a member as its literature does, where that is not what `describe` gives;
    it raises RecordError for what cannot be written so. `source` is the space's; `sources` those of published members that
    are from elsewhere. `input` is the shape of the images (C, H, W) that published members are for, and `inputs` those of
    members that differ in it.
    """

    source: str
    space: Callable[..., Any]
    network: Callable[..., Node]
    describe: Callable[[Any], str]
    parse: Callable[[str], Any] = field(default=parse, kw_only=True)
    usual: Callable[[Any], str] | None = field(default=None, kw_only=True)
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
    names = [module.name for module in modules if not module.ispkg]
    return {name: importlib.import_module(f"{package}.{name}").family for name in names}


def family(name: str) -> Family:
    """Return a family by its name in `search_spaces`, or that of a module of your own.

    Raises RecordError, with the nearest name, where there is none.
    """
    if not re.fullmatch(r"\w+(\.\w+)*", name):
        raise RecordError(
            f"there is no space {shortened(name)}: give one of {', '.join(families())}, or a module as mine.space"
        )
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
