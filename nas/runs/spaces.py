"""Spaces as an experiment names them: a family with options, the file of an exported space, or a tree in notation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.choice import check_tree, is_open
from nas.family import Family, StackedNetwork, families, family
from nas.fields import shown
from nas.modules import FAMILY, SlicedModule, options_of, settled_options
from nas.notation import notation, parse
from nas.own import is_path, written_out
from nas.plain import read_call
from nas.records import RecordError
from nas.runs.written import family_of, read_found, read_text
from nas.space import choices

Named = str | Mapping[str, Mapping[str, Any]]

FILES = (".json", ".yaml", ".yml", ".txt")

MODULE = "module"
"""The short name of the family of modules that exist."""

TREE = "tree"
"""The key below a family's name whose value is a space in notation, instead of options of the family's own space."""


@dataclass(frozen=True, slots=True)
class NamedSpace:
    """A space by the name of its family, with options of the family's own space or a `tree` instead.

    `network` holds the network options of the file that the space was read from.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    tree: Any = None
    network: Mapping[str, Any] = field(default_factory=dict)

    @property
    def family(self) -> Family:
        """The family. Raises RecordError where the name is unknown."""
        try:
            return family(self.name)
        except RecordError as error:
            raise RecordError(f"space: {error}", "space") from None

    def open(self, where: str) -> Any:
        """Return the space. Raises RecordError where its options are wrong or two of its choices clash."""
        space = read_call(self.family.space, self.options, where) if self.tree is None else self.tree
        choices(space)
        return space

    def written(self, defaults: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        """Return the space as an experiment holds it without its file: its options with defaults, or its tree in notation."""
        return {self.name: {**defaults, **self.options} if self.tree is None else {TREE: notation(self.tree)}}


def of_space(space: Any) -> Named:
    """Return a space as an experiment holds it: a tree below the name of the family that reads its members; a name as it is.

    Raises RecordError where the tree has no open choice, or is no tree.
    """
    if isinstance(space, str | Mapping):
        return space
    check_tree(space)
    if isinstance(space, SlicedModule):
        return {FAMILY: options_of(space)}
    if not is_open(space):
        raise RecordError("the space has no open choice: make one with nas.one_of(name, options)", "space")
    written = notation(space)
    if parse(written) != space:
        raise RecordError(
            f"the space {shown(written)} is another one when it is read again: give its family, or a file"
        )
    return {family_of(space): {TREE: written}}


def named_space(space: Named) -> NamedSpace:
    """Return the space that an experiment names. Raises RecordError where it names none."""
    if isinstance(space, str):
        return _of_text(space)
    if len(space) != 1:
        raise RecordError(f"space is {dict(space)}: give one space: {', '.join(families())}", "space")
    (name, options), *_ = space.items()
    if options and TREE in options:
        return NamedSpace(written_out(name), tree=_tree(name, options))
    if name in (MODULE, FAMILY):
        return NamedSpace(FAMILY, settled_options(options or {}))
    return NamedSpace(written_out(name), options or {})


def _of_text(text: str) -> NamedSpace:
    """Return the space of a family's name, of a file, or of a tree in notation."""
    is_file = Path(text).suffix in FILES
    # letters, digits and dots alone: a name, of a family or of a module
    if is_path(text) or (re.fullmatch(r"[\w.]*", text) and not is_file):
        return NamedSpace(written_out(text))
    if is_file or not set("[{(") & set(text):  # without a bracket it is no tree with an open choice
        if not Path(text).is_file():
            raise RecordError(
                f"space: there is no file {shown(text)}: give a space, or the file of an exported one", "space"
            )
        return _of_found(read_found(Path(text)), text)
    return _of_found(read_text(text), text)


def _of_found(found: StackedNetwork, text: str) -> NamedSpace:
    if not is_open(found.architecture):
        raise RecordError(
            f"space: {shown(text)} is one architecture of {found.family}, and no choice in it is open: give a space",
            "space",
        )
    return NamedSpace(found.family, tree=found.architecture, network=found.options)


def _tree(name: str, options: Mapping[str, Any]) -> Any:
    """Read the space in notation below a family's name."""
    place = f"space.{name}.{TREE}"
    if len(options) > 1 or not isinstance(options[TREE], str):
        raise RecordError(f"{place} is a whole space in notation: leave the other options out", place)
    family(name)  # imports the family's records, which the notation may use
    try:
        tree = parse(options[TREE])
    except RecordError as error:
        raise RecordError(f"{place}: {error}", place) from None
    if not is_open(tree):
        raise RecordError(f"{place} has no open choice, such as {{kernel: 3 | 5}}: give a space", place)
    return tree
