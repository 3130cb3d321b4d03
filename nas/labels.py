"""Labels: the names of operations in charts, tables and drawings: `sep_conv_5x5`, `skip_connect`, `none`.

The names are those of the genotypes of DARTS (Liu et al. 2019) and of the strings of NAS-Bench-201 (Dong and Yang 2020). Other
operations are named as in notation, with their kernel written the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from nas.building import Node
from nas.choice import Choice, parts_of
from nas.notation import name_of, notation
from nas.records import classes, import_all
from nas.topology.chain import Chain, Stage

STRUCTURES = {"Residual": "residual", "Dense": "dense", "Branches": "inception", "Chain": "serial", "Stage": "serial"}
"""The names of structures, by class."""

# The published names, where they differ from those in notation: `avg_pool`, `skip_connect`, `none` of DARTS; `nor_conv` of
# NAS-Bench-201.
_KINDS = {"mean": "avg"}

_WORDS = {"Skip": "skip_connect", "Zero": "none", "Conv": "nor_conv", "ConvNormAct": "conv"}


def option_label(option: Any) -> str:
    """Return the label of an option: for an operation its name and its non-default settings, for other values the notation."""
    if isinstance(option, str):
        return option
    if isinstance(option, Chain) and isinstance(option.nodes, tuple):
        return " ".join(map(option_label, option.nodes))
    if isinstance(option, tuple) and all(isinstance(each, Node) for each in option):
        return ", ".join(map(option_label, option)) or "empty"
    text = notation(option)
    glued = _glued(option) if isinstance(option, Node) else ""
    return operation_label(option) + _said(option, text.removeprefix(glued)) if glued else text


def operation_label(node: Any) -> str:
    """Return the name of an operation with its kernel but without its other settings: `max_pool_3x3`."""
    kernel, word = getattr(node, "kernel", None), _word(type(node).__name__)
    if type(node).__name__ == "Pool":
        word = f"{_KINDS.get(node.kind, node.kind)}_pool"
    if type(node).__name__ == "AsymmetricConv":
        return f"conv_{kernel}x1_1x{kernel}"
    return word if kernel is None else f"{word}_{_size(kernel)}"


def labels_of(choice: Choice) -> tuple[str, ...]:
    """Return a short label for each option: its structure or its name, numbered where labels repeat."""
    labels = [structure_label(option) for option in choice.options]
    bare = [re.sub(r"\(.*\)", "", label) for label in labels]
    labels = [each if bare.count(each) == 1 else label for each, label in zip(bare, labels, strict=True)]
    numbered = (f"{label} {i + 1}" if labels.count(label) > 1 else label for i, label in enumerate(labels))
    return tuple(numbered)


def structure_label(option: Any) -> str:
    """Return the structure of an option, which is that of its first node that is not a chain; else its name."""
    if isinstance(option, Choice) and len(alike := {structure_label(each) for each in option.options}) == 1:
        return alike.pop()
    if isinstance(option, Chain | Stage):
        inner = next(_structures(option), None)
        return inner or "serial"
    return STRUCTURES.get(type(option).__name__) or option_label(option)


def _structures(tree: Any) -> Iterator[str]:
    """Yield the structures in a tree, outermost first."""
    if isinstance(tree, Node) and type(tree).__name__ in STRUCTURES and not isinstance(tree, Chain | Stage):
        yield STRUCTURES[type(tree).__name__]
    values_of = parts_of(type(tree))
    for part in (
        tree if isinstance(tree, tuple) else values_of(tree) if values_of and not isinstance(tree, Choice) else ()
    ):
        if isinstance(part, Node | tuple):
            yield from _structures(part)


@cache
def stored_label(key: str) -> str:
    """Return the label of an option from the key under which a supernet search stores it: `SepConv 5` is `sep_conv_5x5`."""
    for package in ("nas.layers", "nas.operations", "nas.topology"):
        import_all(package)
    bare, _, again = key.partition(" (")  # a number in parentheses: the second, third, ... option with the same key
    kind, *settings = bare.split(" ")
    if kind not in classes or not issubclass(classes[kind], Node):
        return key
    sizes = [f"{each}x{each}" for each in settings if each.isdigit()]
    others = ", ".join(each for each in settings if not each.isdigit())
    label = "_".join([_word(kind), *sizes]) + (f"({others})" if others else "")
    return f"{label} ({again}" if again else label


def _word(kind: str) -> str:
    return _WORDS.get(kind) or name_of(classes[kind])


def _size(kernel: Any) -> str:
    if isinstance(kernel, tuple):
        return "x".join(map(str, kernel))
    return f"{{{'|'.join(map(str, kernel.options))}}}" if isinstance(kernel, Choice) else f"{kernel}x{kernel}"


def _said(node: Any, rest: str) -> str:
    """Return the settings after a name, without those that the name already contains: the kind of a pool."""
    return re.sub(r'\(kind="\w+"\)|kind="\w+", |, kind="\w+"', "", rest) if type(node).__name__ == "Pool" else rest


def _glued(node: Any) -> str:
    """Return the part of a node's notation that its label replaces: class and kernel; empty where they are not adjacent."""
    head = re.escape(name_of(type(node)))
    kernel = getattr(node, "kernel", None)
    sizes = "x".join(map(str, kernel)) if isinstance(kernel, tuple) else "" if kernel is None else notation(kernel)
    found = re.match(head + (re.escape(sizes) + r"(?!\d)" if sizes else ""), notation(node))
    return found.group() if found else ""
