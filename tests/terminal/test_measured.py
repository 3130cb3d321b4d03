"""The tables of a test: they show the numbers, all of them, and can be read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import StringIO
from random import Random

import pytest
from rich.console import Console
from rich.table import Table

from nas.terminal.measured import class_table
from nas.terminal.measured import test_table as summary_table
from nas.training.measure import Accuracy, Speed
from nas.training.measure import TestResult as Measured


def accuracy(images: Sequence[int], right: Sequence[int]) -> Accuracy:
    return Accuracy(100 * sum(right) / sum(images), 98.0, 0.25, sum(images), 3.456, tuple(images), tuple(right))


def printed(table: Table) -> list[list[str]]:
    """Return what stands in each row, the title left out; cells are two spaces apart."""
    console = Console(file=StringIO(), width=160)
    console.print(table)
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()[1:]
    return [re.split(r"\s{2,}", line.strip()) for line in lines]


def test_the_summary_has_the_weights_beside_their_average() -> None:
    raw, ema = accuracy([4, 4, 0, 0, 0, 0], [3, 1, 0, 0, 0, 0]), accuracy([4, 4, 0, 0, 0, 0], [4, 2, 0, 0, 0, 0])
    rows = printed(summary_table(Measured(tuple("abcdef"), raw, ema, Speed(1234.5, 64, 2.5, 3.25))))
    assert rows == [
        ["raw", "EMA"],
        ["top-1 accuracy, %", "50.00", "75.00"],
        ["top-5 accuracy, %", "98.00", "98.00"],
        ["loss", "0.2500", "0.2500"],
        ["calibration error, %", "3.46", "3.46"],
        ["images", "8", "8"],
        ["images/s at batch size 64", "1,234"],
        ["latency of one image, ms", "2.50 (slowest tenth: 3.25)"],
    ]
    assert printed(summary_table(Measured(("cat", "dog"), raw)))[:2] == [["weights"], ["top-1 accuracy, %", "50.00"]]


def test_classes_stand_from_the_worst_to_the_best() -> None:
    counts = [10, 20, 0, 5]
    names = ("cat", "[red]dog", "nothing", "a name of more than forty letters, far too long")
    rows = printed(class_table(Measured(names, accuracy(counts, [9, 10, 0, 4]))))
    cut = "a name of more than forty letters, far …"
    assert rows == [
        ["class", "images", "accuracy, %"],
        ["[red]dog", "20", "50.00"],
        [cut, "5", "80.00"],
        ["cat", "10", "90.00"],
    ]
    ema = accuracy(counts, [1, 20, 0, 2])
    rows = printed(class_table(Measured(names, accuracy(counts, [9, 10, 0, 4]), ema)))
    assert rows[0] == ["class", "images", "accuracy, % raw", "accuracy, % EMA"]
    assert [row[-1] for row in rows[1:]] == ["10.00", "40.00", "100.00"]


@pytest.mark.parametrize(("classes", "rows"), [(15, 15), (16, 16), (17, 16), (1000, 16)])
def test_of_many_classes_the_worst_and_the_best_are_shown(classes: int, rows: int) -> None:
    order = list(range(classes))
    Random(0).shuffle(order)
    found = printed(class_table(Measured(tuple(map(str, order)), accuracy([1000] * classes, order))))[1:]
    assert len(found) == rows
    if rows < classes:
        assert found[10] == [f"… {classes - 15} more"]
        assert [row[0] for row in found[:10]] == [str(i) for i in range(10)]
        assert [row[0] for row in found[11:]] == [str(classes - i) for i in range(5, 0, -1)]
