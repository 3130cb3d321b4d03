"""The report page as its reader sees it: what is left out is counted, an accuracy has its own network, a phone shows all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from browser import chromium, opened
from report_runs import TOY, by_hand, finish, start

from nas.family import family
from nas.records import digest, to_plain
from nas.report.html.page import write_page
from nas.report.summary.summarise import summarise
from nas.report.summary.summary import Finals, RunSummary
from nas.report.summary.summary import TestSummary as Measured
from nas.runs.scores import informative_scores
from nas.space import mutate, sample

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CELLS = """\
space: nasbench201
network: {channels: 2, cells_per_stage: 1}
strategy:
  RegularizedEvolution: {population: 4, sample: 2}
evaluator:
  Training:
    data: Digits
    validation: 100
    images: 100
    recipe: {epochs: 1, batch: 50, lr: 0.1, augmentation: {crop_pad: 1, flip: false, cutout: 0}, drop_path: 0.0}
rules:
  budget: {evaluations: 40}
"""

OLD_NAMES = ("relu_conv", "relu conv", "sep_conv3", "SepConv", "avg_pool3", "zero", "avg pool")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> RunSummary:
    """Return the summary of a search for cells, whose journal is written by hand: most are good, two are far worse."""
    space, rng = family("nasbench201").space(), Random(0)
    lines: list[Any] = []
    parent = sample(space, rng)
    for i in range(40):
        child = mutate(space, parent, rng) if i % 3 else sample(space, rng)
        origin: Mapping[str, Any] = {"origin": "mutation", "parents": [i - 1]} if i % 3 else {"origin": "random"}
        named = {"digest": digest(child), "architecture": to_plain(child)}
        lines.append({**start(i, 10.0 * i), **origin, **named})
        accuracy = 10.0 if i % 20 == 1 else 80.0 + (i if i < 39 else 0) / 10
        scores = {"validation_top1_percent": accuracy, "params": 1000.0 + i, "macs": 5000.0 + 10 * i, "seconds": 5.0}
        lines.append(finish(i, 10.0 * i + 9, "a", **scores))
        parent = child
    return summarise(by_hand(tmp_path_factory.mktemp("cells") / "cells", lines, CELLS))


@pytest.fixture(scope="module")
def page(cells: RunSummary, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    scores = {"test_top1_percent": [91.0, 85.0], "params": [70_000.0, 60_000.0], "macs": [900_000.0, 800_000.0]}
    finals = Finals(["best", "random"], scores, [None, None])
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(path, [replace(cells, finals=finals)])
    with opened(browser, path) as shown:
        shown.run("drawAll()")
        yield shown


def axis(view: Any, part: str) -> tuple[float, float]:
    found = view.run(f"charts.get(document.querySelector('#{part} .chart')).getOption().yAxis[0]")
    return found["min"], found["max"]


@pytest.mark.slow
@pytest.mark.parametrize("part", ["progress", "front"])
def test_points_that_a_chart_leaves_out_are_counted_and_can_be_shown(page: Any, cells: RunSummary, part: str) -> None:
    assert cells.evaluations is not None
    values = cells.evaluations.scores["validation_top1_percent"] if part == "progress" else cells.fronts[0].value
    note = page.page.locator(f"#{part} .left-out")
    low, high = axis(page, part)
    outside = sum(not low <= value <= high for value in values if value is not None)
    assert outside > 0
    assert f"Not shown: {outside} " in note.inner_text()
    note.locator("button").click()
    low, high = axis(page, part)
    assert all(low <= value <= high for value in values if value is not None)
    assert "All are shown." in note.inner_text()
    note.locator("button").click()
    assert f"Not shown: {outside} " in note.inner_text()


def test_the_family_tree_counts_what_it_leaves_out(page: Any) -> None:
    low, high = axis(page, "ancestors")
    dots = page.run("charts.get(document.querySelector('#ancestors .chart')).getOption().series[0].data")
    outside = sum(not low <= value <= high for _, value in dots)
    assert f"Not shown: {outside} evaluation" in page.page.inner_text("#ancestors .left-out")


def test_the_checklist_is_folded_and_has_what_the_run_says(page: Any, cells: RunSummary) -> None:
    part = page.page.locator("#checklist")
    assert part.locator("table").first.is_hidden()
    part.locator("summary").click()
    shown = part.inner_text()
    assert len(cells.checklist) > 15
    assert all(each.question in shown and each.answer in shown for each in cells.checklist)
    part.locator("summary").click()


def test_nothing_is_said_where_all_is_shown(browser: Browser, tmp_path: Path) -> None:
    lines = [each for i in range(6) for each in (start(i, i), finish(i, i + 0.5, "a", fitness=0.5, macs=100.0))]
    write_page(tmp_path / "same.html", [summarise(by_hand(tmp_path / "run", lines, TOY))])
    with opened(browser, tmp_path / "same.html") as shown:
        shown.run("drawAll()")
        assert shown.said == []
        assert shown.page.locator(".left-out:visible").count() == 0


def test_curves_that_are_compared_say_where_they_begin_below(
    browser: Browser, cells: RunSummary, tmp_path: Path
) -> None:
    assert cells.curve is not None
    low = replace(cells.curve, best=[1.0, *cells.curve.best[1:]])
    write_page(tmp_path / "two.html", [cells, replace(cells, curve=low, head=replace(cells.head, name="other"))])
    with opened(browser, tmp_path / "two.html") as shown:
        shown.run("drawAll()")
        assert "Not shown: 1 beginning of a curve below" in shown.page.inner_text("#curves0 .left-out")


def test_each_accuracy_stands_beside_the_size_of_its_own_network(page: Any, cells: RunSummary) -> None:
    assert cells.best is not None
    tiles = page.page.locator(".tile").all_inner_texts()
    (searched,) = (each for each in tiles if each.startswith("Best validation"))
    (final,) = (each for each in tiles if each.startswith("Test top-1"))
    assert "the search network: 1,038 params, 5,380 MACs" in searched
    assert "the final network: 70 k params, 900 k MACs" in final
    assert not any(each.startswith("Network") for each in tiles)
    heads = page.page.locator("#best th:first-child").all_inner_texts()
    assert heads == ["the search network", "the final network"]


def test_runs_that_are_compared_have_a_size_for_each_accuracy(
    browser: Browser, cells: RunSummary, tmp_path: Path
) -> None:
    finals = Finals(["best"], {"test_top1_percent": [91.0], "params": [70_000.0]}, [None])
    write_page(tmp_path / "two.html", [replace(cells, finals=finals), cells])
    with opened(browser, tmp_path / "two.html") as shown:
        rows = [row.split("\t") for row in shown.page.inner_text("#table table").splitlines()]
        first = dict(zip(rows[0], rows[1], strict=True))
        assert (first["search network"], first["test"]) == ("1,038 params, 5,380 MACs", "91.00 %")
        assert first["final network"] == "70 k params"


def test_an_operation_has_one_name_on_the_whole_page(page: Any) -> None:
    drawings = page.run("[...document.images].map(image => decodeURIComponent(image.src))")
    written = [re.sub("<title>.*?</title>", "", drawing, flags=re.DOTALL) for drawing in drawings]
    text = page.page.inner_text("body") + "".join(written)
    assert [old for old in OLD_NAMES if old in text] == []
    shown = page.page.locator("#shares .legend li").all_inner_texts()
    assert {each.rpartition(" ")[0].rpartition(" ")[0] for each in shown} == set(family_names())


def family_names() -> list[str]:
    return ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]


@pytest.mark.parametrize(("classes", "is_told"), [(2, False), (3, False), (5, False), (6, True), (None, True)])
def test_to_be_right_among_five_is_told_of_more_than_five_classes(classes: int | None, is_told: bool) -> None:
    scores = {"test_top1_percent": 50.0, "test_top5_percent": 90.0, "raw_top5_percent": 90.0, "params": 5.0}
    found = informative_scores(scores, classes)
    assert ("test_top5_percent" in found, "raw_top5_percent" in found) == (is_told, is_told)
    assert {"test_top1_percent", "params"} <= found.keys()


CUT = """() => [...document.querySelectorAll("body *")].filter(element => {
    const hides = ["auto", "scroll", "hidden"].includes(getComputedStyle(element).overflowX);
    const isWide = element.scrollWidth - element.clientWidth > 1 && element.checkVisibility();
    const says = element.nextElementSibling?.matches(".hint:not([hidden])") && element.matches(".more-right, .more-left");
    return hides && isWide && !says && !element.closest(".rows, .chart") && !element.matches(".meter, .rows");
}).map(element => `${element.tagName}.${element.className}`)"""


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_what_is_cut_at_the_side_says_so(page: Any, width: int) -> None:
    page.page.set_viewport_size({"width": width, "height": 900})
    page.page.wait_for_timeout(200)
    assert page.run(CUT) == []
    assert page.run("document.documentElement.scrollWidth") <= width
    links = page.page.locator(".top nav a")
    for i in range(links.count()):
        box = links.nth(i).bounding_box()
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
    page.page.set_viewport_size({"width": 1280, "height": 900})


def test_the_hint_goes_when_there_is_nothing_more_at_the_side(page: Any) -> None:
    page.page.set_viewport_size({"width": 390, "height": 900})
    drawing = page.page.locator("#best .drawing")
    page.page.wait_for_timeout(200)
    assert "more-right" in drawing.get_attribute("class")
    drawing.evaluate("element => element.scrollTo(element.scrollWidth, 0)")
    page.page.wait_for_timeout(200)
    assert "more-right" not in drawing.get_attribute("class")
    assert "more-left" in drawing.get_attribute("class")
    page.page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.slow
def test_of_three_classes_the_page_tells_no_top_five(browser: Browser, cells: RunSummary, tmp_path: Path) -> None:
    measured = informative_scores({"top1_percent": 50.0, "top5_percent": 100.0}, 3)
    test = Measured("best", measured, ["circle", "cross", "square"], [10] * 3, [10.0, 50.0, 90.0])
    write_page(tmp_path / "three.html", [replace(cells, tests=[test])])
    with opened(browser, tmp_path / "three.html") as shown:
        assert "top-1" in shown.page.inner_text("#tests")
        assert "top-5" not in shown.page.inner_text("#tests")
