"""Notation: a tree as one short line that a person can type, read and compare: `residual[conv3 conv3] x3-64/2`.

- A node is its name in small letters, `conv3-64/2(groups=4)`: a kernel of 3, 64 channels, stride 2. Defaults are left out, save
  that of the kernel. `conv` is ConvNormAct, `relu` its Activation; strings are quoted.
- The nodes inside a node are in brackets: `residual[...]`. Adjacent nodes are a chain, `[conv1 *conv3 conv1]`; `*` marks the
  node with the stride, if it is not the first. Commas separate paths, or the stages of a network.
- `x3-64/2` after a node makes a stage: three repeats, 64 channels, the first with stride 2.
- `{name: a | b}` is an open choice, `{name 2: a | b | c}` picks two, `~zero` is an option of supernets only.
"""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from nas.building import Node
from nas.choice import Choice
from nas.layers.activation import Activation
from nas.plain import from_plain
from nas.records import RecordError, classes, import_all, nearest, record_classes, written
from nas.topology.chain import Chain, Stage

_SHORT = {"ConvNormAct": "conv", "Conv": "relu_conv"}
_ACTIVATIONS = get_args(get_type_hints(Activation)["name"])
_LITERALS = {"none": None, "true": True, "false": False}
_SUFFIXES = {"channels": "-", "stride": "/"}
# The name of a choice that needs no quotes: words, the second and later ones not of digits only, as `{name 2: ...}` picks two.
_SAFE_NAME = re.compile(r"[\w/.+-]+(?: [\w/.+-]*[a-zA-Z/.+-][\w/.+-]*)*")


class NotationError(RecordError):
    """A text that is no tree; the message has the column and what could be written there."""


def notation(tree: Any) -> str:
    """Write a tree, closed or open, as one line; `parse` reads it back."""
    return _element(tree)


def name_of(cls: type) -> str:
    """Return the name of a record class in small letters, or unchanged where that would be ambiguous."""
    # SepConv is sep_conv, MBConv is mb_conv: break before a capital after a small letter, and before the last of capitals.
    small = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()
    is_taken = small in _ACTIVATIONS or small in _LITERALS or small[-1].isdigit()
    return _SHORT.get(cls.__name__) or (cls.__name__ if is_taken else small)


@cache
def _held(cls: Any) -> str | None:
    """Return the field whose value is written in brackets: the first required tuple of nodes, else the first required node."""
    hints = get_type_hints(cls, include_extras=True)
    needed = [each.name for each in fields(cls) if each.default is MISSING and each.default_factory is MISSING]
    required = [name for name in needed if hints[name] in (Node, tuple[Node, ...])]
    return next((name for name in required if hints[name] != Node), required[0] if required else None)


def _element(tree: Any) -> str:
    """Write a tree in a place where adjacent nodes are a chain."""
    return _units(tree) if _is_serial(tree) and len(tree.nodes) > 1 else _unit(tree)


def _is_serial(tree: Any) -> bool:
    """Whether a tree is a chain that can be written as adjacent nodes: its length and strided node are decided."""
    return type(tree) is Chain and type(tree.nodes) is tuple and type(tree.strided) is int


def _units(chain: Chain) -> str:
    marked = chain.strided if len(chain.nodes) > 1 else 0
    return " ".join(f"{'*' if i and i == marked else ''}{_unit(node)}" for i, node in enumerate(chain.nodes))


def _unit(tree: Any) -> str:
    """Write a tree in a place where other nodes may be adjacent."""
    kind = type(tree)
    if kind is Choice:
        return _choice(tree)
    if _is_serial(tree):
        return f"[{_units(tree)}]"
    if kind is Stage:
        return _stage(tree)
    if kind is Activation and isinstance(tree.name, str):
        return str(tree.name)
    return _record(tree) if kind.__name__ in classes else _value(tree)


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_unit, value))}{',' if len(value) == 1 else ''})"
    return (
        {None: "none", True: "true", False: "false"}.get(value) or json.dumps(value)
        if not _is_number(value)
        else repr(value)
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _stage(stage: Stage) -> str:
    rest = dict(written(stage))
    body, repeat = rest.pop("body"), rest.pop("repeat", 1)
    return f"{_unit(body)} x{_unit(repeat)}{_suffixes(rest)}{_pairs(rest)}"


def _record(tree: Any) -> str:
    cls: Any = type(tree)
    rest = dict(written(tree))
    text, held = name_of(cls), _held(cls)
    # The kernel is written even where it is the default, unless the name itself ends in a digit.
    kernel = rest.get("kernel", getattr(tree, "kernel", None))
    if kernel is not None and _is_glued(kernel) and not text[-1].isdigit():
        rest.pop("kernel", None)
        text += "x".join(map(_unit, kernel)) if isinstance(kernel, tuple) else _unit(kernel)
    if held is None or (type(rest[held]) is Choice and _holds_tuple(cls, held)):
        return text + _suffixes(rest) + _pairs(rest)
    inside = rest.pop(held)
    text += _suffixes(rest) + _pairs(rest)
    return f"{text}[{', '.join(map(_element, inside)) if isinstance(inside, tuple) else _element(inside)}]"


def _holds_tuple(cls: Any, held: str) -> bool:
    return bool(get_type_hints(cls, include_extras=True)[held] != Node)


def _is_glued(kernel: Any) -> bool:
    """Whether a value is written directly after a name: a number, a choice, or two numbers."""
    is_pair = type(kernel) is tuple and len(kernel) == 2 and all(type(size) is int and size >= 0 for size in kernel)
    return is_pair or type(kernel) is Choice or (type(kernel) is int and kernel >= 0)


def _suffixes(rest: dict[str, Any]) -> str:
    """Write the width and the stride, and remove them from `rest`, where they are numbers or choices."""
    glued = [name for name in _SUFFIXES if type(rest.get(name)) is not tuple and _is_glued(rest.get(name))]
    return "".join(f"{_SUFFIXES[name]}{_unit(rest.pop(name))}" for name in glued)


def _pairs(rest: dict[str, Any]) -> str:
    return f"({', '.join(f'{name}={_unit(value)}' for name, value in rest.items())})" if rest else ""


def _choice(choice: Choice) -> str:
    name = choice.name if _SAFE_NAME.fullmatch(choice.name) else json.dumps(choice.name)
    options = [*map(_element, choice.options), *(f"~{_element(option)}" for option in choice.supernet_only)]
    return f"{{{name}{'' if choice.k is None else f' {choice.k}'}: {' | '.join(options)}}}"


def parse(text: str) -> Any:
    """Read a tree that `notation` wrote or a person typed. Raises NotationError, with the column, where it is none."""
    for package in ("nas.layers", "nas.operations", "nas.topology"):
        import_all(package)
    reader = _Reader(text)
    try:
        plain = reader.element()
        reader.space()
        if reader.at < len(text):
            raise reader.error("the end")
        return from_plain(plain)
    except RecursionError:
        raise NotationError(f"{_shortened(text)!r} is nested too deeply to be read: write it as JSON") from None


def _names() -> dict[str, str]:
    return {name_of(cls): name for name, cls in record_classes(object).items()}


@cache
def _words(cls: Any) -> dict[str, tuple[str, ...]]:
    """Return the words that a field accepts, such as `batch`, `layer` and `none` of a norm, for fields that accept some."""
    found = {}
    for name, hint in get_type_hints(cls).items():
        kinds = (hint, *get_args(hint))
        literals = [value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)]
        found[name] = tuple(value for value in literals if isinstance(value, str))
    return {name: words for name, words in found.items() if words}


class _Reader:
    """A recursive-descent reader of notation; it returns the plain form, which `from_plain` checks."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.names = text, 0, _names()

    def error(self, wanted: str) -> NotationError:
        rest = self.text[self.at :]
        found = f"{rest[:20]!r}" if rest else "the end"
        return NotationError(f"column {self.at + 1} of {_shortened(self.text)!r} is {found}: write {wanted}")

    def space(self) -> None:
        self.take(r"\s*")

    def take(self, pattern: str) -> str | None:
        """Return the text that matches here, and move past it; None where nothing matches."""
        if match := re.compile(pattern).match(self.text, self.at):
            self.at = match.end()
            return match.group()
        return None

    def need(self, mark: str) -> None:
        self.space()
        if self.take(re.escape(mark)) is None:
            raise self.error(repr(mark))

    def ends(self, marks: str = "],|})") -> bool:
        self.space()
        return self.at == len(self.text) or self.text[self.at] in marks

    def element(self) -> Any:
        """Read one node, or several adjacent ones, which are a chain."""
        nodes, strided = self.units()
        return nodes[0] if len(nodes) == 1 else _chain(nodes, strided)

    def units(self) -> tuple[list[Any], int]:
        nodes: list[Any] = []
        strided = 0
        while not self.ends():
            # `ends` has skipped the spaces; at least one must stand between nodes.
            if nodes and not self.text[self.at - 1].isspace():
                raise self.error("a space between nodes, or the end")
            if self.take(r"\*"):
                strided = len(nodes)
            nodes.append(self.unit())
        if not nodes:
            raise self.error("a node, as conv3-64")
        return nodes, strided

    def unit(self) -> Any:
        self.space()
        found = self.primary()
        # A stage is read greedily, so `conv3 x2 x3` is a stage of stages.
        while self.take(r"\s+x(?=[\d{])"):
            found = {"Stage": {"body": found, "repeat": self.number(), **self.suffixes(), **self.pairs(Stage)}}
        return found

    def primary(self) -> Any:
        if self.take(r"\["):
            nodes, strided = ([], 0) if self.ends() else self.units()
            self.need("]")
            return _chain(nodes, strided)
        if self.take(r"\{"):
            return self.choice()
        if self.take(r"\("):
            return self.listed(")")
        # An integer stays an int; other numbers are floats.
        if (number := self.take(r"-?(?:\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|inf\b)|nan\b")) is not None:
            return self.whole(number) if re.fullmatch(r"-?\d+", number) else float(number)
        quoted = self.quoted()
        return self.record() if quoted is None else quoted

    def quoted(self) -> str | None:
        """Read a quoted text, if there is one."""
        if (text := self.take(r'"(?:[^"\\]|\\.)*"')) is None:
            return None
        try:
            return str(json.loads(text))
        except ValueError:
            self.at -= len(text)
            raise self.error("a quoted text, escaped as in JSON") from None

    def number(self) -> Any:
        """Read a number or a choice directly after what precedes it."""
        if self.take(r"\{"):
            return self.choice()
        if (digits := self.take(r"\d+")) is None:
            raise self.error("a whole number, or a choice of whole numbers")
        return self.whole(digits)

    def whole(self, digits: str) -> int:
        """Convert the digits of an integer just taken."""
        if len(digits) > 18:
            self.at -= len(digits)
            raise self.error("a number of at most 18 digits")
        return int(digits)

    def listed(self, end: str) -> list[Any]:
        found = []
        while not self.ends(end):
            found.append(self.element())
            self.space()
            if not self.take(","):
                break
        self.need(end)
        return found

    def record(self) -> Any:
        word = self.take(r"[A-Za-z_]\w*")
        if word is None:
            raise self.error("a node, as conv3-64")
        if word in _LITERALS:
            return _LITERALS[word]
        if word in _ACTIVATIONS:
            return {"Activation": {"name": word}}
        cls, given = self.named(word)
        # A choice directly after the name is an open kernel: `sep_conv{kernel: 3 | 5}`. The pattern looks ahead only.
        if self.take(r"(?=\{)") is not None:
            given["kernel"] = self.number()
        given |= {**self.suffixes(), **self.pairs(classes[cls])}
        if (held := _held(classes[cls])) is not None and held not in given:
            self.need("[")
            is_tuple = _holds_tuple(classes[cls], held)
            given[held] = self.listed("]") if is_tuple else self.element()
            if not is_tuple:
                self.need("]")
        return {cls: given}

    def named(self, word: str) -> tuple[str, dict[str, Any]]:
        """Return the class that a word names, and the kernel at its end."""
        if word in self.names:
            return self.names[word], {}
        # Split `conv3x5` into the name and one or two sizes.
        bare, *kernel = re.fullmatch(r"(\w*?)(\d*)(x\d+)?", word).groups()  # type: ignore[union-attr]
        if bare not in self.names or not kernel[0]:
            self.at -= len(word)
            hint = nearest(bare or word, map(name_of, record_classes(Node).values()))
            raise NotationError(f"column {self.at + 1} of {_shortened(self.text)!r} names no node, {word!r}: {hint}")
        sizes = [self.whole(kernel[0]), *([self.whole(kernel[1][1:])] if kernel[1] else [])]
        return self.names[bare], {"kernel": sizes if len(sizes) == 2 else sizes[0]}

    def suffixes(self) -> dict[str, Any]:
        """Read the width and the stride directly after a name."""
        found = {name: self.number() for name, mark in _SUFFIXES.items() if self.take(rf"{mark}(?=[\d{{])")}
        if self.text[self.at : self.at + 1] in _SUFFIXES.values():
            raise self.error("the width and then the stride, whole numbers, as conv3-64/2")
        return found

    def pairs(self, cls: Any) -> dict[str, Any]:
        """Read the fields in parentheses; words that a field accepts need no quotes."""
        found: dict[str, Any] = {}
        if not self.take(r"\("):
            return found
        while not self.ends():
            key = self.take(r"[A-Za-z_]\w*")
            if key is None:
                raise self.error("a field, as groups=4")
            self.need("=")
            self.space()
            words = _words(cls).get(key, ())
            # A word counts only where it is the whole value, as `layer` in `norm=layer)`.
            found[key] = self.take("|".join(rf"{word}(?=\s*[,)])" for word in words)) if words else None
            found[key] = self.unit() if found[key] is None else found[key]
            self.space()
            if not self.take(","):
                break
        self.need(")")
        return found

    def choice(self) -> Any:
        self.space()
        name = quoted if (quoted := self.quoted()) is not None else self.take(_SAFE_NAME.pattern)
        if name is None:
            raise self.error("the choice's name, as {kernel: 3 | 5}")
        k = self.take(r" \d+(?=\s*:)")
        self.need(":")
        options: dict[bool, list[Any]] = {False: [], True: []}
        while True:
            self.space()
            options[self.take("~") is not None].append(self.element())
            if not self.take(r"\|"):
                break
        self.need("}")
        made = {"name": name, "options": options[False], "supernet_only": options[True]}
        return {"Choice": {**made, "k": int(k)} if k else made}


def _chain(nodes: list[Any], strided: int) -> Any:
    return {"Chain": {"nodes": nodes, **({"strided": strided} if strided else {})}}


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def in_lines(text: str, width: int = 120) -> list[str]:
    """Break a long text before and between its outermost bracketed parts, for reading; `parse` accepts the result."""
    if len(text) <= width or not text.endswith("]"):
        return [text]
    lines, depth, opened = [""], 0, _last_bracket(text)
    for i, character in enumerate(text):
        depth += (character in "[({") - (character in "])}")
        lines[-1] += character
        if i == opened or (i > opened and character == "," and depth == 1):
            lines.append("  ")
    return [line if not i else f"  {line.strip()}" for i, line in enumerate(lines)]


def _last_bracket(text: str) -> int:
    """Return the position of the bracket that the last bracket of the text closes."""
    depth = 0
    for i in reversed(range(len(text))):
        depth += (text[i] in "])}") - (text[i] in "[({")
        if depth == 0:
            return i
    return 0
