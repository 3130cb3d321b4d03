"""The picture of a supernet search: it shows every choice, names what won, and is the same each time."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from nas.data import Augmentation, Digits
from nas.evaluation.evaluator import Job, Task
from nas.figures.alphas import plot_alphas
from nas.figures.colours import LineStyle, line_styles
from nas.figures.curves import blocks, learnt_choices
from nas.labels import stored_label
from nas.plain import read
from nas.records import RecordError
from nas.space import choices
from nas.supernets.darts import Darts
from nas.supernets.recipe import AlphasRecipe, SupernetSearch, WeightsRecipe
from nas.supernets.search import SupernetEpoch, SupernetResult, label, search_supernet
from search_spaces.darts import darts
from search_spaces.nasbench201 import nasbench201, network
from search_spaces.nasnet import nasnet

pytest.importorskip("matplotlib")

SVG = "{http://www.w3.org/2000/svg}"
Options = Mapping[str, tuple[str, ...]]

OPERATIONS = ("MaxPool 3", "Skip", "SepConv 3", "Zero")
PAIR: Options = {"normal/0-2": OPERATIONS, "normal/1-2": OPERATIONS}


def epoch(number: int, strengths: Mapping[str, Sequence[float]], phase: int = 0, **more: Any) -> SupernetEpoch:
    given = {"alphas_loss": None, "alphas_top1_percent": None, "skips": 1, "skippable": 2, "entropy": 0.9, **more}
    shares = {name: tuple(each) for name, each in strengths.items()}
    return SupernetEpoch(number, 9, phase, loss=2 / number, top1_percent=9.0, seconds=1.0, strengths=shares, **given)


def even(options: Options) -> dict[str, list[float]]:
    return {name: [1 / len(each)] * len(each) for name, each in options.items()}


def made(*phases: tuple[Options, Sequence[SupernetEpoch]]) -> SupernetResult:
    options = tuple(options for options, _ in phases)
    return SupernetResult(0, None, options, tuple(epoch for _, epochs in phases for epoch in epochs), {})


def undecided(options: Options, epochs: int = 2) -> SupernetResult:
    return made((options, [epoch(number, even(options)) for number in range(1, epochs + 1)]))


def options_of(space: Any) -> Options:
    found = {name: choice for name, choice in choices(space).items() if choice.k is None}
    return {name: tuple(map(label, (*each.options, *each.supernet_only))) for name, each in found.items()}


def drawn(searched: SupernetResult, folder: Path, title: str = "") -> ElementTree.Element:
    path = folder / "alphas.svg"
    assert plot_alphas(searched, path, title)
    return ElementTree.parse(path).getroot()


def words(picture: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in picture.iter(f"{SVG}text")]


def panels(picture: ElementTree.Element, options: Options) -> list[str]:
    """Return the choices that have a panel, in the order of the panels."""
    return [name for group in picture.iter(f"{SVG}g") if (name := group.get("id", "")) in options]


def segments(picture: ElementTree.Element, name: str) -> list[int]:
    """Return of each line in a choice's panel, axes and grid left out, in how many pieces it is drawn."""
    (panel,) = (group for group in picture.iter(f"{SVG}g") if group.get("id") == name)
    found = [group for group in panel if re.fullmatch(r"line2d_\d+", group.get("id", ""))]
    paths = [path.get("d", "") for group in found for path in group.findall(f"{SVG}path")]
    return [path.count("M") for path in paths]


@pytest.mark.parametrize("space", [darts(), nasbench201()], ids=["darts", "nasbench201"])
def test_every_choice_and_every_option_is_shown(space: Any, tmp_path: Path) -> None:
    options = options_of(space)
    picture = drawn(undecided(options), tmp_path)
    assert set(panels(picture, options)) == set(options)
    said = words(picture)
    assert {stored_label(each) for labels in options.values() for each in labels} <= set(said)
    shown = blocks(learnt_choices(undecided(options)))
    assert {block.heading for block in shown} - {""} <= set(said)
    assert all(name in said for block in shown for name in block.choices)


def test_choices_stand_in_blocks_by_their_names() -> None:
    def headings(options: Options) -> dict[str, list[str]]:
        return {block.heading: list(block.choices) for block in blocks(learnt_choices(undecided(options)))}

    found = headings(options_of(darts()))
    assert list(found) == ["normal", "reduction"]
    assert found["normal"][:4] == ["0-2", "1-2", "0-3", "1-3"]
    assert {name: each[:2] for name, each in headings(options_of(nasnet())).items()} == {
        f"{cell}: {what}": ["2/left", "2/right"] for cell in ("normal", "reduction") for what in ("state", "operation")
    }
    assert headings({"0-1": OPERATIONS, "0-2": OPERATIONS}) == {"": ["0-1", "0-2"]}
    edges = {f"normal/{node}": tuple(f"Edge {i}" for i in range(node)) for node in (2, 3)}
    assert headings({**PAIR, **edges}) == {"normal: operations": ["0-2", "1-2"], "normal: edges": ["2", "3"]}


def test_the_strongest_option_that_may_be_taken_is_named(tmp_path: Path) -> None:
    end = {"normal/0-2": [0.1, 0.1, 0.3, 0.5], "normal/1-2": [0.1, 0.6, 0.1, 0.2]}
    searched = made((PAIR, [epoch(1, even(PAIR)), epoch(2, end)]))
    assert [choice.strongest for choice in learnt_choices(searched)] == ["sep_conv_3x3", "skip_connect"]
    said = words(drawn(searched, tmp_path))
    # Once in the legend, once above a panel.
    assert [said.count(stored_label(each)) for each in OPERATIONS] == [1, 2, 2, 1]
    assert any("“none” is there for the search alone" in each for each in said)


def test_a_zero_that_may_be_taken_can_win(tmp_path: Path) -> None:
    options = {"0-1": ("Zero", "Skip", "Conv 3")}
    searched = made((options, [epoch(1, {"0-1": [0.5, 0.3, 0.2]})]))
    assert learnt_choices(searched)[0].strongest == "none"
    assert not any("never taken" in each for each in words(drawn(searched, tmp_path)))


def test_of_equals_the_first_is_named() -> None:
    assert [choice.strongest for choice in learnt_choices(undecided(PAIR))] == ["max_pool_3x3", "max_pool_3x3"]


def test_lines_end_where_a_phase_drops_an_option_and_break_where_it_does_not(tmp_path: Path) -> None:
    fewer: Options = {"normal/0-2": ("MaxPool 3", "SepConv 3"), "normal/1-2": ("Skip", "Zero")}
    first = [epoch(number, even(PAIR)) for number in (1, 2, 3)]
    second = [epoch(number, even(fewer), 1) for number in (4, 5, 6)]
    searched = made((PAIR, first), (fewer, second))
    curves = learnt_choices(searched)[0].curves
    assert list(curves) == list(map(stored_label, OPERATIONS))
    assert [number for number, _ in curves["skip_connect"]] == [1, 2, 3]
    assert [number for number, _ in curves["sep_conv_3x3"]] == [1, 2, 3, 3.5, 4, 5, 6]
    assert [math.isnan(value) for _, value in curves["sep_conv_3x3"]].index(True) == 3
    assert [choice.strongest for choice in learnt_choices(searched)] == ["max_pool_3x3", "skip_connect"]
    picture = drawn(searched, tmp_path)
    # Two lines in two pieces, two that end, and the dotted one.
    assert sorted(segments(picture, "normal/0-2")) == [1, 1, 1, 2, 2]
    assert any("after epoch 3;" in each for each in words(picture))


def test_a_search_in_one_phase_has_no_dotted_line(tmp_path: Path) -> None:
    picture = drawn(undecided(PAIR, 8), tmp_path)
    assert segments(picture, "normal/0-2") == [1, 1, 1, 1]
    assert not any("phase" in each for each in words(picture))


@pytest.mark.parametrize("epochs", [1, 2, 13])
def test_it_takes_any_number_of_epochs(epochs: int, tmp_path: Path) -> None:
    picture = drawn(undecided(PAIR, epochs), tmp_path)
    ticks = [group for group in picture.iter(f"{SVG}g") if group.get("id", "").startswith("xtick_")]
    numbers = {int(text.text or "") for tick in ticks for text in tick.iter(f"{SVG}text")}
    assert numbers
    assert numbers <= set(range(1, epochs + 1))


def test_more_choices_than_fit_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.figures.alphas.SHOWN", 4)
    options: Options = {f"cell/{i}": ("Conv 1", "Conv 3") for i in range(7)}
    picture = drawn(undecided(options), tmp_path)
    assert panels(picture, options) == list(options)[:4]
    assert any("first 4 of 7 choices are shown; 3 are left out" in each for each in words(picture))
    assert not any("left out" in each for each in words(drawn(undecided(PAIR), tmp_path)))


def test_what_was_measured_is_shown_and_what_was_not_is_not(tmp_path: Path) -> None:
    bare = words(drawn(undecided(PAIR), tmp_path))
    assert {"loss", "accuracy, %", "entropy (1: undecided)", "skips (of 2)", "weights' images"} <= set(bare)
    assert "largest eigenvalue" not in bare
    measured = [epoch(i, even(PAIR), alphas_loss=1.0, skippable=0, eigenvalue=0.2, warning="all skips") for i in (1, 2)]
    full = words(drawn(made((PAIR, measured)), tmp_path))
    assert {"largest eigenvalue", "alphas' images", "Warning: all skips."} <= set(full)
    assert not any(each.startswith("skips") for each in full)


def test_losses_that_are_no_numbers_are_no_error(tmp_path: Path) -> None:
    epochs = [epoch(1, even(PAIR)), epoch(2, {name: [math.nan] * 4 for name in PAIR}, eigenvalue=math.inf)]
    assert drawn(made((PAIR, epochs)), tmp_path) is not None


def test_the_same_search_gives_the_same_bytes(tmp_path: Path) -> None:
    searched = undecided(options_of(nasbench201()), 3)
    paths = [tmp_path / f"{name}.svg" for name in "ab"]
    assert [plot_alphas(searched, path, "Seed 0") for path in paths] == [True, True]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert "Seed 0" in words(ElementTree.parse(paths[0]).getroot())


def test_a_png_is_written_by_its_suffix_in_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "alphas.png"
    assert plot_alphas(undecided({"0-1": OPERATIONS}), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(RecordError, match=r"\.svg or \.png"):
        plot_alphas(undecided(PAIR), tmp_path / "alphas.gif")


def test_nothing_is_drawn_where_nothing_was_learnt(tmp_path: Path) -> None:
    path = tmp_path / "alphas.svg"
    assert not plot_alphas(made((PAIR, [epoch(1, {})])), path)
    assert not plot_alphas(made((PAIR, [])), path)
    assert not path.exists()


def test_nothing_is_drawn_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not plot_alphas(undecided(PAIR), tmp_path / "alphas.svg")
    assert not list(tmp_path.iterdir())


def test_no_setting_of_matplotlib_is_changed_or_read(tmp_path: Path) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    drawn(undecided(PAIR), tmp_path)
    assert dict(mpl.rcParams) == before
    plain = (tmp_path / "alphas.svg").read_bytes()
    with mpl.rc_context({"font.size": 30.0, "axes.facecolor": "red"}):
        drawn(undecided(PAIR), tmp_path)
    assert (tmp_path / "alphas.svg").read_bytes() == plain


def test_words_are_shown_as_they_are(tmp_path: Path) -> None:
    options: Options = {"a<b/$x$": ('"quoted" & $5$', "_"), "a<b/long": ("A" * 60, "_")}
    said = words(drawn(undecided(options), tmp_path, "Costs $5 & <more> " * 9))
    assert {'"quoted" & $5$', "$x$", "A" * 60} <= set(said)
    assert [each for each in said if each.startswith("…A")]
    assert " ".join(each for each in said if each.startswith(("Costs", "$5", "&", "<more>"))).count("<more>") == 9


def test_options_with_one_label_are_told_apart() -> None:
    (choice,) = learnt_choices(undecided({"block": ("MBConv 3", "MBConv 3", "Skip")}))
    assert list(choice.curves) == ["mb_conv_3x3 (1)", "mb_conv_3x3 (2)", "skip_connect"]


@pytest.mark.parametrize("space", [darts(), nasnet(), nasbench201()], ids=["darts", "nasnet", "nasbench201"])
def test_each_operation_has_a_line_of_its_own(space: Any) -> None:
    labels = {stored_label(each) for labels in options_of(space).values() for each in labels if not each.isdigit()}
    found = line_styles(sorted(labels))
    assert len({(line.colour, line.style) for line in found.values()}) == len(labels)
    dashed = {each for each, line in found.items() if line.style != "solid"}
    assert dashed == {each for each in labels if each.partition("(")[0] in ("skip_connect", "none")}


def test_many_options_still_have_lines_of_their_own() -> None:
    found = line_styles([f"mb_conv_{i}x{i}" for i in range(30)])
    assert len({(line.colour, line.style) for line in found.values()}) == 30
    assert all(isinstance(line, LineStyle) for line in line_styles(map(str, range(50))).values())


@pytest.mark.slow
def test_a_real_search_is_drawn_as_it_was_written(tmp_path: Path, one_thread: None) -> None:
    pytest.importorskip("sklearn")
    weights, alphas = WeightsRecipe(batch=32, augmentation=Augmentation()), AlphasRecipe(images=64, lr=0.1)
    search = SupernetSearch(Darts(), Digits(), 2, weights=weights, alphas=alphas, images=64)
    task = Task(nasbench201(), network, {"channels": 4, "cells_per_stage": 1, "classes": 10}, (1, 8, 8))
    list(search_supernet(search, tmp_path, True, task, Job(0, None, 3, None)))
    searched = read(json.loads((tmp_path / "0.json").read_text("utf-8")), "0.json", SupernetResult)
    picture = drawn(searched, tmp_path)
    assert panels(picture, searched.options[0]) == list(options_of(nasbench201()))
    for choice in learnt_choices(searched):
        assert all(a[0] + 1 == b[0] for curve in choice.curves.values() for a, b in pairwise(curve))
        last = searched.epochs[-1].strengths[choice.name]
        assert stored_label(searched.options[0][choice.name][last.index(max(last))]) == choice.strongest
