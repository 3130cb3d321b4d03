"""timm: blocks of mobile networks as strings, `ds_r1_k3_s1_e1_c16_se0.25`, in lists as for `decode_arch_def`.

Source: huggingface/pytorch-image-models, timm/models/_efficientnet_builder.py. The strings are the middle of a network. The
rest is timm's default EfficientNet: a stem of 32 channels, a last convolution of 1280, and ReLU where a string has no
activation (`nsw` and the like). A mapping overrides this: `{arch_def: [...], act_layer: swish, stem_size: 32}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from nas.building import Node
from nas.family import StackedNetwork
from nas.fields import shown
from nas.foreign import Foreign
from nas.layers.activation import RELU, Activation
from nas.layers.attention import divisible
from nas.layers.conv import ConvNormAct
from nas.operations.mbconv import MBConv
from nas.plain import from_plain
from nas.records import Positive, Range, RecordError, nearest
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network

BLOCKS = ("ds", "dsa", "ir", "er", "cn")
OTHERS = ("tu", "uir", "mha", "mqa")
"""Blocks of timm that no family here has."""

ACTIVATIONS = {
    "re": RELU,
    "r6": Activation("relu6"),
    "hs": Activation("hard_swish"),
    "sw": Activation("swish"),
}
LAYERS = {
    "relu": RELU,
    "relu6": ACTIVATIONS["r6"],
    "hard_swish": ACTIVATIONS["hs"],
    "swish": ACTIVATIONS["sw"],
    "silu": ACTIVATIONS["sw"],
}
"""Activations by their names in a mapping."""

KEYS = ("arch_def", "act_layer", "stem_size", "num_features", "num_classes", "drop_rate")
# A block and its options: `_` with letters and perhaps a number, as _k3 or _noskip, or `_n` with an activation, as _nsw.
_STRING = re.compile(rf"({'|'.join((*BLOCKS, *OTHERS))})(_[a-z]+[\d.]*|_n[a-z0-9]+)+")
# repeats, kernel, stride, expansion, channels, squeeze; the others are read only to be refused
_OPTION = re.compile(r"(r|k|s|e|c|se|gs|cc|a|p|d|fc)(\d+(?:\.\d+)*)")


@dataclass(frozen=True, slots=True)
class Block:
    """The block of a string, with its repeats, width and stride."""

    body: Node
    repeat: int
    width: int
    stride: int


def recognises(content: Any) -> bool:
    """Whether a content is a block's string, a list of them or of lists, or a mapping with such a list."""
    if isinstance(content, Mapping):
        return "arch_def" in content
    if isinstance(content, str):
        words = _words(content)
        return bool(words) and all(map(_STRING.fullmatch, words))
    return isinstance(content, list | tuple) and any(map(_is_stack, content))


def _is_stack(stack: Any) -> bool:
    strings = [stack] if isinstance(stack, str) else stack
    return isinstance(strings, list | tuple) and any(
        isinstance(each, str) and _STRING.fullmatch(each) for each in strings
    )


def _words(text: str) -> list[str]:
    return re.split(r"[\s,]+", text.strip())


def read(content: Any) -> StackedNetwork:
    """Return the network of the blocks, with a stem and a head."""
    given = (
        content
        if isinstance(content, Mapping)
        else {"arch_def": _words(content) if isinstance(content, str) else content}
    )
    for key in given:
        if key not in KEYS:
            raise RecordError(f"{key} is not a supported key: {nearest(str(key), KEYS)}")
    name = given.get("act_layer", "relu")
    if name not in LAYERS:
        raise RecordError(f"act_layer is {name!r}: {nearest(str(name), LAYERS)}")
    sizes = {"stem_size": 32, "num_features": 1280, "num_classes": 1000}
    stem, last, classes = (from_plain(given.get(key, size), Positive, key) for key, size in sizes.items())
    dropout = from_plain(given.get("drop_rate", 0.0), Annotated[float, Range(0, 1)], "drop_rate")
    activation = LAYERS[name]
    stacks = from_plain_stacks(given["arch_def"])
    stages = (stage for stack in stacks for stage in _stages(stack, activation))
    network = Network(
        ConvNormAct(3, divisible(stem), 2, activation=activation),
        (*stages, ConvNormAct(1, last, activation=activation)),
        Classifier(classes, dropout=dropout),
    )
    return StackedNetwork("mobile", network, input=(3, 224, 224))


def from_plain_stacks(plain: Any) -> list[list[str]]:
    """Return the strings of each stack; a string outside a list is a stack."""
    if not isinstance(plain, list | tuple) or not plain:
        raise RecordError(f"arch_def is {shown(plain)}: give lists of strings, as ds_r1_k3_s1_e1_c16_se0.25")
    stacks = [[each] if isinstance(each, str) else each for each in plain]
    for stack in stacks:
        if not isinstance(stack, list | tuple) or not stack or not all(isinstance(each, str) for each in stack):
            raise RecordError(f"arch_def has {shown(stack)}: give lists of strings, as ds_r1_k3_s1_e1_c16_se0.25")
    return [list(stack) for stack in stacks]


def _stages(stack: Sequence[str], activation: Activation) -> Iterator[Stage]:
    """Yield the stages of a stack; only its first block has a stride."""
    for i, text in enumerate(stack):
        block = read_block(text, activation)
        yield Stage(block.body, block.repeat, block.width, 1 if i else block.stride)


def read_block(text: str, activation: Activation) -> Block:
    """Return the block of a string. Raises RecordError for a missing option, or for one that no block here has."""
    kind, *options = text.split("_")
    if kind in OTHERS or kind not in BLOCKS:
        raise RecordError(f"{text!r} is a block {kind!r}: of timm's blocks, {', '.join(BLOCKS)} are supported")
    found: dict[str, str] = {}
    words = set[str]()
    for option in options:
        if option in ("skip", "noskip"):
            words.add(option)
        elif option[:1] == "n" and option[1:] in ACTIVATIONS:
            activation = ACTIVATIONS[option[1:]]
        elif (match := _OPTION.fullmatch(option)) is not None and match[1] not in found:
            found[match[1]] = match[2]
        else:
            raise RecordError(f"{text!r} has {option!r}: give each of r, k, s, e, c, se once, and nre, nr6, nhs or nsw")
    for key in ("r", "k", "s", "c", *(["e"] if kind in ("ir", "er") else [])):
        if key not in found:
            raise RecordError(f"{text!r} has no {key}: give one, as in ir_r2_k3_s2_e6_c24_se0.25")
    # Up to 1 (`a`, `p`) or 0 (the others) these options change nothing; above, no block here has them.
    for key in ("gs", "cc", "a", "p", "d", "fc"):
        if float(found.get(key, "0").split(".")[0]) > (key in "ap"):
            raise RecordError(f"{text!r} has {key}{found[key]}, which no block of this library has: leave it out")
    repeat, kernel, stride, width = (_whole(text, key, found[key]) for key in ("r", "k", "s", "c"))
    return Block(_body(text, kind, kernel, found, words, activation), repeat, divisible(width), stride)


def _body(text: str, kind: str, kernel: int, found: Mapping[str, str], words: set[str], activation: Activation) -> Node:
    expansion, squeeze = float(found.get("e", 1)), float(found.get("se", 0))
    residual = "noskip" not in words
    if kind in ("ir", "er") and expansion <= 1:
        raise RecordError(f"{text!r} expands by {expansion:g}: give more than 1, or the block ds")
    if kind == "cn":
        plain = ConvNormAct(kernel, activation=activation)
        return MBConv(kernel, 1.0, activation=activation, fused=True) if "skip" in words else plain
    if kind == "dsa":
        if squeeze:
            raise RecordError(f"{text!r} has attention in a block dsa, which no block of this library has: give ds")
        return Chain(
            (ConvNormAct(kernel, groups="depthwise", activation=activation), ConvNormAct(1, activation=activation))
        )
    ratio = 1.0 if kind == "ds" else expansion
    return MBConv(kernel, ratio, squeeze, activation=activation, fused=kind == "er", residual=residual)


def _whole(text: str, key: str, value: str) -> int:
    if not value.isdigit() or int(value) < 1:
        raise RecordError(f"{text!r} has {key}{value}: give an integer of at least 1")
    return int(value)


foreign = Foreign("huggingface/pytorch-image-models", recognises, read)
