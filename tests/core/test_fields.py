"""What is given in Python: a record checks its fields when it is made, and the public functions their arguments."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Mapping
from dataclasses import fields
from enum import IntEnum
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import nas
from nas.building import Node, Site
from nas.layers.activation import Activation
from nas.layers.conv import ConvNormAct
from nas.operations.conv import Conv
from nas.operations.separable import SepConv
from nas.operations.skip import Skip
from nas.records import RecordError, digest, record, to_plain
from nas.topology.cell import Cell, Edge
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network
from nas.topology.residual import Residual

STEM, HEAD = ConvNormAct(3, 8), Classifier(10)
ANY: Any = None


class Size(IntEnum):
    """A number with a name, as people declare their settings."""

    FIVE = 5


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a float for a whole number": (lambda: Conv(3.0), "Conv.kernel is 3.0: give a whole number"),
    "a text for a whole number": (lambda: Conv("3"), "Conv.kernel is '3': give a whole number"),
    "a bool for a whole number": (lambda: Conv(True), "Conv.kernel is True: give a whole number"),
    "None for a whole number": (lambda: Conv(None), "Conv.kernel is None: give a whole number"),
    "a tensor for a whole number": (lambda: Conv(torch.tensor(3)), "Conv.kernel is tensor(3): give a whole number"),
    "an array for a whole number": (lambda: Conv(np.array(3)), "Conv.kernel is array(3): give a whole number"),
    "half a channel": (
        lambda: ConvNormAct(3, channels=12.5),
        "ConvNormAct.channels is 12.5: give a whole number or None",
    ),
    "no channels": (lambda: ConvNormAct(3, 0), "ConvNormAct.channels is 0: give a number of at least 1"),
    "a wrong part of a pair": (lambda: ConvNormAct((3, 0)), "ConvNormAct.kernel[1] is 0: give a number of at least 1"),
    "a text for a number": (lambda: Residual(Skip(), scale="2"), "Residual.scale is '2': give a number"),
    "a whole number that no float holds": (lambda: Residual(Skip(), scale=10**400), "Residual.scale is 1000"),
    "a number for a bool": (lambda: Conv(3, norm=1), "Conv.norm is 1: give true or false"),
    "a name that is none": (lambda: Conv(3, padding="sam"), "Conv.padding is 'sam': did you mean 'same'?"),
    "a number for a name": (lambda: Activation(3), "Activation.name is 3: known are"),
    "a stage for several": (lambda: Network(STEM, Stage(Skip()), HEAD), "Network.stages is Stage("),
    "a text for a node": (
        lambda: ConvNormAct(3, activation="relu"),
        "ConvNormAct.activation is 'relu': give a Node (as Activation('relu')",
    ),
    "a class for a node": (lambda: Residual(Skip), "Residual.body is the class Skip: give a Node"),
    "a module for a node": (lambda: Residual(nn.ReLU()), "Residual.body is ReLU(): give a Node"),
    "a number among nodes": (lambda: Chain((Skip(), 3)), "Chain.nodes[1] is 3: give a Node"),
    "a node among edges": (lambda: Cell(((Skip(),),)), "Cell.nodes[0][0] is Skip("),
    "a float for a state": (lambda: Edge(0.0, Skip()), "Edge.source is 0.0: give a whole number"),
    "a wrong option": (
        lambda: Conv(nas.one_of("k", [3, "5"])),
        "Conv.kernel is '5': give a whole number; it is an option",
    ),
    "a wrong option of several": (lambda: Chain(nas.some_of("n", 1, [Skip(), 3])), "is 3: give a Node"),
    "one option for several": (lambda: Chain(nas.one_of("n", [Skip()])), "Chain.nodes is Skip("),
    "several options for one": (lambda: Conv(nas.some_of("k", 2, [3, 5, 7])), "Conv.kernel is (3, 5): give a whole"),
    "a choice without a name": (lambda: nas.one_of(ANY, [3, 5]), "give a name and then a list"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_record_made_of_something_else_says_which_field_and_what_to_give(what: str) -> None:
    make, said = REFUSED[what]
    with pytest.raises(RecordError) as refused:
        make()
    assert str(refused.value).startswith(said) or said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


ACCEPTED: dict[str, tuple[Callable[[], Any], Any]] = {
    "a number of numpy": (lambda: Conv(np.int64(5)), Conv(5)),
    "a number with a name": (lambda: Conv(Size.FIVE), Conv(5)),
    "a float of numpy": (lambda: Residual(Skip(), scale=np.float32(0.5)), Residual(Skip(), scale=0.5)),
    "a whole number for a float": (lambda: Residual(Skip(), scale=2), Residual(Skip(), scale=2.0)),
    "a text of numpy": (lambda: Activation(np.str_("swish")), Activation("swish")),
    "a list of nodes": (lambda: Network(STEM, [Stage(Skip())], HEAD), Network(STEM, (Stage(Skip()),), HEAD)),
    "lists in lists": (lambda: Cell([[Edge(0, Skip())]]), Cell(((Edge(0, Skip()),),))),
    "a pair as a list": (lambda: ConvNormAct([1, 7]), ConvNormAct((1, 7))),
    "a pair of which a part is open": (
        lambda: ConvNormAct([nas.one_of("k", [3, 5]), 1]),
        ConvNormAct((nas.one_of("k", [3, 5]), 1)),
    ),
}


@pytest.mark.parametrize("what", ACCEPTED)
def test_what_can_only_mean_one_thing_is_taken_for_it(what: str) -> None:
    make, same = ACCEPTED[what]
    made = make()
    assert made == same
    assert digest(made) == digest(same)
    assert nas.from_plain(to_plain(made)) == same
    assert pickle.loads(pickle.dumps(made)) == same
    for each in fields(made):
        assert type(getattr(made, each.name)) is type(getattr(same, each.name))


def test_a_record_may_name_a_class_that_comes_later(own_records: None) -> None:
    @record
    class LateHolder:
        inner: LateInner | None = None
        width: int = 1

    assert LateHolder().inner is None  # its annotation names nothing yet
    with pytest.raises(RecordError, match=r"LateHolder\.width is 'x': give a whole number"):
        LateHolder(width=ANY or "x")

    @record
    class LateInner:
        pass

    globals()["LateInner"] = LateInner
    try:
        assert LateHolder(LateInner()).inner == LateInner()
        with pytest.raises(RecordError, match=r"LateHolder\.inner is 3: give a LateInner or None"):
            LateHolder(ANY or 3)
    finally:
        del globals()["LateInner"]


def test_the_check_of_ones_own_comes_after_that_of_the_types(own_records: None) -> None:
    @record
    class OwnCheck:
        values: tuple[int, ...]
        names: Mapping[str, int]

        def __post_init__(self) -> None:
            if sum(self.values) > 3:
                raise RecordError("too much")

    assert OwnCheck(ANY or [1, 2], {"a": 1}).values == (1, 2)
    with pytest.raises(RecordError, match="too much"):
        OwnCheck((4,), {})
    with pytest.raises(RecordError, match=r"OwnCheck\.values\[1\] is 'a': give a whole number"):
        OwnCheck(ANY or (1, "a"), {})
    with pytest.raises(RecordError, match=r"OwnCheck\.names\.a is 'b': give a whole number"):
        OwnCheck((1,), ANY or {"a": "b"})


# ---------------------------------------------------------------------------------------------------- public functions

SPACE: Any = Chain((nas.one_of("first", [SepConv(3), Skip()]), nas.one_of("second", [SepConv(5), Skip()])))
MEMBER: Any = Chain((Skip(), Skip()))
RNG = Random(0)
NO_TREES: tuple[Any, ...] = (
    None,
    3,
    "darts",
    SepConv,
    torch.zeros(40, 40),
    nn.Linear(3, 3),
    np.zeros(3),
    random_module := __import__("random"),
)
NO_RNGS: tuple[Any, ...] = (0, None, "0", np.random.default_rng(0), torch.Generator(), Random, random)
NO_SHAPES: tuple[Any, ...] = (
    32,
    None,
    "3,32,32",
    (32, 32),
    (1, 3, 32, 32),
    (3, 0, 32),
    (3, 32.5, 32),
    torch.zeros(3, 8, 8),
)

WRONG_CALLS: dict[str, list[Callable[[], Any]]] = {
    "build": [
        *(lambda tree=tree: nas.build(tree) for tree in NO_TREES),
        *(lambda shape=shape: nas.build(SepConv(3), shape) for shape in NO_SHAPES),
        lambda: nas.build(SepConv(3), (3, 8, 8), ANY or 3),
    ],
    "profile": [
        *(lambda tree=tree: nas.profile(tree) for tree in NO_TREES),
        *(lambda shape=shape: nas.profile(SepConv(3), shape) for shape in NO_SHAPES),
    ],
    "search": [
        *(lambda tree=tree: nas.search(tree, len, evaluations=1) for tree in NO_TREES if not isinstance(tree, str)),
        lambda: nas.search(SPACE, ANY or 3, evaluations=1),
        lambda: nas.search(SPACE, len, ANY or "evolution", evaluations=1),
        lambda: nas.search(SPACE, len, evaluations=ANY or "many"),
        lambda: nas.search(SPACE, len, evaluations=1, objective=ANY or 3),
        lambda: nas.search(SPACE, len, evaluations=1, limits=ANY or 3),
        lambda: nas.search(SPACE, len, evaluations=1, limits={"params": ANY or 3}),
        lambda: nas.search(SPACE, len, evaluations=1, folder=ANY or 3),
    ],
    "resume": [lambda folder=folder: nas.resume(folder) for folder in ("nowhere", ANY or 3)],
    "load": [lambda folder=folder: nas.load(folder) for folder in ("nowhere", ANY or 3)],
    "Run": [lambda: nas.load("nowhere").best],
    "count": [lambda tree=tree: nas.count(tree) for tree in NO_TREES],
    "enumerate_architectures": [lambda tree=tree: nas.enumerate_architectures(tree) for tree in NO_TREES],
    "sample": [
        *(lambda tree=tree: nas.sample(tree, RNG) for tree in NO_TREES),
        *(lambda rng=rng: nas.sample(SPACE, rng) for rng in NO_RNGS),
        lambda: nas.sample(SPACE, RNG, ANY or "uniform"),
        lambda: nas.sample(ANY or [SPACE], RNG),
    ],
    "mutate": [
        *(lambda tree=tree: nas.mutate(tree, MEMBER, RNG) for tree in NO_TREES),
        *(lambda tree=tree: nas.mutate(SPACE, tree, RNG) for tree in NO_TREES),
        *(lambda rng=rng: nas.mutate(SPACE, MEMBER, rng) for rng in NO_RNGS),
        lambda: nas.mutate(SPACE, MEMBER),  # type: ignore[call-arg]
    ],
    "crossover": [
        *(lambda tree=tree: nas.crossover(tree, MEMBER, MEMBER, RNG) for tree in NO_TREES),
        *(lambda tree=tree: nas.crossover(SPACE, MEMBER, tree, RNG) for tree in NO_TREES),
        *(lambda rng=rng: nas.crossover(SPACE, MEMBER, MEMBER, rng) for rng in NO_RNGS),
    ],
    "neighbours": [
        *(lambda tree=tree: nas.neighbours(tree, MEMBER) for tree in NO_TREES),
        *(lambda tree=tree: nas.neighbours(SPACE, tree) for tree in NO_TREES),
    ],
    "decisions": [
        *(lambda tree=tree: nas.decisions(tree, MEMBER) for tree in NO_TREES),
        *(lambda tree=tree: nas.decisions(SPACE, tree) for tree in (*NO_TREES, SPACE, Chain((Skip(),)), Chain(()))),
    ],
    "encode": [
        *(lambda tree=tree: nas.encode(tree, MEMBER) for tree in NO_TREES),
        *(lambda tree=tree: nas.encode(SPACE, tree) for tree in NO_TREES),
    ],
    "resolve": [
        *(lambda tree=tree: nas.resolve(tree, lambda choice: 0) for tree in NO_TREES),
        *(lambda made=made: nas.resolve(SPACE, lambda choice: made) for made in (2, -1, None, "0", 0.5)),
        lambda: nas.resolve(Chain(nas.some_of("n", 1, [Skip(), Conv()])), lambda choice: 2),
        lambda: nas.resolve(SPACE, ANY or {"first": 0}),
    ],
    "one_of": [
        lambda: nas.one_of("x", []),
        lambda: nas.one_of("x", ANY),
        lambda: nas.one_of("x", ANY or 3),
        lambda: nas.one_of("x", [3, 3]),
        lambda: nas.one_of("x", [[3], [5]]),
        lambda: nas.one_of(ANY, [3]),
        lambda: nas.one_of(ANY or 3, [3]),
        lambda: nas.one_of(ANY or ["x"], [3]),
        lambda: nas.one_of("x", [3], supernet_only=ANY or 3),
        lambda: nas.one_of("x"),  # type: ignore[call-arg]
    ],
    "some_of": [
        *(lambda k=k: nas.some_of("x", k, [1, 2]) for k in (3, -1, None, 1.5, "1", [1])),
        lambda: nas.some_of(ANY, 1, [1]),
        lambda: nas.some_of("x", 1, ANY),
    ],
    "from_plain": [
        lambda: nas.from_plain({"Nothing": {}}),
        lambda: nas.from_plain({"SepConv": {"kernel": 3.0}}),
        lambda: nas.from_plain({"SepConv": {"kernel": np.zeros((20, 20))}}),
        lambda: nas.from_plain({"SepConv": {}}, ANY or 3),
        lambda: nas.from_plain({"SepConv": {}}, ANY or "Node"),
        *(lambda tree=tree: nas.from_plain(tree, Node) for tree in NO_TREES),
    ],
    "to_plain": [lambda tree=tree: nas.to_plain(tree) for tree in NO_TREES if not isinstance(tree, int | str | None)],
    "digest": [lambda tree=tree: nas.digest(tree) for tree in NO_TREES if not isinstance(tree, int | str | None)],
    "from_module": [
        lambda: nas.from_module(ANY, (3, 8, 8)),
        lambda: nas.from_module(ANY or "nothing", (3, 8, 8)),
        lambda: nas.from_module(ANY or "no_such_package.make", (3, 8, 8)),
        lambda: nas.from_module(ANY or "torch.nn.ReLU", ANY or 3),
        lambda: nas.from_module(ANY or "torch.nn.ReLU", ANY or (3, 8)),
        lambda: nas.from_module(ANY or "torch.nn.ReLU", (3, 8, 8), ratios=ANY or ()),
    ],
    "record": [lambda: nas.record(ANY), lambda: nas.record(ANY or 3), lambda: nas.record(ANY or SepConv(3))],
}


def test_every_public_function_is_called_wrongly() -> None:
    assert {"__version__", *WRONG_CALLS} == set(nas.__all__)


@pytest.mark.parametrize("name", WRONG_CALLS)
def test_a_function_that_is_given_something_else_says_so_in_one_line(name: str) -> None:
    for i, call in enumerate(WRONG_CALLS[name]):
        with pytest.raises((RecordError, TypeError)) as refused:
            call()
        said = str(refused.value)
        assert "\n" not in said, (i, said)
        assert len(said) < 400, (i, said)
        ours = isinstance(refused.value, RecordError) or "declare the class with @record" in said
        assert ours or "missing 1 required positional argument" in said, (i, said)


def test_a_class_is_told_from_what_is_made_of_it() -> None:
    with pytest.raises(RecordError, match=r"the space is the class SepConv: give .*, as SepConv\(...\)"):
        nas.count(SepConv)


def test_a_shape_may_be_a_list_a_size_of_torch_or_numbers_of_numpy() -> None:
    shapes: list[Any] = [[3, 8, 8], torch.Size((3, 8, 8)), tuple(np.array((3, 8, 8)))]
    assert {nas.profile(SepConv(3), shape).params for shape in shapes} == {nas.profile(SepConv(3), (3, 8, 8)).params}
    assert Site((3, 8, 8), 3).build(SepConv(3))
