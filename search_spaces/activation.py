"""Activation functions: compositions of unary and binary functions of one number, in a small ResNet.

Source: Ramachandran et al. 2017, arXiv:1710.05941, section 2; published functions from the table in section 3. The child
network is the paper's, ResNet-20 for images of 32x32 (He et al. 2016, arXiv:1512.03385), by default pre-activated
(arXiv:1603.05027): there a norm precedes every function, so that fast-growing functions do not overflow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, reduce
from itertools import product

from nas.family import Family, OtherForm
from nas.fields import shown
from nas.layers.activation_function import BINARY, UNARY, CoreUnit
from nas.layers.conv import ConvNormAct, Normalize, bare
from nas.records import Positive
from nas.space import one_of
from nas.topology.chain import Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network
from search_spaces import resnet


def activation_space(
    unary: Sequence[str] = tuple(UNARY), binary: Sequence[str] = tuple(BINARY), units: int = 1
) -> CoreUnit:
    """Return the space of functions of `units` core units in a chain; each reads the one before it and x."""

    def unit(inner: CoreUnit | None, i: int) -> CoreUnit:
        name = f"unit{i + 1}"
        # β does not depend on the unit's input: as `first` it would ignore the inner unit.
        reading = [each for each in unary if i == 0 or each != "beta"]
        first, second = one_of(f"{name}/first", reading), one_of(f"{name}/second", unary)
        return CoreUnit(one_of(f"{name}/binary", binary), first, second, inner)

    return reduce(unit, range(1, units), unit(None, 0))


def describe(function: CoreUnit) -> str:
    """Return a function as a formula; b is a learned number, one per channel."""
    return function.formula()


def parse(text: str) -> CoreUnit:
    """Return the function of a formula by `describe`. Raises OtherForm where it is none of a core unit."""
    formula, inner = " ".join(text.split()), None
    start, end = formula.find("["), formula.rfind("]")
    if 0 <= start < end:
        inner = parse(formula[start + 1 : end])
        formula = f"{formula[:start]}[x]{formula[end + 1 :]}"
    number = re.search(r"\d+\.\d+(?:e[+-]?\d+)?", formula)
    # A constant β is written as its number: put b in its place and look the formula up.
    plain = formula if number is None else re.sub(re.escape(number.group()), "b", formula)
    if (functions := _functions().get(plain)) is None:
        raise OtherForm(f"{shown(text)} is not a function of core units, as x * sigmoid(b * x)")
    return CoreUnit(*functions, inner, "learned" if number is None else float(number.group()))


@cache
def _functions() -> dict[str, tuple[str, str, str]]:
    """Return (binary, first, second) by formula, with and without an inner unit."""
    # Stands in for an inner unit: its formula in brackets is replaced by "[x]".
    identity = CoreUnit("subtract", "identity", "identity")
    known: dict[str, tuple[str, str, str]] = {}
    for binary, first, second in product(BINARY, UNARY, UNARY):
        known.setdefault(CoreUnit(binary, first, second).formula(), (binary, first, second))
        if first != "beta":
            formula = CoreUnit(binary, first, second, identity).formula()
            known.setdefault(formula.replace(f"[{identity.formula()}]", "[x]"), (binary, first, second))
    return known


def network(
    function: CoreUnit, channels: Positive = 16, depth: Positive = 3, classes: Positive = 10, preactivated: bool = True
) -> Network:
    """Return a ResNet of three stages of `depth` blocks, with `function` instead of every ReLU."""
    block = (resnet.preactivated if preactivated else resnet.basic)(resnet.PADDED, function)
    stages = [Stage(block, depth, channels * 2**i, 1 if i == 0 else 2) for i in range(3)]
    if not preactivated:
        return Network(ConvNormAct(3, channels, activation=function), tuple(stages), Classifier(classes))
    return Network(bare(3, channels), (*stages, Stage(Normalize(activation=function))), Classifier(classes))


# "gate" is second * sigmoid(first), so Swish is x * sigmoid(b * x). A square is a product in an inner unit.
PUBLISHED: dict[str, CoreUnit] = {
    "relu": CoreUnit("subtract", "identity", "negative_part"),
    "swish": CoreUnit("gate", "scale", "identity"),
    "swish_1": CoreUnit("gate", "scale", "identity", beta=1.0),
    "max_x_sigmoid": CoreUnit("max", "identity", "sigmoid"),
    "cos_minus_x": CoreUnit("subtract", "cos", "identity"),
    "min_x_sin": CoreUnit("min", "identity", "sin"),
    "square_atan_minus_x": CoreUnit("subtract", "identity", "identity", CoreUnit("multiply", "atan", "atan")),
    "max_x_tanh": CoreUnit("max", "identity", "tanh"),
    "sinc_plus_x": CoreUnit("add", "sinc", "identity"),
    "x_square_asinh": CoreUnit("multiply", "identity", "identity", CoreUnit("multiply", "asinh", "asinh")),
}

SOURCES = {"relu": "Nair and Hinton 2010, ICML"}

family = Family(
    "Ramachandran et al. 2017, arXiv:1710.05941", activation_space, network, describe, PUBLISHED, SOURCES, parse=parse
)
