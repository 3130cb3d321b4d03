"""Classes: the modules of a network as Python classes, each written once, with differences as arguments."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from nas.export.source.blocks import Items, Kind, Part, SourceBlock
from nas.export.source.groups import Groups, ModuleGroup, walk
from nas.export.source.names import Names
from nas.export.source.parameters import Parameter, parameters
from nas.export.source.terms import Argument, Call, Later, Listed, Literal, Name, Term, call, lines, statement
from nas.export.source.unify import Template, filled
from nas.topology.cell import CellModule

_MANY = 5
"""With more arguments than this, a subclass is not worth its name: its parts are written in place, unless they are a row."""


@dataclass(frozen=True, slots=True)
class Definition:
    """The text of a class, and the parameters of its constructor."""

    name: str
    parameters: tuple[Parameter, ...]
    text: str

    def made(self, index: int) -> Call:
        """Return the call that makes the module `index` of the class."""
        return Call(self.name, tuple(each.argument(index) for each in self.parameters))


class Classes:
    """A writer of the classes of a network; a class comes after those that it uses."""

    def __init__(self, root: SourceBlock, name: str) -> None:
        self.groups = Groups(root)
        self.names = Names(self.groups, root, name)
        self.kinds: dict[Kind, list[SourceBlock]] = {}
        for block in walk(root):
            if block.kind is not None and not block.kind.forward.is_wired:
                self.kinds.setdefault(block.kind, []).append(block)
        self.written: dict[Kind | ModuleGroup, Definition] = {}  # in the order of the file
        self.term(root)

    def term(self, part: Part) -> Term:
        """Return the call that makes a part."""
        if isinstance(part, Items):
            return call(part.callee, self._listed(part))
        if not isinstance(part, SourceBlock):
            return part
        group = self.groups.blocks[part]
        if group.is_class and (definition := self._define(group)) is not None:
            return self._made(definition, group.members.index(part))
        return self._plain(part)

    def _listed(self, items: Items) -> Listed:
        return Listed(tuple(map(self.term, items.parts)))

    def _plain(self, block: SourceBlock) -> Call:
        """Return the call that makes a module whose group is not written as a class: an nn.Sequential or its kind's class."""
        if block.kind is None:
            return call("nn.Sequential", *(self.term(part) for _, part in block.slots))
        return self._made(self._define_kind(block.kind), self.kinds[block.kind].index(block))

    def _made(self, definition: Definition, index: int) -> Call:
        made = definition.made(index)
        return replace(made, arguments=tuple(replace(each, term=self._now(each.term)) for each in made.arguments))

    def _now(self, term: Term) -> Term:
        if isinstance(term, Listed):
            return Listed(tuple(map(self._now, term.items)))
        return self.term(term.part) if isinstance(term, Later) else term

    def _define_kind(self, kind: Kind) -> Definition:
        if kind not in self.written:
            members = self.kinds[kind]
            name = self.names.of_kind(kind, members, not self._is_complete(members))
            self.written[kind] = self._own_class(name, kind, members)
        return self.written[kind]

    def _define(self, group: ModuleGroup) -> Definition | None:
        """Return the class of a group, or None where its modules are better written in place."""
        if group not in self.written:
            kind = group.members[0].kind
            if kind is not None and kind.forward.is_wired:
                self.written[group] = self._own_class(self.names.of_group(group), kind, group.members)
            elif definition := self._subclass(group):
                self.written[group] = definition
            group.is_inlined = group not in self.written  # do not try again for its other members
        return self.written.get(group)

    def _subclass(self, group: ModuleGroup) -> Definition | None:
        """Return a subclass that fills in the parts of another class; None where it would not help."""
        kind = group.members[0].kind
        if kind is not None and self._is_complete(self.kinds[kind]):
            return None
        template = Template()
        made = template.unify([self._plain(member) for member in group.members], "part")
        found, fills = parameters(template.holes)
        term = filled(made, fills)
        if not isinstance(term, Call) or (len(found) > _MANY and not group.is_row):
            return None
        body = lines(Call("super().__init__", term.arguments), 8)
        return _definition(self.names.of_group(group), term.callee, found, body)

    def _own_class(self, name: str, kind: Kind, members: Sequence[SourceBlock]) -> Definition:
        """Return a class of nn.Module with its own `forward`."""
        template = Template()
        is_complete = self._is_complete(members)
        made: list[tuple[str, Term]] = []
        for i, (key, _) in enumerate(members[0].slots):
            parts = [member.slots[i][1] for member in members]
            made.append((key, self._slot(template, parts, key, key in kind.given and not is_complete)))
        found, fills = parameters(template.holes, is_cell=kind.cls is CellModule)
        assigned = [(key, filled(term, fills)) for key, term in made]
        if not members[0].name:  # the network itself
            found, assigned = _with_classes(found, assigned)
        body = ["        super().__init__()"]
        for key, term in assigned:
            # `*` marks a buffer, whose term is a whole statement: self.register_buffer(...)
            body += lines(term, 8) if key.startswith("*") else statement(f"self.{key} = ", term)
        body += [f"        {_place(second)} = {_place(first)}" for first, second in kind.ties]
        return _definition(name, "nn.Module", found, body, kind.forward.lines, _doc(kind.cls))

    def _slot(self, template: Template, parts: Sequence[Part], key: str, is_given: bool) -> Term:
        if not is_given:
            return template.unify([self.term(part) for part in parts], key)
        lists = [Listed(tuple(map(Later, part.parts))) for part in parts if isinstance(part, Items)]
        if len(lists) == len(parts):
            return call("nn.ModuleList", template.hole(lists, key))
        return template.hole([Later(part) for part in parts], key)

    def _is_complete(self, members: Sequence[SourceBlock]) -> bool:
        """Return whether the class makes its given parts itself: all of one structure, and none written as a class."""
        first = members[0]
        given = [part for key, part in first.slots if first.kind is not None and key in first.kind.given]
        is_same = len({self.groups.form(member) for member in members}) == 1
        return is_same and not any(
            isinstance(part, SourceBlock) and self.groups.blocks[part].is_class for part in given
        )


def _with_classes(
    found: list[Parameter], assigned: list[tuple[str, Term]]
) -> tuple[list[Parameter], list[tuple[str, Term]]]:
    """Make the number of classes an argument of a network whose head ends in a linear layer."""
    slots = dict(assigned)
    head = slots.get("head")
    last = head.arguments[-1].term if isinstance(head, Call) and head.arguments else None
    if not isinstance(head, Call) or not isinstance(last, Call) or last.callee != "nn.Linear":
        return found, assigned
    classes = last.arguments[1].term
    if not isinstance(classes, Literal):
        return found, assigned
    linear = Call(last.callee, (last.arguments[0], Argument(Name("classes")), *last.arguments[2:]))
    slots["head"] = Call(head.callee, (*head.arguments[:-1], Argument(linear)))
    return [*found, Parameter("classes", (classes,), "int", classes.value)], list(slots.items())


def _definition(
    name: str, base: str, found: Sequence[Parameter], body: Iterable[str], methods: Sequence[str] = (), doc: str = ""
) -> Definition:
    return Definition(name, tuple(found), "\n".join(_text(name, base, found, body, methods, doc)))


def _text(
    name: str, base: str, found: Sequence[Parameter], body: Iterable[str], methods: Sequence[str], doc: str
) -> Iterator[str]:
    taken = tuple(Argument(Name(each)) for each in ("self", *(each.declared() for each in found)))
    yield f"class {name}({base}):"
    yield from [f'    """{doc}"""', ""] if doc else []
    yield from lines(Call("def __init__", taken), 4, after=" -> None:")
    yield from body
    yield from ["", *methods] if methods else []


def _place(path: str) -> str:
    return "self" + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path.split("."))


def _doc(cls: type) -> str:
    """Return the first line of a class's own docstring; "" for structures, whose docstrings do not fit the written file."""
    doc = inspect.cleandoc(cls.__dict__.get("__doc__") or "").splitlines()
    return doc[0] if doc and not cls.__module__.startswith("nas.topology") and '"""' not in doc[0] else ""
