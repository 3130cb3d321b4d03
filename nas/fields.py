"""Fields: what a record may hold, by the annotations of its class, checked when it is made.

An open decision (`Open`) may stand for any value, if what may take its place is right. Lists become tuples, whole
numbers floats where those are due, and numpy's numbers Python's; everything else is as the annotation says, or refused.
"""

from __future__ import annotations

import difflib
import sys
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from inspect import get_annotations
from numbers import Integral, Real
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

LONGEST = 800
"""Letters of an error; of a longer one, as of a value that fills pages, the middle is left out."""


class RecordError(ValueError):
    """Says in one line which value that a user gave is wrong, where it stands, and what to write instead.

    `where` is the place inside a file, as `strategy.RegularizedEvolution.population`; empty where there is none.
    """

    def __init__(self, message: str, where: str = "") -> None:
        line = " ".join(message.splitlines())
        super().__init__(line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}")
        self.where = where


class WrongType(RecordError):
    """Says that a value is of another type than the annotation asks for."""


@dataclass(frozen=True, slots=True)
class Range:
    """Inclusive bounds of a number, written in a field's type: `Annotated[int, Range(1)]`."""

    least: float = float("-inf")
    most: float = float("inf")

    def holds(self, value: object) -> bool:
        """Whether a number is within the bounds; what is none, as an open choice, is."""
        return not isinstance(value, int | float) or self.least <= value <= self.most

    def check(self, value: object, where: str) -> None:
        """Raise RecordError where `value` is a number outside the bounds."""
        if not self.holds(value):
            upper = self.most < float("inf")
            bounds = f"from {self.least:g} to {self.most:g}" if upper else f"of at least {self.least:g}"
            raise RecordError(f"{where} is {value}: give a number {bounds}", where)


Positive = Annotated[int, Range(1)]
Natural = Annotated[int, Range(0)]
NonNegative = Annotated[float, Range(0)]
Fraction = Annotated[float, Range(0, 1)]


class Open(ABC):
    """What may stand for a value that is not decided yet, in any field of any record."""

    @abstractmethod
    def stand_ins(self) -> Iterator[Any]:
        """Yield values of which each may take its place, every option in one of them."""


def shown(value: object, limit: int = 120) -> str:
    """Return a value as an error shows it: on one line, and not too long."""
    text = " ".join(f"the class {value.__name__}".split() if isinstance(value, type) else repr(value).split())
    return text if len(text) <= limit else f"{text[:limit]}..."


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown name: the nearest known one, or all of them."""
    known = sorted(known)
    lowered = {each.lower(): each for each in known}
    if close := difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6):
        return f"did you mean {lowered[close[0]]!r}?"
    return f"known are {', '.join(known) or 'none'}"


def unknown(value: object, known: Iterable[object], where: str) -> RecordError:
    """Return the error of a value that is none of those there are."""
    return WrongType(f"{where or 'this'} is {shown(value)}: {nearest(str(value), map(str, known))}", where)


def wrong(value: object, expected: str, where: str) -> RecordError:
    """Return the error of a value that is of another type than what is expected, as "a whole number"."""
    made = f", as {value.__name__}(...)" if isinstance(value, type) else ""
    return WrongType(f"{where or 'this'} is {shown(value)}: give {expected}{made}", where)


# ---------------------------------------------------------------------------------------------------- records


class FieldCheck(NamedTuple):
    """How one field is checked: a value that is the default itself is right, and every one whose type is known."""

    name: str
    default: object
    known: set[type]
    fits: Callable[[Any], bool]
    hint: Any


def field_checks(cls: type, defaults: Mapping[str, object]) -> tuple[tuple[FieldCheck, ...], bool]:
    """Return the checks of a record's fields, and whether these are all: an annotation may name a class that comes later."""
    checks, is_complete = [], True
    for name, default in defaults.items():
        try:
            hint = _hint(cls, name)
        except (NameError, AttributeError, KeyError):
            is_complete = False
            continue
        if (test := test_of(hint)) is not ANYTHING:
            checks.append(FieldCheck(name, default, test.known, test.fits, hint))
    return tuple(checks), is_complete


def _hint(cls: type, name: str) -> Any:
    """Return a field's annotation, with the names of the module whose class declares it."""
    owner = next(base for base in cls.__mro__ if name in get_annotations(base))
    text = get_annotations(owner)[name]
    names = {**vars(sys.modules[owner.__module__]), owner.__name__: owner}
    return eval(text, names) if isinstance(text, str) else text  # noqa: S307, our own annotations


# ---------------------------------------------------------------------------------------------------- values as they are


@dataclass(frozen=True, slots=True, eq=False)
class Test:
    """Tells whether a value may stand where an annotation is; quick for what is right, as records are made by the million.

    `known` are types of which every value is right, found so far; `fits` tells of any value.
    """

    fits: Callable[[Any], bool]
    known: set[type] = field(default_factory=set)


ANYTHING = Test(lambda value: True)


@cache
def test_of(hint: Any) -> Test:
    """Return the test of an annotation."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _bounded(parts[0], [each for each in parts[1:] if isinstance(each, Range)])
    if origin in (Union, types.UnionType):
        return _union([test_of(kind) for kind in parts])
    if origin is Literal:
        return _literal(parts)
    if origin is Sequence or (origin is tuple and parts[-1:] == (...,)):
        return _row(test_of(parts[0]))
    if origin is tuple:
        return _tuple([test_of(kind) for kind in parts])
    if origin is Mapping or origin is dict:
        return _mapping(test_of(parts[1]))
    if hint in _SCALARS:
        return _scalar(_SCALARS[hint])
    kind = origin or hint
    is_class = isinstance(kind, type) and kind not in (object, Any) and not getattr(kind, "_is_protocol", False)
    return _instance(kind) if is_class else ANYTHING


_SCALARS: dict[Any, set[type]] = {
    int: {int},
    float: {float},
    bool: {bool},
    str: {str},
    types.NoneType: {types.NoneType},
    None: {types.NoneType},
}
"""The types that stand for each scalar; a bool is no number."""


def _opened(value: Any, fits: Callable[[Any], bool]) -> bool:
    """Whether a value is an open decision, and all that may take its place fits; it remembers of which tests."""
    if not isinstance(value, Open):
        return False
    passed: set[object] | None = getattr(value, "_passed", None)
    if passed is None:
        object.__setattr__(value, "_passed", passed := set())
    if fits not in passed and all(map(fits, value.stand_ins())):
        passed.add(fits)
    return fits in passed


def _scalar(kinds: set[type]) -> Test:
    def fits(value: Any) -> bool:
        return type(value) in kinds or _opened(value, fits)

    return Test(fits, kinds)


def _bounded(kind: Any, ranges: Sequence[Range]) -> Test:
    inner, least = test_of(kind), max((each.least for each in ranges), default=float("-inf"))
    most, kinds = min((each.most for each in ranges), default=float("inf")), _SCALARS.get(kind, set())

    def fits(value: Any) -> bool:
        if type(value) in kinds:
            return bool(least <= value <= most)
        return _opened(value, fits) or (not kinds and inner.fits(value) and Range(least, most).holds(value))

    return Test(fits)


def _union(tests: Sequence[Test]) -> Test:
    known: set[type] = set()

    def fits(value: Any) -> bool:
        if any(type(value) in test.known for test in tests):
            known.add(type(value))
            return True
        return any(test.fits(value) for test in tests) or _opened(value, fits)

    return ANYTHING if ANYTHING in tests else Test(fits, known)


def _literal(values: tuple[Any, ...]) -> Test:
    kinds = {type(value) for value in values}

    def fits(value: Any) -> bool:
        return (type(value) in kinds and value in values) or _opened(value, fits)

    return Test(fits)


def _row(every: Test) -> Test:
    """Return the test of a tuple of any length."""

    def fits(value: Any) -> bool:
        if type(value) is not tuple:
            return _opened(value, fits)
        return every is ANYTHING or every.known.issuperset(map(type, value)) or all(map(every.fits, value))

    return Test(fits)


def _tuple(tests: Sequence[Test]) -> Test:
    def fits(value: Any) -> bool:
        if type(value) is not tuple:
            return _opened(value, fits)
        return len(value) == len(tests) and all(test.fits(part) for test, part in zip(tests, value, strict=True))

    return Test(fits)


def _mapping(every: Test) -> Test:
    def fits(value: Any) -> bool:
        return (isinstance(value, Mapping) and all(map(every.fits, value.values()))) or _opened(value, fits)

    return Test(fits)


def _instance(kind: type) -> Test:
    known: set[type] = set()

    def fits(value: Any) -> bool:
        if type(value) not in known and isinstance(value, kind):
            known.add(type(value))
        return type(value) in known or _opened(value, fits)

    return Test(fits, known)


# ---------------------------------------------------------------------------------------------------- values made to fit


def conform(value: Any, hint: Any, where: str) -> Any:
    """Return a value as an annotation has it: with tuples for lists, and Python's numbers for numpy's.

    Raises RecordError, with the place of the part that is wrong, where it is something else.
    """
    if test_of(hint).fits(value):
        return value
    origin, parts = get_origin(hint), get_args(hint)
    if isinstance(value, Open):
        return _conform_open(value, hint, where)
    if origin is Annotated:
        inner = conform(value, parts[0], where)
        for bound in (each for each in parts[1:] if isinstance(each, Range)):
            bound.check(value if isinstance(value, int | float) else inner, where)
        return inner
    if origin in (Union, types.UnionType):
        return _conform_union(value, hint, where)
    if origin is Literal:
        return _conform_literal(value, hint, where)
    if origin is tuple or origin is Sequence:
        return _conform_tuple(value, hint, where)
    if origin in (Mapping, dict) and isinstance(value, Mapping):
        return {key: conform(part, parts[1], f"{where}.{key}") for key, part in value.items()}
    return _conform_scalar(value, hint, where)


_ALIKE: dict[Any, Any] = {int: Integral, float: Real, str: str}
"""What becomes a scalar: whole numbers where a float is due, numpy's numbers, numbers and texts with names."""


def _conform_scalar(value: Any, hint: Any, where: str) -> Any:
    if type(value) is not bool and isinstance(value, _ALIKE.get(hint, ())):
        with suppress(OverflowError):  # of a whole number that no float holds
            return hint(value)
    raise wrong(value, expected(hint), where)


def _conform_open(value: Open, hint: Any, where: str) -> Any:
    """Return an open decision. Raises RecordError for the first value that may take its place and must not."""
    for each in value.stand_ins():
        try:
            conform(each, hint, where)
        except RecordError as error:
            raise RecordError(f"{error}; it is an option of {shown(value)}", where) from None
    return value


def _conform_union(value: Any, hint: Any, where: str) -> Any:
    refused: RecordError | None = None
    for kind in get_args(hint):
        try:
            return conform(value, kind, where)
        except RecordError as error:
            if not isinstance(error, WrongType) or error.where != where:
                refused = error
    raise refused or wrong(value, expected(hint), where)


def _conform_literal(value: Any, hint: Any, where: str) -> Any:
    for each in get_args(hint):
        with suppress(RecordError):
            if each == conform(value, type(each), where):
                return each
    raise unknown(value, get_args(hint), where)


def _conform_tuple(value: Any, hint: Any, where: str) -> tuple[Any, ...]:
    kinds = get_args(hint) if get_origin(hint) is tuple else (*get_args(hint), ...)
    if not isinstance(value, list | tuple):
        raise wrong(value, expected(hint), where)
    if kinds[-1:] == (...,):
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise wrong(value, expected(hint), where)
    return tuple(conform(part, kind, f"{where}[{i}]") for i, (part, kind) in enumerate(zip(value, kinds, strict=True)))


_WORDS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def expected(hint: Any) -> str:
    """Return what an annotation asks for, in words."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return expected(parts[0])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(expected, parts)))
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin is tuple and parts[-1:] != (...,):
        return f"a tuple of {len(parts)}"
    if origin is tuple or origin is Sequence:
        return f"a tuple, each part {expected(parts[0])}"
    if hint in (types.NoneType, None):
        return "None"
    name = getattr(origin or hint, "__name__", str(hint))
    example = f" (as {hint.example})" if hasattr(hint, "example") else ""
    return _WORDS.get(hint) or f"{'an' if name[0] in 'AEIOU' else 'a'} {name}{example}"
