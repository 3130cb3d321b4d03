"""The alphas of a supernet search in its report: every option is a line, and the strongest that may be taken is named."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from nas.data import Augmentation, Digits
from nas.evaluation.evaluator import Job, Task
from nas.labels import stored_label
from nas.plain import read
from nas.report.html.colours import LineStyle, line_styles
from nas.report.summary.supernets import learnt_choices, supernet_curves
from nas.space import choices
from nas.supernets.darts import Darts
from nas.supernets.recipe import AlphasRecipe, SupernetSearch, WeightsRecipe
from nas.supernets.search import SupernetEpoch, SupernetResult, label, search_supernet
from search_spaces.darts import darts
from search_spaces.nasbench201 import nasbench201, network
from search_spaces.nasnet import nasnet

Options = Mapping[str, tuple[str, ...]]

OPERATIONS = ("MaxPool 3", "Skip", "SepConv 3", "Zero")
PAIR: Options = {"normal/0-2": OPERATIONS, "normal/1-2": OPERATIONS}


def epoch(number: int, strengths: Mapping[str, Sequence[float]], phase: int = 0) -> SupernetEpoch:
    measured = {"alphas_loss": None, "alphas_top1_percent": None, "skips": 1, "skippable": 2, "entropy": 0.9}
    shares = {name: tuple(each) for name, each in strengths.items()}
    return SupernetEpoch(number, 9, phase, loss=2 / number, top1_percent=9.0, seconds=1.0, strengths=shares, **measured)  # type: ignore[arg-type]


def even(options: Options) -> dict[str, list[float]]:
    return {name: [1 / len(each)] * len(each) for name, each in options.items()}


def made(*phases: tuple[Options, Sequence[SupernetEpoch]]) -> SupernetResult:
    options = tuple(options for options, _ in phases)
    return SupernetResult(0, None, options, tuple(epoch for _, epochs in phases for epoch in epochs), {})


def undecided(options: Options) -> SupernetResult:
    return made((options, [epoch(number, even(options)) for number in (1, 2)]))


def options_of(space: Any) -> Options:
    found = {name: choice for name, choice in choices(space).items() if choice.k is None}
    return {name: tuple(map(label, (*each.options, *each.supernet_only))) for name, each in found.items()}


@pytest.mark.parametrize("space", [darts(), nasbench201()], ids=["darts", "nasbench201"])
def test_every_choice_and_every_option_is_shown(space: Any) -> None:
    options = options_of(space)
    found = {each.name: tuple(each.labels) for each in supernet_curves(undecided(options), "Darts").choices}
    assert found == {name: tuple(map(stored_label, labels)) for name, labels in options.items()}


def test_the_strongest_option_that_may_be_taken_is_named() -> None:
    end = {"normal/0-2": [0.1, 0.1, 0.3, 0.5], "normal/1-2": [0.1, 0.6, 0.1, 0.2]}
    searched = made((PAIR, [epoch(1, even(PAIR)), epoch(2, end)]))
    assert [choice.strongest for choice in learnt_choices(searched)] == ["sep_conv_3x3", "skip_connect"]


def test_a_zero_that_may_be_taken_can_win() -> None:
    searched = made(({"0-1": ("Zero", "Skip", "Conv 3")}, [epoch(1, {"0-1": [0.5, 0.3, 0.2]})]))
    assert learnt_choices(searched)[0].strongest == "none"


def test_of_equals_the_first_is_named() -> None:
    assert [choice.strongest for choice in learnt_choices(undecided(PAIR))] == ["max_pool_3x3", "max_pool_3x3"]


def test_lines_end_where_a_phase_drops_an_option() -> None:
    fewer: Options = {"normal/0-2": ("MaxPool 3", "SepConv 3"), "normal/1-2": ("Skip", "Zero")}
    first = [epoch(number, even(PAIR)) for number in (1, 2, 3)]
    second = [epoch(number, even(fewer), 1) for number in (4, 5, 6)]
    searched = made((PAIR, first), (fewer, second))
    curves = learnt_choices(searched)[0].curves
    assert list(curves) == list(map(stored_label, OPERATIONS))
    assert list(curves["skip_connect"]) == [1, 2, 3]
    assert list(curves["sep_conv_3x3"]) == [1, 2, 3, 4, 5, 6]
    assert [choice.strongest for choice in learnt_choices(searched)] == ["max_pool_3x3", "skip_connect"]


def test_strengths_that_are_no_numbers_are_no_error() -> None:
    searched = made((PAIR, [epoch(1, even(PAIR)), epoch(2, {name: [math.nan] * 4 for name in PAIR})]))
    assert [len(each.strengths) for each in supernet_curves(searched, "Darts").choices] == [4, 4]


def test_nothing_is_shown_where_nothing_was_learnt() -> None:
    assert learnt_choices(made((PAIR, [epoch(1, {})]))) == []
    assert learnt_choices(made((PAIR, []))) == []


def test_options_with_one_label_are_told_apart() -> None:
    (choice,) = learnt_choices(undecided({"block": ("MBConv 3", "MBConv 3", "Skip")}))
    assert list(choice.curves) == ["mb_conv_3x3 (1)", "mb_conv_3x3 (2)", "skip_connect"]


@pytest.mark.parametrize("space", [darts(), nasnet(), nasbench201()], ids=["darts", "nasnet", "nasbench201"])
def test_each_operation_has_a_line_of_its_own(space: Any) -> None:
    labels = {stored_label(each) for labels in options_of(space).values() for each in labels if not each.isdigit()}
    found = line_styles(sorted(labels))
    assert len({(line.colour, line.dashes) for line in found.values()}) == len(labels)
    dashed = {each for each, line in found.items() if line.dashes is not None}
    assert dashed == {each for each in labels if each.partition("(")[0] in ("skip_connect", "none")}


def test_many_options_still_have_lines_of_their_own() -> None:
    found = line_styles([f"mb_conv_{i}x{i}" for i in range(30)])
    assert len({(line.colour, line.dashes) for line in found.values()}) == 30
    assert all(isinstance(line, LineStyle) for line in line_styles(map(str, range(50))).values())


@pytest.mark.slow
def test_a_real_search_is_told_as_it_was_written(tmp_path: Path, one_thread: None) -> None:
    pytest.importorskip("sklearn")
    weights, alphas = WeightsRecipe(batch=32, augmentation=Augmentation()), AlphasRecipe(images=64, lr=0.1)
    search = SupernetSearch(Darts(), Digits(), 2, weights=weights, alphas=alphas, images=64)
    task = Task(nasbench201(), network, {"channels": 4, "cells_per_stage": 1, "classes": 10}, (1, 8, 8))
    list(search_supernet(search, tmp_path, True, task, Job(0, None, 3, None)))
    searched = read(json.loads((tmp_path / "0.json").read_text("utf-8")), "0.json", SupernetResult)
    found = learnt_choices(searched)
    assert [choice.name for choice in found] == list(options_of(nasbench201()))
    for choice in found:
        assert all(list(curve) == [each.epoch for each in searched.epochs] for curve in choice.curves.values())
        last = searched.epochs[-1].strengths[choice.name]
        assert stored_label(searched.options[0][choice.name][last.index(max(last))]) == choice.strongest
