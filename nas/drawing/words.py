"""Words: the label of an operation in a drawing, its details, and the kind that determines its colour."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nas.building import Node
from nas.choice import Choice
from nas.drawing.shapes import TIMES
from nas.labels import operation_label
from nas.layers.activation import Activation
from nas.layers.conv import ConvNormAct
from nas.layers.pool import Pool
from nas.notation import name_of, notation
from nas.records import classes, written
from nas.topology.hierarchy import Motif

KINDS: dict[str, str] = {
    # a word that contains another, as mb_conv contains conv, comes before it
    "classifier": "classifier",
    "auxiliary": "classifier",
    "connected": "classifier",
    "mb_conv": "inverted bottleneck",
    "motif": "cell",
    "sep_conv": "separable",
    "depthwise": "separable",
    "dil_conv": "dilated",
    "shift": "rearrangement",
    "shuffle": "rearrangement",
    "resize": "rearrangement",
    "space_time_conv": "convolution",
    "space_time_pool": "pooling",
    "space": "rearrangement",
    "pyramid": "pooling",
    "pool": "pooling",
    "skip": "skip",
    "zero": "none",
    "bam": "attention",
    "attention": "attention",
    "augmented": "attention",
    "spatial_gate": "attention",
    "non_local": "attention",
    "excite": "attention",
    "inner_imaging": "attention",
    "selective": "attention",
    "conv": "convolution",
    "norm": "norm, activation",
    "layer_scale": "norm, activation",
    "core_unit": "norm, activation",
}
"""The kind of an operation by a word in its notation name; the first match counts."""

_HIDDEN = frozenset(("padding", "ceil", "count_padding", "bias", "drop_path", "initial", "squeeze_of"))
"""Fields that affect only borders and training; they are shown in the tooltip alone."""

MOST = 8
"""The largest number of numeric options that are listed; of more, the first two and the last are."""

LINE = 58
"""The maximum length of a line of details, in letters."""


def kind_of(node: Any) -> str:
    """Return the kind of an operation; for a choice, the kind that all its options share, else "other"."""
    if isinstance(node, Choice):
        kinds = {kind_of(option) for option in node.options}
        return kinds.pop() if len(kinds) == 1 else "other"
    if isinstance(node, Activation):
        return "norm, activation"
    if isinstance(node, ConvNormAct) and (node.groups == "depthwise" or node.dilation != 1):
        return "separable" if node.groups == "depthwise" else "dilated"
    name = name_of(type(node)).lower()
    return next((kind for word, kind in KINDS.items() if word in name), "other")


def node_label(node: Any) -> str:
    """Return the label of a node, such as `sep_conv_3x3`."""
    if isinstance(node, Activation) and isinstance(node.name, str):
        return node.name
    if isinstance(node, Motif):
        return f"motif {value_of(node.number)}"
    is_depthwise = isinstance(node, ConvNormAct) and node.groups == "depthwise"
    return f"depthwise_{operation_label(node)}" if is_depthwise else operation_label(node)


def value_of(value: Any) -> str:
    """Return a value as short text: a number, a node's label and details, or the options of an open choice."""
    if isinstance(value, Choice):
        options = [value_of(option) for option in value.options]
        is_long = len(options) > MOST and all(isinstance(option, int | float) for option in value.options)
        return " | ".join([*options[:2], "…", options[-1]] if is_long else options)
    if isinstance(value, tuple):
        return ", ".join(map(value_of, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Node):
        return " ".join((node_label(value), *said_of(value)))
    return "none" if value is None else notation(value) if type(value).__name__ in classes else str(value)


def said_of(node: Any, leave_out: Iterable[str] = ()) -> list[str]:
    """Return a node's fields that are not defaults in words, except the kernel and the fields in `leave_out`."""
    hidden = {"kernel", *_HIDDEN, *leave_out}
    if isinstance(node, Activation) and isinstance(node.name, str):
        hidden.add("name")
    if isinstance(node, Pool):
        hidden.add("kind")
    if isinstance(node, Motif):
        hidden.add("number")
    if isinstance(node, ConvNormAct) and node.groups == "depthwise":
        hidden.add("groups")
    return [word for name, value in written(node) if name not in hidden and (word := _said(name, value))]


def _said(name: str, value: Any) -> str:
    """Return a field in words: `stride 2`, `×0.25`, `no norm`, `expansion 6`."""
    words = name.replace("_", " ")
    known: dict[tuple[str, Any], str] = {
        ("activation", None): "linear",
        ("activation", "none"): "linear",
        ("order", "pre"): "pre-activated",
        **{("norm", kind): f"{kind} norm" for kind in ("layer", "group", "instance")},
    }
    if isinstance(value, bool | None | str) and (name, value) in known:
        return known[name, value]
    if isinstance(value, bool):
        return words if value else f"no {words}"
    if value in (None, "none", ()):
        return f"no {words}"
    text = value_of(value)
    if isinstance(value, Choice):
        text = f"({text})"
    marks = {
        "stride": f"stride {text}",
        "strided": f"or {text}",
        "classes": f"{text} classes",
        "channels": f"{text} channels",
        "nodes": f"{text} nodes",
        "heads": f"{text} heads",
        "name": text,
        "repeats": f"{text} times" if text != "1" else "once",
        "ratio": f"{TIMES}{text}",
        "groups": f"{text} groups",
        "activation": text,
        "gate": text,
    }
    return marks.get(name, f"{words} {text}")


def wrap_words(words: Iterable[str]) -> tuple[str, ...]:
    """Return words as comma-separated lines; a word too long for a line is broken at its spaces."""
    lines: list[str] = []
    for word in words:
        # joined words fill about half a line, which keeps boxes narrow; only a single long word takes the whole of LINE
        if lines and len(lines[-1]) + len(word) + 2 <= LINE // 2 + 6:
            lines[-1] += f", {word}"
        else:
            lines += _broken(word)
    return tuple(lines)


def _broken(text: str) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > LINE:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines
