"""Records: written as plain data, read back with every mistake named, and known by their content."""

from __future__ import annotations

import copy
import json
import math
import os
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.building import Node
from nas.operations.conv import Conv
from nas.operations.separable import SepConv
from nas.operations.skip import Skip, Zero
from nas.plain import from_plain, read, write
from nas.records import (
    FORMAT,
    Fraction,
    Positive,
    Range,
    RecordError,
    digest,
    import_all,
    record,
    record_classes,
    to_plain,
)
from nas.space import one_of, some_of
from nas.strategies.evolution import RegularizedEvolution
from nas.strategies.strategy import Strategy
from nas.topology.cell import Edge
from nas.topology.chain import Chain, Stage
from nas.topology.residual import Residual
from search_spaces.darts import PUBLISHED, darts
from search_spaces.nasbench201 import from_string, nasbench201

ROOT = Path(__file__).resolve().parents[2]
ALIKE = settings(max_examples=60, deadline=None, derandomize=True)

import_all("nas.operations")
import_all("nas.strategies")
OPERATIONS = [cls for cls in record_classes(Node).values() if cls.__module__.startswith("nas.operations.")]


@record
class RecordProbe:
    """One field of every kind that plain data can hold."""

    count: Positive
    share: Fraction = 0.5
    rate: float = 0.0
    name: str = "probe"
    on: bool = False
    limit: int | None = None
    shape: tuple[int, int] = (1, 2)
    inner: Skip | None = None
    several: tuple[Skip, ...] = ()
    bounded: Annotated[float, Range(most=3)] = 0.0


@record
class RecordRenamed:
    """A record that files know by an older name."""

    formerly = ("RecordOfOld",)
    former_fields: ClassVar = {"channels": "width"}

    width: int = 1


def values(hint: Any) -> st.SearchStrategy[Any] | None:
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    known = {int: st.sampled_from((1, 3, 5, 7)), bool: st.booleans(), float: st.floats(0.0, 1.0)}
    return known.get(hint)


def operations() -> st.SearchStrategy[Any]:
    """Any registered operation with any fields; combinations that the record itself refuses are left out."""

    def made(cls: Any) -> st.SearchStrategy[Any]:
        hints = get_type_hints(cls, include_extras=True)
        given_values = {f.name: values(hints[f.name]) for f in fields(cls)}
        return st.fixed_dictionaries({}, optional={k: v for k, v in given_values.items() if v is not None}).map(
            lambda arguments: _or_none(cls, arguments)
        )

    return st.sampled_from(OPERATIONS).flatmap(made).filter(lambda operation: operation is not None)


def _or_none(cls: Any, arguments: dict[str, Any]) -> Any:
    try:
        return cls(**arguments)
    except RecordError:
        return None


def trees() -> st.SearchStrategy[Any]:
    def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        chain = st.lists(inner, min_size=1, max_size=3).map(lambda nodes: Chain(tuple(nodes)))
        stage = st.builds(Stage, inner, st.integers(1, 3), st.none() | st.integers(1, 9))
        return chain | stage | st.builds(Residual, inner, inner)

    return st.recursive(operations(), larger, max_leaves=6)


def in_fresh_python(code: str, hash_seed: str = "0") -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


# ---------------------------------------------------------------------------------------------------- round trips


@ALIKE
@given(trees(), st.booleans())
def test_plain_data_gives_back_the_tree(tree: Node, defaults: bool) -> None:
    plain = json.loads(json.dumps(to_plain(tree, defaults)))
    assert from_plain(plain) == tree
    assert from_plain(plain, Node) == tree


@ALIKE
@given(trees())
def test_a_file_gives_back_the_tree(tree: Node) -> None:
    assert read(json.loads(write(tree)), "tree.json", Node) == tree


@pytest.mark.parametrize("space", [darts(), nasbench201()], ids=["darts", "nasbench201"])
def test_plain_data_gives_back_an_open_space(space: Any) -> None:
    assert from_plain(json.loads(json.dumps(to_plain(space)))) == space


def test_every_kind_of_field_comes_back() -> None:
    probe = RecordProbe(3, 0.25, 2.0, "x", True, 7, (3, 4), Skip(), (Skip(), Skip("conv")), -1.0)
    back = from_plain(json.loads(json.dumps(to_plain(probe))), RecordProbe)
    assert back == probe
    assert [type(getattr(back, f.name)) for f in fields(back)] == [type(getattr(probe, f.name)) for f in fields(probe)]


def test_defaults_are_left_out() -> None:
    assert to_plain(SepConv(5)) == {"SepConv": {"kernel": 5}}
    assert to_plain(SepConv(3)) == {"SepConv": {}}


def test_defaults_are_written_where_asked_for() -> None:
    assert to_plain(Chain((SepConv(),)), defaults=True) == {
        "Chain": {"nodes": [{"SepConv": {"kernel": 3, "repeats": 2, "norm": "batch"}}], "strided": 0}
    }


def test_a_name_alone_stands_for_a_record_of_defaults() -> None:
    assert from_plain("Skip", Node) == Skip()
    assert from_plain({"Skip": None}, Node) == Skip()


def test_the_class_name_may_be_left_out_where_one_class_can_be_meant() -> None:
    assert from_plain({"source": 1, "operation": "Skip"}, Edge) == Edge(1, Skip())


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(TypeError, match="is a set, not a record: declare the class with @record"):
        to_plain({1})


def test_records_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        SepConv(3).kernel = 5  # type: ignore[misc]


def test_a_text_is_read_as_a_number_where_yaml_made_it_one() -> None:
    assert from_plain("3e-4", float) == 3e-4
    assert from_plain({"count": 1, "rate": "1e3"}, RecordProbe).rate == 1000.0


def test_a_whole_number_becomes_a_float_where_one_is_meant() -> None:
    assert type(from_plain({"count": 1, "rate": 2}, RecordProbe).rate) is float


def test_small_records_spelt_alike_become_one() -> None:
    edge = {"Edge": {"source": 0, "operation": {"SepConv": {"kernel": 5}}}}
    assert from_plain(edge) is from_plain(copy.deepcopy(edge))
    assert from_plain(edge) is not from_plain({"Edge": {**edge["Edge"], "source": 1}})


def test_records_whose_numbers_are_of_other_types_stay_apart() -> None:
    rates = [from_plain({"RecordProbe": {"count": 1, "rate": rate}}).rate for rate in (1, 1.0, "1", math.inf)]
    assert rates == [1.0, 1.0, 1.0, math.inf]
    from_plain({"RecordProbe": {"count": 1}})
    with pytest.raises(RecordError, match=r"at\.RecordProbe\.count is True"):
        from_plain({"RecordProbe": {"count": True}}, where="at")


# ---------------------------------------------------------------------------------------------------- digests


@ALIKE
@given(trees())
def test_equal_trees_have_equal_digests(tree: Node) -> None:
    assert digest(from_plain(to_plain(tree))) == digest(tree)


@ALIKE
@given(trees(), trees())
def test_different_trees_have_different_digests(first: Node, second: Node) -> None:
    assert (digest(first) == digest(second)) == (first == second)


@pytest.mark.parametrize(
    ("tree", "golden"),
    [
        (SepConv(5), "26c3740a77083005"),
        (Skip(), "dd780d3e4a1ed129"),
        (RegularizedEvolution(population=50), "693155483fe54031"),
        (one_of("a", (1, 2)), "dd93bf2d1d24c438"),
        ((1, "a", None, 0.5, True), "a4cfec5b967b8122"),
        (PUBLISHED["DARTS_V2"], "74787c914699c774"),
        (from_string("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|"), "c13fa70605d9ce80"),
        (nasbench201(), "bc77c4e01f44646c"),
    ],
    ids=["SepConv", "Skip", "strategy", "choice", "scalars", "DARTS_V2", "resnet", "space"],
)
def test_a_digest_never_changes(tree: Any, golden: str) -> None:
    assert digest(tree) == golden


def test_a_digest_is_the_same_in_another_process() -> None:
    code = (
        "from nas.records import digest; from nas.space import some_of; from nas.strategies.evolution import *;"
        "print(digest((RegularizedEvolution(7, removes='worst'), some_of('a', 2, 'xyz'))))"
    )
    here = digest((RegularizedEvolution(7, removes="worst"), some_of("a", 2, "xyz")))
    assert {in_fresh_python(code, seed) for seed in ("1", "2")} == {here}


@pytest.mark.parametrize(
    ("first", "second"),
    [(1, 1.0), (True, 1), (0.0, -0.0), ((1, 2.0), (1.0, 2)), ({"a": 1}, {"a": 1.0}), ([1], [1.0])],
    ids=str,
)
def test_equal_numbers_are_spelt_alike(first: object, second: object) -> None:
    assert first == second
    assert digest(first) == digest(second)


def test_a_default_spelt_otherwise_has_the_same_digest() -> None:
    """In fresh processes, since within one the first of equal trees settles the digest of all."""
    code = "from nas.strategies.evolution import *; from nas.records import *; print(digest(RegularizedEvolution({})))"
    assert in_fresh_python(code.format("identity=0")) == in_fresh_python(code.format("identity=0.0"))


def test_a_record_that_holds_a_mapping_has_a_digest() -> None:
    from nas.evaluation.table import Table

    tables = [Table("table", "valid", {"test": column}, "seconds") for column in ("x", "x", "y")]
    assert digest(tables[0]) == digest(tables[1]) != digest(tables[2])


# ---------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("plain", "kind", "message"),
    [
        (
            {"RegularizedEvolution": {"populatoin": 3}},
            Strategy,
            "at.RegularizedEvolution.populatoin: no such key; did you mean 'population'?",
        ),
        (
            {"RegularizedEvolution": {"xyz": 3}},
            Strategy,
            (
                "at.RegularizedEvolution.xyz: no such key; known are identity, mutation_rounds, mutations, population, removes, "
                "replacement, sample"
            ),
        ),
        (
            {"RegularizedEvolution": {"population": "many"}},
            Strategy,
            "at.RegularizedEvolution.population is 'many': give a whole number",
        ),
        (
            {"RegularizedEvolution": {"population": 0}},
            Strategy,
            "at.RegularizedEvolution.population is 0: give a number of at least 1",
        ),
        (
            {"RegularizedEvolution": {"identity": 1.5}},
            Strategy,
            "at.RegularizedEvolution.identity is 1.5: give a number from 0 to 1",
        ),
        (
            {"RegularizedEvolution": {"removes": "oldst"}},
            Strategy,
            "at.RegularizedEvolution.removes is 'oldst': did you mean 'oldest'?",
        ),
        (
            {"RegularizedEvolution": {"replacement": 1}},
            Strategy,
            "at.RegularizedEvolution.replacement is 1: give true or false",
        ),
        (
            {"RegularizedEvolution": {"sample": 200, "replacement": False}},
            Strategy,
            "at.RegularizedEvolution: sample 200 is more than population 100: draw fewer, or with replacement",
        ),
        (
            {"RegularizedEvolution": [3]},
            Strategy,
            (
                "at.RegularizedEvolution is [3]: give a mapping of population, sample, replacement, identity, removes, "
                "mutations, mutation_rounds"
            ),
        ),
        ("RandmSearch", Strategy, "at names no Strategy: did you mean 'RandomSearch'?"),
        ({"RandmSearch": {}}, object, "at names no record: did you mean 'RandomSearch'?"),
        ({"Edge": {"source": 1}}, object, "at.Edge.operation is missing: give it a value"),
        ({"Cell": {"nodes": 5}}, Node, "at.Cell.nodes is 5: give a list"),
        (
            {"Cell": {"nodes": [[{"Edge": {"source": 1, "operation": {"Conv": {"kernl": 5}}}}]]}},
            Node,
            "at.Cell.nodes[0][0].Edge.operation.Conv.kernl: no such key; did you mean 'kernel'?",
        ),
        (
            {"Cell": {"nodes": [[{"Edge": {"source": 7, "operation": "Skip"}}]]}},
            Node,
            "at.Cell: node 0 of the cell reads state 7: give one from 0 to 1",
        ),
        (
            {"RecordProbe": {"count": 1, "shape": [1, 2, 3]}},
            object,
            "at.RecordProbe.shape is [1, 2, 3]: give a list of 2",
        ),
        ({"RecordProbe": {"count": 1, "limit": "x"}}, object, "at.RecordProbe.limit is 'x': give a whole number"),
        ({"RecordProbe": {"count": 1, "name": 3}}, object, "at.RecordProbe.name is 3: give a text"),
        ({"RecordProbe": {"count": 1, "rate": "fast"}}, object, "at.RecordProbe.rate is 'fast': give a number"),
        ({"RecordProbe": {"count": 1, "rate": True}}, object, "at.RecordProbe.rate is True: give a number"),
        ({"RecordProbe": {"count": True}}, object, "at.RecordProbe.count is True: give a whole number"),
        (
            {"RecordProbe": {"count": 1, "share": "nan"}},
            object,
            "at.RecordProbe.share is nan: give a number from 0 to 1",
        ),
        ({"m": "b"}, dict[str, float], "at.m is 'b': give a number"),
        (3, type(None), "at is 3: give nothing (null)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake_is_named_with_its_place(plain: object, kind: Any, message: str) -> None:
    with pytest.raises(RecordError) as caught:
        from_plain(plain, kind, "at")
    assert str(caught.value) == message
    assert caught.value.where
    assert message.startswith(caught.value.where)


def test_a_place_is_left_out_where_there_is_none() -> None:
    with pytest.raises(RecordError) as caught:
        from_plain({"Edge": {"source": 1}})
    assert str(caught.value) == "Edge.operation is missing: give it a value"


@pytest.mark.parametrize("plain", ["Zero", {"Zero": {}}], ids=["name", "mapping"])
def test_a_record_of_another_kind_is_refused(plain: object) -> None:
    with pytest.raises(RecordError) as caught:
        from_plain(plain, Strategy, "strategy")
    start, _, names = str(caught.value).partition(" Strategy: ")
    assert start == "strategy is 'Zero': give a"
    assert {"LocalSearch", "RandomSearch", "RegularizedEvolution"} <= set(names.split(", "))


@pytest.mark.parametrize("wrong", [{"count": 0}, {"count": 1, "share": 1.01}, {"count": 1, "bounded": 3.5}], ids=str)
def test_bounds_hold_in_code_too(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match=r"^RecordProbe\.(count|share|bounded) is .*: give a number"):
        RecordProbe(**wrong)


def test_a_bounded_field_may_be_left_open() -> None:
    assert to_plain(Conv(one_of("kernel", (1, 3))))["Conv"]["kernel"] == {
        "Choice": {"name": "kernel", "options": [1, 3]}
    }


def test_two_records_of_one_name_are_an_error_that_names_both() -> None:
    record(type("RecordTwin", (), {"__module__": "first.place"}))
    with pytest.raises(
        TypeError, match=r"^two records are named RecordTwin: one in first\.place, one in second\.place$"
    ):
        record(type("RecordTwin", (), {"__module__": "second.place"}))


def test_a_former_name_is_not_given_twice() -> None:
    with pytest.raises(TypeError, match="two records are named RecordOfOld"):
        record(type("RecordOfOld", (), {"__module__": "third.place"}))


def test_a_record_whose_module_is_loaded_again_takes_the_place_of_the_first() -> None:
    first, second = (record(type("RecordReloaded", (), {"__module__": "some.place"})) for _ in range(2))
    assert first is not second
    assert record_classes(object)["RecordReloaded"] is second


def test_a_former_name_reads_an_old_file() -> None:
    assert from_plain({"RecordOfOld": {"width": 3}}) == from_plain({"RecordOfOld": {"channels": 3}}) == RecordRenamed(3)
    assert to_plain(RecordRenamed(3)) == {"RecordRenamed": {"width": 3}}
    assert "RecordOfOld" not in record_classes(RecordRenamed)


def test_a_file_of_a_newer_format_is_refused() -> None:
    with pytest.raises(RecordError) as caught:
        read({"cellstack": FORMAT + 1, "Skip": {}}, "a.json")
    expected = f"a.json: written in format {FORMAT + 1}, and this library reads up to {FORMAT}: upgrade cellstack"
    assert str(caught.value) == expected


@pytest.mark.parametrize("plain", [{"Zero": {}}, {"cellstack": FORMAT, "Zero": {}}], ids=["without", "with"])
def test_a_file_may_leave_its_version_out(plain: object) -> None:
    assert read(plain, "a.json") == Zero()
