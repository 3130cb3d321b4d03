"""The published cells of NAS-Bench-201 are those of the paper: they have its accuracies in the table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from search_spaces import nasbench201

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""The digits of the table, in its order."""


def row(text: str) -> list[int]:
    """Return the digits of a cell's six edges."""
    return [OPERATIONS.index(edge.split("~")[0]) for edge in text.replace("+", "").split("|") if edge]


def test_the_cell_of_resnet_adds_its_input_to_two_convolutions() -> None:
    cell = nasbench201.family.published["resnet"]
    assert row(nasbench201.to_string(cell)) == [3, 0, 3, 1, 0, 1]


@pytest.mark.parametrize(
    ("column", "percent", "tolerance"),
    [("c10_test200", 93.97, 0.1), ("c100_test200", 70.86, 0.1), ("in16_test200", 43.63, 0.7)],
)
def test_the_cell_of_resnet_has_the_accuracy_of_the_paper(
    shared_data: Path, column: str, percent: float, tolerance: float
) -> None:
    # Dong and Yang 2020, arXiv:2001.00326, Table 5; the table holds means over other seeds than the paper's
    with np.load(shared_data / "nasbench201.npz") as table:
        cell = (table["ops"] == row(nasbench201.to_string(nasbench201.family.published["resnet"]))).all(1)
        value = table["values"][cell, list(table["columns"]).index(column)]
    assert value == pytest.approx(percent, abs=tolerance)
