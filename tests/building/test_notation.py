"""The compact notation: what it looks like, that it comes back, and what is said of a text that is none."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import field
from random import Random
from typing import Any

import pytest
from torch import nn

import nas
from nas.building import Node, Site
from nas.choice import Choice
from nas.family import families
from nas.layers.activation import Activation
from nas.layers.conv import ConvNormAct
from nas.layers.pool import Pool
from nas.notation import in_lines, notation, parse
from nas.operations.separable import SepConv
from nas.operations.skip import Skip, Zero
from nas.records import RecordError, record
from nas.space import one_of, some_of
from nas.topology.branches import Branches
from nas.topology.chain import Chain, Stage
from nas.topology.residual import Residual
from search_spaces.macro import macro

CONV = ConvNormAct(3)

WRITTEN: list[tuple[Any, str]] = [
    (CONV, "conv3"),
    (ConvNormAct(3, 64, 2), "conv3-64/2"),
    (ConvNormAct((1, 7), 64), "conv1x7-64"),
    (ConvNormAct(1, groups=4, activation=None), "conv1(groups=4, activation=none)"),
    (ConvNormAct(3, groups="depthwise"), 'conv3(groups="depthwise")'),
    (ConvNormAct(3, activation=Activation("swish")), "conv3(activation=swish)"),
    (Pool(3, 1), "pool3/1"),
    (Stage(Residual(Stage(ConvNormAct(3, 64), 2)), 3), "residual[conv3-64 x2] x3"),
    (Stage(CONV, 1, 16), "conv3 x1-16"),
    (Stage(CONV, 2, 16, 2, ratio=0.5), "conv3 x2-16/2(ratio=0.5)"),
    (Stage(Stage(CONV, 2), 3), "conv3 x2 x3"),
    (Chain((CONV, Skip())), "conv3 skip"),
    (Chain((CONV,)), "[conv3]"),
    (Chain(()), "[]"),
    (Chain((CONV, Chain((CONV, Skip())))), "conv3 [conv3 skip]"),
    (Chain((CONV, CONV, CONV), strided=1), "conv3 *conv3 conv3"),
    (Stage(Chain((CONV, Skip())), 2), "[conv3 skip] x2"),
    (Residual(Chain((CONV,))), "residual[[conv3]]"),
    (Residual(CONV, Skip()), "residual(shortcut=skip)[conv3]"),
    (Residual(CONV, Chain((CONV, Skip()))), "residual(shortcut=[conv3 skip])[conv3]"),
    (Branches((CONV, Chain((CONV, Skip())))), "branches[conv3, conv3 skip]"),
    (Branches((CONV,), "add"), 'branches(join="add")[conv3]'),
    (one_of("a/b", [CONV, Skip()]), "{a/b: conv3 | skip}"),
    (SepConv(one_of("k", [3, 5])), "sep_conv{k: 3 | 5}"),
    (Stage(CONV, one_of("d", [1, 2]), one_of("w", [8, 16])), "conv3 x{d: 1 | 2}-{w: 8 | 16}"),
    (some_of("two", 2, [CONV, Skip(), Pool()]), "{two 2: conv3 | skip | pool3}"),
    (Choice("c", (CONV, Skip()), None, (Zero(),)), "{c: conv3 | skip | ~zero}"),
    (one_of("odd: name", [CONV, Chain((CONV, Skip()))]), '{"odd: name": conv3 | conv3 skip}'),
    (one_of("two words 3", [CONV, Skip()]), '{"two words 3": conv3 | skip}'),
    ((1, 2.5, True, None, "x"), '(1, 2.5, true, none, "x")'),
    ((1,), "(1,)"),
    (Residual(Chain((CONV, CONV), one_of("s", [0, 1]))), "residual[chain(strided={s: 0 | 1})[conv3, conv3]]"),
    (Branches(some_of("p", 2, [CONV, Skip(), Pool()])), "branches(paths={p 2: conv3 | skip | pool3})"),
    (Chain(some_of("p", 1, [CONV, Skip()])), "chain(nodes={p 1: conv3 | skip})"),
    (ConvNormAct((one_of("k", [3, 5]), 1)), "conv(kernel=({k: 3 | 5}, 1))"),
    (Residual(CONV, scale=float("inf")), "residual(scale=inf)[conv3]"),
    (Residual(CONV, scale=-0.5), "residual(scale=-0.5)[conv3]"),
    (one_of("", [CONV, Skip()]), '{"": conv3 | skip}'),
]


@pytest.mark.parametrize(("tree", "text"), WRITTEN, ids=[text for _, text in WRITTEN])
def test_a_tree_is_written_so_and_read_back(tree: Any, text: str) -> None:
    assert notation(tree) == text
    assert parse(text) == tree
    assert nas.digest(parse(text)) == nas.digest(tree)


def test_a_word_of_a_field_needs_no_quotes() -> None:
    assert parse("conv3-4(norm=none, activation=none)") == ConvNormAct(3, 4, norm="none", activation=None)
    assert parse("conv3(norm = layer )") == ConvNormAct(3, norm="layer")
    assert parse("conv3(groups=depthwise)") == parse('conv3(groups="depthwise")')
    assert parse("branches(join=add)[conv3, skip]") == Branches((CONV, Skip()), "add")
    assert parse("residual(shortcut=skip(strided=bare))[conv3]") == Residual(CONV, Skip("bare"))


def test_spaces_in_a_text_do_not_matter() -> None:
    assert parse(" residual[ conv3-64   x2 ]\n x3 ") == parse("residual[conv3-64 x2] x3")
    assert parse("{ a :conv3|skip }") == one_of("a", [CONV, Skip()])


WRONG = [
    ("", "column 1 of '' is the end: write a node, as conv3-64"),
    ("residual[conv3", "column 15 of 'residual[conv3' is the end: write ']'"),
    ("residual", "is the end: write '['"),
    ("residul[conv3]", "names no node, 'residul': did you mean 'residual'?"),
    ("conv3]", "column 6 of 'conv3]' is ']': write the end"),
    ("conv3-x", "is '-x': write the width and then the stride, whole numbers, as conv3-64/2"),
    ("conv3--64", "column 6 of 'conv3--64' is '--64': write the width and then the stride"),
    ("conv3/2-64", "is '-64': write the width and then the stride, whole numbers, as conv3-64/2"),
    ("conv3-64-64", "is '-64': write the width and then the stride"),
    ("conv3-64/", "is '/': write the width and then the stride"),
    ("conv3 x2--8", "is '--8': write the width and then the stride"),
    ("conv3/0", "ConvNormAct.stride is 0: give a number of at least 1"),
    ("conv3-0", "ConvNormAct.channels is 0: give a number of at least 1"),
    ("conv0", "ConvNormAct.kernel is 0: give a number of at least 1"),
    ("conv3(groups=-1)", "ConvNormAct.groups is -1: give a number of at least 1"),
    ("conv3(norm=butch)", "names no node, 'butch'"),
    ("conv3px", "names no node, 'conv3px'"),
    ("conv3 64", "64: give a Node"),
    ("conv" + "9" * 30, "write a number of at most 18 digits"),
    ("conv3-" + "9" * 5000, "write a number of at most 18 digits"),
    ("conv3(group=4)", "ConvNormAct.group: no such key; did you mean 'groups'?"),
    ("conv3(groups)", "write '='"),
    ("conv3(4)", "write a field, as groups=4"),
    ("conv3 x0", "Stage.repeat is 0: give a number of at least 1"),
    ("{: conv3}", "write the choice's name, as {kernel: 3 | 5}"),
    ("{a conv3}", "write ':'"),
    ("{a: conv3 | conv3}", "all different"),
    ("residual[]", "write a node, as conv3-64"),
    ("conv3(activation=sep)", "names no node, 'sep'"),
    ('conv3(order="first")', "ConvNormAct.order is 'first'"),
    ('conv3(order="\\x")', "write a quoted text, escaped as in JSON"),
    ("sep_conv3[conv3]", "is '[conv3]': write a space between nodes, or the end"),
]


@pytest.mark.parametrize(("text", "said"), WRONG, ids=[text for text, _ in WRONG])
def test_a_text_that_is_no_tree_is_refused_with_the_place(text: str, said: str) -> None:
    with pytest.raises(RecordError) as error:
        parse(text)
    assert said in str(error.value)


def test_a_damaged_text_is_read_or_refused_and_nothing_else() -> None:
    rng, text = Random(0), notation(nas.sample(macro(), Random(0)))
    for _ in range(300):
        start, length = rng.randrange(len(text)), rng.randrange(1, 6)
        damaged = text[:start] + rng.choice(["", "]", "{", "x", "3", " ", '"']) + text[start + length :]
        with suppress(RecordError):
            parse(damaged)


@pytest.mark.parametrize("name", families())
def test_samples_of_every_space_come_back(name: str) -> None:
    space, rng = families()[name].space(), Random(1)
    for _ in range(3):
        architecture = nas.sample(space, rng)
        assert parse(notation(architecture)) == architecture


def test_records_of_ones_own_are_not_taken_for_others(own_records: None) -> None:
    @record
    class Conv2(Node):
        kernel: int = 3

        def build(self, site: Site) -> nn.Module:
            return nn.Identity()

    @record
    class Relu(Node):
        def build(self, site: Site) -> nn.Module:
            return nn.ReLU()

    @record
    class Wrapped(Node):
        kernel: int | None = 3
        body: Node = field(default_factory=Skip)

        def build(self, site: Site) -> nn.Module:
            return nn.Identity()

    trees: list[Any] = [Conv2(5), Chain((Relu(), Activation())), Wrapped(None), Wrapped(5, CONV)]
    assert [notation(tree) for tree in trees] == [
        "Conv2(kernel=5)",
        "Relu relu",
        "wrapped(kernel=none)",
        "wrapped5(body=conv3)",
    ]
    for tree in trees:
        assert parse(notation(tree)) == tree


def test_a_very_deep_text_is_refused() -> None:
    with pytest.raises(RecordError, match="is nested too deeply to be read: write it as JSON"):
        parse("[" * 2000 + "conv3" + "]" * 2000)


def test_a_long_text_is_broken_between_the_stages_and_still_read() -> None:
    architecture = nas.sample(macro(), Random(2))
    lines = in_lines(notation(architecture), 80)
    assert len(lines) == 4
    assert all(line.startswith("  [") for line in lines[1:])
    assert parse("\n".join(lines)) == architecture
    assert in_lines("conv3 x2") == ["conv3 x2"]
