"""Terms: expressions of the written Python code, and their layout in lines of at most 120 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise
from typing import Any

WIDTH = 120
NEEDED: Any = object()
"""A marker for an argument without a default."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, text or tuple; `role` is the name of the argument it was first given for, such as `kernel_size`."""

    value: Any
    role: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A name or a short expression, written verbatim."""

    text: str


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a call; it is not written where it equals its default. It is written with its `name`, if any.

    `role` is its name in the signature, whether that is written or not.
    """

    term: Term
    name: str = ""
    default: Any = NEEDED
    role: str = field(default="", compare=False)

    def is_default(self) -> bool:
        """Return whether it equals its default, and can be left out."""
        value = getattr(self.term, "value", NEEDED)
        return self.default is not NEEDED and type(value) is type(self.default) and value == self.default


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function or class."""

    callee: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of terms."""

    items: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class RepeatedTerm:
    """A repeated term in a list or a call, written as a comprehension with a `clause` such as `for _ in range(3)`."""

    term: Term
    clause: str
    opening: str = "*("


@dataclass(frozen=True, slots=True)
class Total:
    """A sum of terms."""

    operands: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Later:
    """A part passed to a class, turned into a term only at the call: it may be of that same class, as a nested residual."""

    part: Any


Term = Literal | Name | Call | Listed | RepeatedTerm | Total | Later


def call(callee: str, *terms: Term) -> Call:
    """Return a call with positional arguments."""
    return Call(callee, tuple(Argument(term) for term in terms))


def statement(target: str, term: Term, indent: int = 8) -> Iterator[str]:
    """Yield the lines of a statement: `target` (such as `x = ` or `return `), then a term."""
    if isinstance(term, Total) and len(target) + len(flat(term)) + indent > WIDTH:
        yield f"{' ' * indent}{target}("
        yield from _added(term, indent + 4)
        yield f"{' ' * indent})"
        return
    yield from lines(term, indent, target)


def lines(term: Term, indent: int, before: str = "", after: str = "") -> Iterator[str]:
    """Yield the lines of a term, broken like ruff does: all on one line, the inside on one line, or a line per part."""
    term = _plain(term)
    whole = f"{' ' * indent}{before}{flat(term)}{after}"
    if len(whole) <= WIDTH or not (opened := _opened(term)):
        yield whole
        return
    opening, closing, parts = opened
    inside = f"{' ' * (indent + 4)}{', '.join(prefix + flat(part) for prefix, part in parts)}"
    yield f"{' ' * indent}{before}{opening}"
    if isinstance(term, RepeatedTerm):
        yield from _generator(term, indent + 4)
    elif len(inside) <= WIDTH:
        yield inside
    else:
        for prefix, part in parts:
            yield from lines(part, indent + 4, prefix, ",")
    yield f"{' ' * indent}{closing}{after}"


def _generator(term: RepeatedTerm, indent: int) -> Iterator[str]:
    if indent + len(whole := f"{flat(term.term)} {term.clause}") <= WIDTH:
        yield f"{' ' * indent}{whole}"
    else:
        yield from lines(term.term, indent)
        yield f"{' ' * indent}{term.clause}"


def _added(term: Total, indent: int) -> Iterator[str]:
    inside = f"{' ' * indent}{flat(term)}"
    if len(inside) <= WIDTH:
        yield inside
        return
    for i, operand in enumerate(term.operands):
        yield from lines(operand, indent, "+ " if i else "")


def flat(term: Term) -> str:
    """Return a term on one line."""
    term = _plain(term)
    if isinstance(term, Literal):
        return written_term(term.value)
    if isinstance(term, Name):
        return term.text
    if isinstance(term, Total):
        return " + ".join(map(flat, term.operands))
    opening, closing, parts = _opened(term) or ("", "", [])
    inside = ", ".join(prefix + flat(part) for prefix, part in parts)
    if isinstance(term, RepeatedTerm):
        inside += f" {term.clause}"
    return f"{opening}{inside}{closing}"


def _opened(term: Term) -> tuple[str, str, list[tuple[str, Term]]] | None:
    """Return the opening and closing text of a bracketed term, and its parts, each with its prefix (`name=` or "")."""
    if isinstance(term, Call):
        kept = [each for each in term.arguments if not each.is_default()]
        is_listed = not any(each.name for each in kept)  # keyword arguments cannot be rolled into a comprehension
        terms = _rolled([each.term for each in kept]) if is_listed else [each.term for each in kept]
        names = [""] * len(terms) if is_listed else [each.name and f"{each.name}=" for each in kept]
        return f"{term.callee}(", ")", list(zip(names, terms, strict=True))
    if isinstance(term, Listed):
        return "[", "]", [("", each) for each in _rolled(term.items)]
    if isinstance(term, RepeatedTerm):
        return term.opening, "]" if term.opening == "[" else ")", [("", term.term)]
    return None


def _plain(term: Term) -> Term:
    """Return a list of one repeated term as a comprehension, and any other term unchanged."""
    rolled = _rolled(term.items) if isinstance(term, Listed) else []
    is_one = len(rolled) == 1 and isinstance(rolled[0], RepeatedTerm)
    return replace(rolled[0], opening="[") if is_one and isinstance(rolled[0], RepeatedTerm) else term


def _rolled(terms: Sequence[Term]) -> list[Term]:
    """Merge repeated terms into one Repeated, and calls that differ only in a number that grows by a constant step."""
    rolled: list[Term] = []
    for term, run in groupby(terms):
        times = len(list(run))
        # torch layers without arguments, such as nn.Identity(), are written out
        repeats = times > 2 and isinstance(term, Call) and (term.arguments or not term.callee.startswith("nn."))
        rolled += [RepeatedTerm(term, f"for _ in range({times})")] if repeats else [term] * times
    grown: list[Term] = []  # then runs of at least 4 calls whose one number grows by a constant step
    while rolled:
        length = next((i for i in range(1, len(rolled)) if _step(rolled[: i + 1]) is None), len(rolled))
        grown += [_counted(rolled[:length])] if length > 3 else rolled[:length]
        rolled = rolled[length:]
    return grown


def _step(terms: Sequence[Term]) -> tuple[int, int] | None:
    """Return the place of the only argument in which calls differ, and its constant step; None where there is none."""
    calls = [term for term in terms if isinstance(term, Call) and term.callee == getattr(terms[0], "callee", "")]
    if len(calls) < len(terms) or len({len(each.arguments) for each in calls}) > 1:
        return None
    columns = list(zip(*(each.arguments for each in calls), strict=True))
    places = [i for i, column in enumerate(columns) if any(each != column[0] for each in column)]
    values = [getattr(each.term, "value", None) for each in columns[places[0]]] if len(places) == 1 else []
    numbers = [value for value in values if type(value) is int]
    steps = {b - a for a, b in pairwise(numbers)}
    # `width` will be the loop variable, so the call must not use that name
    if len(numbers) < len(terms) or len(steps) != 1 or "width" in flat(terms[0]):
        return None
    return places[0], steps.pop()


def _counted(terms: Sequence[Term]) -> Term:
    place, step = _step(terms) or (0, 0)
    first, last = terms[0], terms[-1]
    assert isinstance(first, Call)
    assert isinstance(last, Call)
    changing = first.arguments[place]
    start, end = (getattr(each.arguments[place].term, "value", 0) for each in (first, last))
    arguments = (*first.arguments[:place], replace(changing, term=Name("width")), *first.arguments[place + 1 :])
    return RepeatedTerm(Call(first.callee, arguments), f"for width in range({start}, {end + step}, {step})")


def written_term(value: Any) -> str:
    """Return a literal in ruff's format."""
    if isinstance(value, str):
        text = repr(value)
        return f'"{text[1:-1]}"' if text[0] == "'" and '"' not in text else text
    if isinstance(value, list) and len(value) > 8:
        runs = [(each, len(list(run))) for each, run in groupby(value)]
        return " + ".join(f"[{written_term(each)}]{f' * {times}' if times > 1 else ''}" for each, times in runs)
    if isinstance(value, tuple | list):
        inside = ", ".join(map(written_term, value))
        opening, closing = ("(", ")") if isinstance(value, tuple) else ("[", "]")
        return f"{opening}{inside}{',' if isinstance(value, tuple) and len(value) == 1 else ''}{closing}"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{written_term(key)}: {written_term(each)}' for key, each in value.items())}}}"
    # inf and nan have no literal; they alone differ from themselves by something else than 0
    return f'float("{value}")' if isinstance(value, float) and value - value != 0 else repr(value)


def is_literal(value: Any) -> bool:
    """Return whether a value can be written as a Python literal."""
    if isinstance(value, tuple | list):
        return all(map(is_literal, value))
    if isinstance(value, dict):
        return all(is_literal(each) for pair in value.items() for each in pair)
    return value is None or type(value) in (int, float, bool, str)
