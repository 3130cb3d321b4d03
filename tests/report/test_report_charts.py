"""The charts of trainings, transfers and supernets: they show every number, say what lines mean, and can be saved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from browser import chromium, opened
from report_runs import TOY, by_hand, finish, start

from nas.report.html.page import write_page
from nas.report.summary.summarise import summarise
from nas.report.summary.summary import LearntAlphas, RunSummary, SupernetCurves, TrainingCurves, Trials

if TYPE_CHECKING:
    from playwright.sync_api import Browser

EPOCHS = [1, 2, 3, 4]

TRIALS = Trials(
    way=["linear probe"] * 4 + ["from scratch"] * 2,
    labels_percent=[10.0, 10.0, 10.0, 100.0, 10.0, 100.0],
    repeat=[0, 1, 2, 0, 0, 0],
    top1_percent=[48.0, 50.0, 55.0, 76.0, 18.0, 92.0],
    seconds=[1.0] * 6,
    worker=["a"] * 6,
    failure=[""] * 6,
    left=0,
)

TRAINING = TrainingCurves(
    "best",
    EPOCHS,
    4,
    {
        "loss": [2.0, 1.0, 0.5, 0.4],
        "train_top1_percent": [50.0, 70.0, 90.0, 99.0],
        "validation_top1_percent": [40.0, 65.0, None, 62.0],
        "ema_top1_percent": [30.0, 60.0, 66.0, 67.0],
    },
)

SUPERNET = SupernetCurves(
    seed=0,
    method="PDarts",
    epochs=EPOCHS,
    measured={"loss": [2.0, 1.0, 0.5, 0.4], "alphas_loss": [2.0, 1.5, 1.4, 1.2], "entropy": [1.0, 0.9, 0.5, 0.2]},
    phases=[2],
    warnings={},
    choices=[
        LearntAlphas("0-1", ["skip_connect", "none"], "skip_connect", [[0.5, 0.4, 0.3, 0.32], [0.5, 0.6, 0.7, 0.68]]),
        LearntAlphas("0-2", ["skip_connect", "none"], "skip_connect", [[0.2, 0.2, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1]]),
        LearntAlphas("depth", ["2", "3"], "3", [[0.1, 0.1, 0.1, 0.1], [0.1, 0.15, 0.2, 0.4]]),
    ],
    scores={},
    note="",
)

SERIES = "selector => charts.get(document.querySelector(selector)).getOption().series"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("charts")
    lines = [each for i in range(4) for each in (start(i, i), finish(i, i + 0.5, "a", fitness=0.1 * i))]
    searched = summarise(by_hand(folder / "run", lines, TOY))
    runs: list[RunSummary] = [
        replace(searched, supernets=[SUPERNET], trainings=[TRAINING]),
        replace(searched, head=replace(searched.head, kind="transfer", name="moved"), trials=TRIALS),
    ]
    write_page(folder / "report.html", runs)
    with opened(browser, folder / "report.html") as shown:
        shown.run("document.querySelectorAll('details.run').forEach(element => element.unfold())")
        shown.run("drawAll()")
        yield shown


@pytest.mark.slow
def test_a_transfer_has_each_run_its_mean_and_the_band_of_repeats(page: Any) -> None:
    low, range_, mean, runs, *_ = page.run(SERIES, "#run1-trials .chart")
    assert low["data"] == [["10", 48.0], ["100", 76.0]]
    assert range_["data"] == [["10", 7.0], ["100", 0.0]]
    assert mean["data"] == [["10", 51.0], ["100", 76.0]]
    assert runs["data"] == [["10", 48.0], ["10", 50.0], ["10", 55.0], ["100", 76.0]]
    assert "bands reach from the lowest to the highest" in page.page.inner_text("#run1-trials .reading")


def test_the_accuracies_of_a_training_stand_in_one_chart_and_the_best_is_told(page: Any) -> None:
    lines = page.run(SERIES, "#run0-training .chart")
    assert [each["name"] for each in lines[:3]] == ["training", "validation", "validation, EMA"]
    assert lines[1]["data"] == [[1, 40.0], [2, 65.0], [4, 62.0]]
    reading = page.page.inner_text("#run0-training .reading")
    assert "validation accuracy 62.00 % in the last epoch, best 65.00 % after epoch 2." in reading


def test_strengths_of_one_kind_have_one_scale(page: Any) -> None:
    limits = "[...document.querySelectorAll('#run0-supernets .tiny')].map(e => charts.get(e).getOption().yAxis[0].max)"
    assert page.run(limits) == [0.7, 0.7, 0.4]
    reading = page.page.inner_text("#run0-supernets .reading")
    assert "“none” takes part in the search only; no derived cell has it." in reading
    assert "A phase ends at each dotted line, after epoch 2." in reading


@pytest.mark.parametrize(
    ("chart", "key"),
    [
        ("#run1-trials .chart", {"linear probe", "from scratch"}),
        ("#run0-training .chart", {"training", "validation", "validation, EMA"}),
        ("#run0-supernets .tiny", {"skip_connect", "none", "2", "3"}),
        ("#run0-supernets .chart[aria-label^=Entropy]", set[str]()),
        ("#run0-workers .chart", {"search"}),
    ],
)
def test_a_chart_is_saved_with_its_title_and_its_key(page: Any, chart: str, key: set[str], tmp_path: Path) -> None:
    drawn = page.page.locator(chart).first
    drawn.hover()
    with page.page.expect_download() as download:
        drawn.locator("button").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.suffix == ".svg"
    whole, title, plot, *items = ElementTree.parse(path).getroot()
    assert title.text == drawn.get_attribute("aria-label")
    assert {text.text for item in items for text in item.iter("{http://www.w3.org/2000/svg}text")} == key
    assert len(list(plot.iter("{http://www.w3.org/2000/svg}path"))) > 3
    assert "parsererror" not in path.read_text("utf-8")
    assert "var(" not in path.read_text("utf-8")
    assert page.said == []
    assert whole.get("fill")
