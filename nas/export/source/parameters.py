"""Parameters: the arguments of a class's constructor, with names and defaults, for the holes of its template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nas.export.source.terms import NEEDED, Argument, Listed, Literal, Name, Term, flat
from nas.export.source.unify import Hole

# torch's names of arguments, and those of the written constructors
_NAMES = {
    "in_channels": "channels_in",
    "out_channels": "channels",
    "num_features": "channels",
    "normalized_shape": "channels",
    "num_parameters": "channels",
    "kernel_size": "kernel",
    "in_features": "features_in",
    "out_features": "features",
    "p": "dropout",
    "output_size": "size",
}
_WIDTHS = frozenset(("channels", "channels_in", "channels_before", "width", "features", "features_in", "groups"))
# the defaults of the written constructors: the values that most convolutions have
_USUAL: dict[str, Any] = {"stride": 1, "groups": 1, "dilation": 1, "bias": False}
_RATIOS = range(2, 17)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a constructor: its name, its value for each module of the class, and its default."""

    name: str
    terms: tuple[Term, ...]
    annotation: str
    default: Any = NEEDED

    def declared(self) -> str:
        """Return it as it is declared in a signature."""
        ending = "" if self.default is NEEDED else f" = {flat(Literal(self.default))}"
        return f"{self.name}: {self.annotation}{ending}"

    def argument(self, index: int) -> Argument:
        """Return it as an argument of the call that makes the module `index`."""
        term = self.terms[index]
        if isinstance(term, Literal):
            term = Literal(term.value, self.name.rstrip("0123456789"))
        return Argument(term, "" if self.default is NEEDED else self.name, self.default, self.name.rstrip("0123456789"))


def parameters(holes: Sequence[Hole], is_cell: bool = False) -> tuple[list[Parameter], list[Term]]:
    """Return the parameters for the holes of a template, and the filling of each hole: a name or a short expression."""
    kept: dict[int, int] = {}  # of each hole, the first hole with the same terms, whose parameter it shares
    derived: dict[int, tuple[int, str]] = {}
    for i, hole in enumerate(holes):
        same = next((j for j in kept.values() if kept[j] == j and _is_same(holes[j], hole)), i)
        kept[i] = same
    own = [i for i in kept if kept[i] == i]
    for i in own:
        if found := _derive(i, own, holes, derived):
            derived[i] = found
    named = _named([i for i in own if i not in derived], holes, is_cell)
    fills: list[Term] = []
    for i in range(len(holes)):
        if (origin := kept[i]) in derived:
            base, form = derived[origin]
            fills.append(Name(form.format(named[base])))
        else:
            fills.append(Name(named[origin]))
    found_parameters = [_parameter(named[i], holes[i]) for i in own if i not in derived]
    return sorted(found_parameters, key=_order), fills


def _order(parameter: Parameter) -> tuple[bool, ...]:
    """Return a sort key: widths, then numbers, then modules; parameters with a default come last."""
    is_width = parameter.name.rstrip("0123456789") in _WIDTHS
    return parameter.default is not NEEDED, "Module" in parameter.annotation, not is_width


def _name(hole: Hole) -> str:
    return _NAMES.get(hole.role, hole.role) or "part"


def _is_width(hole: Hole) -> bool:
    return _name(hole) in _WIDTHS and hole.is_number and all(type(value) is int for value in hole.values)


def _is_same(first: Hole, other: Hole) -> bool:
    """Return whether two holes can share an argument; never for modules, as one module would then be used twice."""
    has_one_name = _name(first) == _name(other) or (_is_width(first) and _is_width(other))
    return has_one_name and first.is_number and other.is_number and first.terms == other.terms


def _derive(i: int, own: Sequence[int], holes: Sequence[Hole], derived: dict[int, Any]) -> tuple[int, str] | None:
    """Return a hole that this one can be computed from, and the expression: half a kernel, a multiple of a width."""
    hole = holes[i]
    if not hole.is_number or not all(type(value) is int for value in hole.values):
        return None
    for j in own:
        other = holes[j]
        if j == i or j in derived or not all(type(value) is int for value in other.values):
            continue
        if _name(hole) == "padding" and _name(other) in ("kernel", "dilation"):
            if _name(other) == "dilation" and hole.values == other.values:
                return j, "{}"
            if _name(other) == "kernel" and all(a == b // 2 for a, b in zip(hole.values, other.values, strict=True)):
                return j, "{} // 2"
        if j < i and _is_width(hole) and _is_width(other) and (distinct := len(set(hole.values))) > 1:
            # two values may fit a ratio by chance, so only the most common ones count
            for ratio in _RATIOS if distinct > 2 else (2, 4):
                pairs = list(zip(hole.values, other.values, strict=True))
                if all(a == b * ratio for a, b in pairs):
                    return j, f"{ratio} * {{}}"
                if all(a * ratio == b for a, b in pairs):
                    return j, f"{{}} // {ratio}"
    return None


def _named(own: Sequence[int], holes: Sequence[Hole], is_cell: bool) -> dict[int, str]:
    names = {i: _name(holes[i]) for i in own}
    widths = [i for i in own if names[i] == "channels"]
    # of several widths the last is the output's `channels`, the first the input's unless that is known, the others inner widths
    names |= dict.fromkeys(widths[:-1], "width")
    if len(widths) > 1 and "channels_in" not in names.values():
        names[widths[0]] = "channels_in"
    inputs = [i for i in own if names[i] == "channels_in"]
    if is_cell and len(inputs) > 1:
        names[inputs[0]] = "channels_before"
    if len(inputs) == 1 and not widths:
        names[inputs[0]] = "channels"
    total, seen = Counter(names.values()), Counter[str]()
    for i, name in names.items():
        seen[name] += 1
        names[i] = f"{name}{seen[name]}" if total[name] > 1 and seen[name] > 1 else name
    return names


def _parameter(name: str, hole: Hole) -> Parameter:
    if not hole.is_number:
        is_list = all(isinstance(term, Listed) for term in hole.terms)
        return Parameter(name, hole.terms, "list[nn.Module]" if is_list else "nn.Module")
    usual = _USUAL.get(name, NEEDED)
    default = usual if any(value == usual and type(value) is type(usual) for value in hole.values) else NEEDED
    return Parameter(name, hole.terms, _annotation(hole.values), default)


def _annotation(values: Sequence[Any]) -> str:
    kinds = {"None" if value is None else _kind(value) for value in values}
    return " | ".join(sorted(kinds, key=lambda kind: (kind == "None", kind)))


def _kind(value: Any) -> str:
    if isinstance(value, tuple):
        return f"tuple[{', '.join(map(_kind, value))}]"
    if isinstance(value, list):
        return f"list[{_kind(value[0])}]" if value else "list[int]"
    return type(value).__name__
