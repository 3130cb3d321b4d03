"""Tables of any kind: NPZ, CSV, Parquet; rows by decisions, digits, text or digest; equal architectures; what is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

import nas
from nas.evaluation.evaluator import Job, Task
from nas.evaluation.table import Fidelity, Table
from nas.evaluation.table_file import load_rows, load_table
from nas.family import family
from nas.records import RecordError
from nas.runs.experiment import task_of
from nas.runtime.rules import Budget, Rules
from nas.strategies.random_search import RandomSearch
from nas.testing.evaluators import performed
from search_spaces.nasbench201 import canonical, nasbench201, to_string
from search_spaces.nasbench_macro import from_digits, nasbench_macro, to_digits

Rows = list[tuple[Any, float]]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    load_table.cache_clear()
    load_rows.cache_clear()


def members(count: int) -> list[Any]:
    return [nas.sample(nasbench_macro(), Random(seed)) for seed in range(count)]


def task(name: str = "nasbench_macro") -> Task:
    return task_of(name, family(name).space(), {}, {}, "network")


def scored(table: Table, architecture: Any, epochs: int | None = None) -> Any:
    table.prepare(nasbench_macro())
    return performed(table.evaluate(task("nasbench_macro"), Job(0, architecture, 0, epochs=epochs)))[1]


def as_csv(path: Path, names: dict[str, Callable[[Any], Any]]) -> list[Any]:
    """Write a table of ten networks, with the given columns and their score, the number of the row."""
    made = list({to_digits(each): each for each in members(10)}.values())
    lines = [",".join([*names, "accuracy"])]
    lines += [",".join([*(str(of(each)) for of in names.values()), str(row)]) for row, each in enumerate(made)]
    path.write_text("\n".join(lines) + "\n")
    return made


KEYS: dict[str, tuple[dict[str, Callable[[Any], Any]], dict[str, Any]]] = {
    "digits": ({"architecture": to_digits}, {"key": "digits"}),
    "text": ({"arch": to_digits}, {"key": "text", "key_columns": ("arch",)}),
    "digest": ({"hash": nas.digest}, {"key": "digest", "key_columns": ("hash",)}),
    "decisions": (
        {f"b{i}": lambda each, i=i: to_digits(each)[i] for i in range(8)},  # type: ignore[misc]
        {"key_columns": tuple(f"b{i}" for i in range(8))},
    ),
}


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
@pytest.mark.parametrize("key", KEYS)
def test_a_row_is_found_by_each_kind_of_key(key: str, kind: str, tmp_path: Path) -> None:
    names, settings = KEYS[key]
    made = as_csv(tmp_path / "table.csv", names)
    if kind == ".parquet":
        import pandas

        pandas.read_csv(tmp_path / "table.csv", dtype=str).to_parquet(tmp_path / "table.parquet")
    table = Table(str(tmp_path / f"table{kind}"), columns={"top1": "accuracy"}, **settings)
    for row, each in enumerate(made):
        assert scored(table, each) == {"top1": float(row)}


def test_columns_are_scores_and_can_be_minimised(shared_data: Path, tmp_path: Path) -> None:
    columns = {"params": "params", "macs": "flops", "top1": "test_s0"}
    table = Table(str(shared_data / "nasbench_macro.npz"), columns=columns, test_columns={"test": "test_mean"})
    assert table.scores() == ("params", "macs", "top1")
    settings: dict[str, Any] = {"objective": "-macs", "evaluations": 100, "folder": tmp_path / "run", "show": False}
    run = nas.search("nasbench_macro", table, RandomSearch(), **settings)
    assert run.best is not None
    assert run.best.scores["macs"] == min(done.scores["macs"] for done in run.history.scored)
    assert run.best.scores["macs"] == nas.profile(run.best.architecture).macs


def test_an_equal_architecture_has_the_row_of_the_other(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("architecture,accuracy\n22100102,90.5\n")
    one, other = from_digits("22100102"), from_digits("22100120")
    settings: dict[str, Any] = {"table": str(tmp_path / "table.csv"), "columns": {"top1": "accuracy"}, "key": "digits"}
    assert scored(Table(**settings, missing="canonical"), one) == {"top1": 90.5}
    assert scored(Table(**settings, missing="canonical"), other) == {"top1": 90.5}
    with pytest.raises(RecordError, match=r"no row for the digits '22100120'$"):
        scored(Table(**settings), other)
    with pytest.raises(RecordError, match="no row for the digits '00000000', nor for an equal architecture"):
        scored(Table(**settings, missing="canonical"), from_digits("00000000"))


def test_a_shorter_training_has_seconds_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("architecture,v4,v108,s4,s108\n22100102,50,90,40,1000\n")
    names = {
        "table": str(tmp_path / "table.csv"),
        "key": "digits",
        "validation": "v108",
        "seconds": "s108",
        "epochs": 108,
    }
    own, shared = (Table(**names, earlier=(Fidelity(4, "v4", 0.04, seconds=each),)) for each in ("s4", None))
    network = from_digits("22100102")
    assert scored(own, network, 4)["seconds"] == pytest.approx(1.6)
    assert scored(shared, network, 4)["seconds"] == pytest.approx(40)
    assert scored(own, network) == {"validation_top1_percent": 90, "seconds": 1000}


def test_the_members_of_nasbench_macro_are_those_of_its_table(shared_data: Path) -> None:
    table = load_table(str(shared_data / "nasbench_macro.npz"))
    assert table.ops is not None
    texts = ["".join(map(str, ops)) for ops in table.ops]
    for row in [0, len(texts) - 1, *(Random(0).randrange(len(texts)) for _ in range(12))]:
        costs = nas.profile(from_digits(texts[row]))
        assert (costs.params, costs.macs) == (table.value("params", row), table.value("flops", row))
    equal: dict[str, set[float]] = {}
    for row, text in enumerate(texts):
        equal.setdefault(family("nasbench_macro").canonical(from_digits(text)), set()).add(table.value("test_s0", row))  # type: ignore[misc]
    assert len(equal) == 3969
    assert all(len(values) == 1 for values in equal.values()), "equal networks hold the same numbers"


@pytest.mark.slow
def test_the_functions_of_nasbench201_are_counted() -> None:
    assert len({canonical(cell) for cell in nas.enumerate_architectures(nasbench201())}) == 4930


def test_equal_functions_of_nasbench201() -> None:
    cell = family("nasbench201").parse
    same = [
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|",
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|nor_conv_1x1~1|none~2|",
        "|nor_conv_3x3~0|+|avg_pool_3x3~0|none~1|+|none~0|nor_conv_1x1~1|none~2|",
    ]
    assert len({canonical(cell(text)) for text in same}) == 1
    assert canonical(cell(same[0])) == "nor_conv_1x1(nor_conv_3x3(in))"
    twice = "|skip_connect~0|+|none~0|none~1|+|skip_connect~0|skip_connect~1|none~2|"
    assert canonical(cell(twice)) == "in+in", "a sum of two is not one"


def test_a_search_reuses_the_scores_of_an_equal_architecture(shared_data: Path, tmp_path: Path) -> None:
    table = Table(str(shared_data / "nasbench201.npz"), columns={"top1": "c10_valid12"})
    rules = Rules(Budget(150), "top1", duplicates="reuse_equal")
    run = nas.search("nasbench201", table, RandomSearch(), rules=rules, folder=tmp_path / "run", show=False)
    paid = [done for done in run.history.scored if done.worker != "reused"]
    assert len({canonical(done.architecture) for done in paid}) == len(paid) == 150
    assert len({to_string(done.architecture) for done in run.history.scored}) > len(paid)


# ---------------------------------------------------------------------------------------------- what is refused


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("ran"),)


def test_a_table_of_python_objects_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("table.npz", columns=np.array([Bomb()], dtype=object), values=np.zeros((1, 1)))
    with pytest.raises(RecordError, match=r"table.npz cannot be read .*pickle"):
        load_table("table.npz")
    Path("table.pkl").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(RecordError, match=r"table.pkl is no .npz, .csv or .parquet"):
        load_table("table.pkl")
    Path("renamed.npz").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(RecordError, match=r"renamed.npz cannot be read"):
        load_table("renamed.npz")
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("text", "settings", "says"),
    [
        ("architecture,accuracy\n22100102,1\n22100102,2\n", {}, "two rows for '22100102', 0 and 1: leave one"),
        ("architecture,accuracy\n22100102,high\n", {}, "'high' in row 0 of column accuracy: give a number"),
        ("architecture,top\n22100102,1\n", {}, "no column 'accuracy'"),
        ("arch,accuracy\n22100102,1\n", {}, "no column 'architecture'"),
        ("architecture,accuracy\n", {}, "has no rows"),
        ("architecture,accuracy\n22100102,1\n", {"key": "decisions"}, "has no array `ops`: give in key_columns"),
        ("b,accuracy\n1,1\n", {"key": "decisions", "key_columns": ("b",)}, r"another space: its decisions have \[2\] options"),
        ("architecture,accuracy\n22100102,1\n", {"key": "digest", "missing": "canonical"}, "a digest cannot be read back"),
        ("architecture,accuracy\n1,1\n", {"key": "text", "missing": "canonical"}, "no network of NAS-Bench-Macro"),
    ],
)  # fmt: skip
def test_a_broken_table_is_one_line(text: str, settings: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(RecordError, match=says) as error:
        scored(
            Table(str(path), **{"columns": {"top1": "accuracy"}, "key": "digits", **settings}), from_digits("22100102")
        )
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "the table gives no score"),
        ({"validation": "v", "columns": {"validation_top1_percent": "w"}}, "columns gives validation_top1_percent"),
        ({"validation": "v", "key": "text", "key_columns": ("a", "b")}, "key text is in one column, and there are 2"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(RecordError, match=says):
        Table("table.npz", **settings)
