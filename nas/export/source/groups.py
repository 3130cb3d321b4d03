"""Groups: which modules of a network share a class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from nas.export.source.blocks import Items, Part, SourceBlock
from nas.export.source.terms import Call, Literal

_FEW = 2
"""The number of places in which modules of one node may differ and still share a class, which takes these as arguments."""


@dataclass(eq=False, slots=True)
class ModuleGroup:
    """Modules of one structure, or built by one node of the tree; `sites` are the distinct places they are used at."""

    members: list[SourceBlock] = field(default_factory=list)
    sites: set[Any] = field(default_factory=set)
    is_root: bool = False
    is_outermost: bool = False
    is_inlined: bool = False

    @property
    def is_class(self) -> bool:
        """Whether it is written as a class: it is the root, has a wired forward, or is worth a name, by the rules below."""
        first = self.members[0]
        if self.is_root or (first.kind is not None and first.kind.forward.is_wired):
            return True
        # a row of one part, or a kind without parts, is shorter written in place
        if self.is_inlined or len(first.slots) < 2 - (first.kind is not None):
            return False
        # a subclass that fills in its kind's given parts pays off only where it is used at several sites
        if first.kind is not None:
            return self.has_origin and len(self.sites) > 1 and bool(first.kind.given)
        # a long row that a node built is an operation with a name, such as a separable convolution, even if used once
        is_operation = self.is_row and self.has_origin and len(first.slots) > 3 and not self.is_outermost
        return is_operation or (len(self.sites) > 1 and (self.has_origin or (self.is_row and len(first.slots) > 2)))

    @property
    def is_row(self) -> bool:
        """Whether its modules are nn.Sequential of torch layers alone."""
        first = self.members[0]
        return first.kind is None and all(isinstance(part, Call) for _, part in first.slots)

    @property
    def has_origin(self) -> bool:
        """Whether a node of the tree built one of its modules."""
        return any(member.origin is not None for member in self.members)


@dataclass(eq=False, frozen=True, slots=True)
class Form:
    """The structure of a part without its numbers; equal forms are the same object, so they compare by identity."""

    head: object
    parts: tuple[Form, ...]


class Groups:
    """The groups of a network's blocks."""

    def __init__(self, root: SourceBlock) -> None:
        self.forms: dict[Any, Form] = {}
        self.form_of: dict[SourceBlock, Form] = {}
        self.blocks: dict[SourceBlock, ModuleGroup] = {}
        known: dict[Any, ModuleGroup] = {}
        by_node: dict[Any, list[ModuleGroup]] = {}
        for block in walk(root):
            form = self.form(block)
            node = block.kind, len(block.slots), block.origin.node if block.origin is not None else block
            of_node = by_node.setdefault(node, [])
            # the same structure, or else a group of the same node with few differences, or else a new group
            group = known.get(form) or next((each for each in of_node if self._is_alike(each, form)), ModuleGroup())
            known[form] = self.blocks[block] = group
            group.members.append(block)
            if group not in of_node:
                of_node.append(group)
        self.blocks[root].is_root = True
        self._count(root, root)

    def form(self, part: Part) -> Form:
        """Return the structure of a part without its numbers."""
        if isinstance(part, SourceBlock):
            if part not in self.form_of:
                self.form_of[part] = self._form(part.kind, [each for _, each in part.slots])
            return self.form_of[part]
        if isinstance(part, Items):
            return self._form(part.callee, part.parts)
        if isinstance(part, Call):
            return self._form(part.callee, [each.term for each in part.arguments])
        return self._form(None if isinstance(part, Literal) else part, ())

    def _form(self, head: object, parts: Sequence[Part]) -> Form:
        forms = tuple(map(self.form, parts))
        return self.forms.setdefault((head, forms), Form(head, forms))

    def _is_alike(self, group: ModuleGroup, form: Form) -> bool:
        return _differences(self.form(group.members[0]), form) <= _FEW

    def _count(self, block: SourceBlock, around: SourceBlock) -> None:
        """Note the place of each block in the nearest enclosing block that a node built."""
        for inner in _inside(block):
            self.blocks[inner].is_outermost |= not around.name
            self.blocks[inner].sites.add((self.blocks[around], inner.name[len(around.name) :]))
            self._count(inner, around if inner.origin is None else inner)


def _differences(first: Form, other: Form) -> int:
    """Return the number of places in which two structures differ."""
    if first is other:
        return 0
    if first.head != other.head or len(first.parts) != len(other.parts):
        return 1
    return sum(_differences(a, b) for a, b in zip(first.parts, other.parts, strict=True))


def walk(part: Part) -> Iterator[SourceBlock]:
    """Yield the blocks of a part, itself first."""
    if isinstance(part, SourceBlock):
        yield part
    for inner in _inside(part):
        yield from walk(inner)


def _inside(part: Part) -> Iterator[SourceBlock]:
    """Yield the blocks directly inside a part, lists included."""
    parts: list[Part] = []
    if isinstance(part, SourceBlock):
        parts = [each for _, each in part.slots]
    elif isinstance(part, Items):
        parts = list(part.parts)
    for each in parts:
        if isinstance(each, SourceBlock):
            yield each
        elif isinstance(each, Items):
            yield from _inside(each)
