"""Unification: the common form of several terms, with holes where they differ (anti-unification)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from nas.export.source.terms import Call, Listed, Literal, Name, Term


@dataclass(frozen=True, slots=True)
class Hole:
    """A place where terms differ: the term that each of them has there, and the name of its argument."""

    terms: tuple[Term, ...]
    role: str

    @property
    def is_number(self) -> bool:
        """Whether all its terms are literals, and no modules."""
        return all(isinstance(term, Literal) for term in self.terms)

    @property
    def values(self) -> tuple[Any, ...]:
        """The values of the literals; None for any other term."""
        return tuple(getattr(term, "value", None) for term in self.terms)


def hole_name(index: int) -> Name:
    """Return the placeholder of a hole in a template."""
    return Name(f"<{index}>")


class Template:
    """The common form of several terms."""

    def __init__(self) -> None:
        self.holes: list[Hole] = []

    def unify(self, terms: Sequence[Term], role: str) -> Term:
        """Return the terms' common form; a hole where they differ as a whole."""
        first = terms[0]
        if all(term == first for term in terms):
            return first
        if all(isinstance(term, Call) for term in terms) and len({_form(term) for term in terms}) == 1:
            return self._calls(terms, role)
        if all(isinstance(term, Listed) for term in terms) and len({len(_items(term)) for term in terms}) == 1:
            rows = zip(*(_items(term) for term in terms), strict=True)
            return Listed(tuple(self.unify(row, role) for row in rows))
        return self.hole(terms, role)

    def hole(self, terms: Sequence[Term], role: str) -> Term:
        """Return a hole for the terms."""
        role = getattr(terms[0], "role", "") or role
        self.holes.append(Hole(tuple(terms), role))
        return hole_name(len(self.holes) - 1)

    def _calls(self, terms: Sequence[Any], role: str) -> Call:
        arguments = []
        for row in zip(*(term.arguments for term in terms), strict=True):
            term = self.unify([each.term for each in row], row[0].role or row[0].name or role)
            arguments.append(replace(row[0], term=term))
        return Call(terms[0].callee, tuple(arguments))


def _form(term: Any) -> Any:
    return term.callee, tuple((each.name, repr(each.default)) for each in term.arguments)


def _items(term: Any) -> tuple[Term, ...]:
    return tuple(term.items)


def filled(term: Term, names: Sequence[Term]) -> Term:
    """Return a template with its holes filled by `names`."""
    if isinstance(term, Name) and term.text.startswith("<"):  # `<3>` is the placeholder of hole 3
        return names[int(term.text[1:-1])]
    if isinstance(term, Call):
        return Call(term.callee, tuple(replace(each, term=filled(each.term, names)) for each in term.arguments))
    if isinstance(term, Listed):
        return Listed(tuple(filled(each, names) for each in term.items))
    return term
