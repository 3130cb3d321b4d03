"""The pictures of trainings and transfers and the tables of a test: they show the numbers, all of them, and can be read."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from io import StringIO
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from nas.figures.figure import apart, rows_of
from nas.figures.page import LETTER
from nas.figures.trainings import AVERAGED, TRAINED, VALIDATED, epoch_notes, learnt, plot_training
from nas.figures.transfers import plot_transfer
from nas.records import RecordError
from nas.terminal.measured import class_table
from nas.terminal.measured import test_table as summary_table
from nas.training.measure import Accuracy, Speed
from nas.training.measure import TestResult as Measured
from nas.training.reports import Epoch

pytest.importorskip("matplotlib")

SVG = "{http://www.w3.org/2000/svg}"
MINUS = "\N{MINUS SIGN}"
Point = tuple[float, float]


def trained(epochs: int, of: int | None = None, **more: Any) -> list[Epoch]:
    """Return what a training reports that learns a little each epoch."""
    rng = Random(0)
    return [
        Epoch(
            epoch=epoch,
            epochs=of or epochs,
            loss=2.3 / epoch + 0.01 * rng.random(),
            train_top1_percent=100 - 90 / epoch,
            validation_top1_percent=95 - 80 / epoch - rng.random(),
            seconds=10.0,
            images_per_second=3000 + 100 * rng.random(),
            lr=0.1 * (1 - epoch / (of or epochs)),
            **{"waiting_percent": 5 + rng.random(), **more},
        )
        for epoch in range(1, epochs + 1)
    ]


def drawn(epochs: Sequence[Epoch], folder: Path, title: str = "") -> ElementTree.Element:
    path = folder / "training.svg"
    assert plot_training(epochs, path, title)
    return ElementTree.parse(path).getroot()


def transferred(curves: Mapping[str, Sequence[Point]], folder: Path, title: str = "") -> ElementTree.Element:
    path = folder / "transfer.svg"
    assert plot_transfer(curves, path, title)
    return ElementTree.parse(path).getroot()


def texts(picture: ElementTree.Element) -> list[ElementTree.Element]:
    return list(picture.iter(f"{SVG}text"))


def words(picture: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in texts(picture)]


def place_of(text: ElementTree.Element) -> Point:
    """Return where a text stands: a row of several is moved there, and a text of one row says it itself."""
    moved = re.match(r"translate\(([\d.]+) ([\d.]+)\)", text.get("transform", ""))
    x, y = moved.groups() if moved else (text.get("x", ""), text.get("y", ""))
    return float(x), float(y)


def curves(picture: ElementTree.Element, name: str) -> dict[str, np.ndarray]:
    """Return the points of each line of a panel, in the picture's units, by its colour; axes and grid are left out."""
    (panel,) = (group for group in picture.iter(f"{SVG}g") if group.get("id") == name)
    found = {}
    for group in panel:
        if re.fullmatch(r"line2d_\d+", group.get("id", "")) and (path := group.find(f"{SVG}path")) is not None:
            (colour,) = re.findall(r"stroke: (#\w+)", path.get("style", ""))
            numbers = re.findall(r"[ML] (\S+) (\S+)", path.get("d", ""))
            found[colour] = np.array(numbers, dtype=float)
    return found


def assert_shows(points: np.ndarray, values: Sequence[Point]) -> None:
    """Check that a line goes through the values: picture and values differ by a scale and a shift in each direction."""
    expected = np.array(values)
    assert len(points) == len(expected)
    for axis in (0, 1):
        scale, shift = np.polyfit(expected[:, axis], points[:, axis], 1)
        assert np.allclose(scale * expected[:, axis] + shift, points[:, axis], atol=0.01)
        assert scale > 0 if axis == 0 else scale < 0  # y counts from above


# --------------------------------------------------------------------------------------------------------- trainings


def test_each_panel_shows_what_was_measured(tmp_path: Path) -> None:
    epochs = [
        replace(
            each,
            ema_top1_percent=96 - 70 / each.epoch,
            validation_top1_percent=None if each.epoch % 5 else 50.0 + each.epoch,
        )
        for each in trained(20)
    ]
    picture = drawn(epochs, tmp_path)
    shown: dict[tuple[str, str], Callable[[Epoch], float | None]] = {
        ("loss", TRAINED.colour): lambda each: each.loss,
        ("accuracy", TRAINED.colour): lambda each: each.train_top1_percent,
        ("accuracy", VALIDATED.colour): lambda each: each.validation_top1_percent,
        ("accuracy", AVERAGED.colour): lambda each: each.ema_top1_percent,
        ("learning-rate", TRAINED.colour): lambda each: each.lr,
        ("images-a-second", TRAINED.colour): lambda each: each.images_per_second,
        ("waiting-for-images", TRAINED.colour): lambda each: each.waiting_percent,
    }
    for (panel, colour), value in shown.items():
        values = [(each.epoch, known) for each in epochs if (known := value(each)) is not None]
        assert_shows(curves(picture, panel)[colour], values)
    written = words(picture)
    assert {"loss", "accuracy, %", "learning rate", "images a second", "waiting for images, %"} <= set(written)
    assert {"95.5 training", "70.0 validation", "92.5 validation, EMA"} <= set(written)
    assert any(
        each.startswith("On validation images: 70.00 % at last, 70.00 % at best, after epoch 20.") for each in written
    )


def test_what_was_not_measured_is_not_shown() -> None:
    measured, unmeasured = trained(6), [replace(each, validation_top1_percent=None) for each in trained(6)]
    assert [curve.label for curve in learnt(measured)["accuracy, %"]] == ["training", "validation"]
    assert [curve.label for curve in learnt(unmeasured)["accuracy, %"]] == ["training"]
    assert not epoch_notes(unmeasured)


@pytest.mark.parametrize("count", [1, 600])
def test_it_takes_any_number_of_epochs(count: int, tmp_path: Path) -> None:
    picture = drawn(trained(count), tmp_path)
    ticks = [group for group in picture.iter(f"{SVG}g") if group.get("id", "").startswith("xtick_")]
    numbers = {int(text.text or "") for tick in ticks for text in tick.iter(f"{SVG}text")}
    assert numbers
    assert numbers <= set(range(count + 1))


def test_reports_that_come_again_count_once_and_in_any_order(tmp_path: Path) -> None:
    epochs = trained(8)
    first, second = tmp_path / "a.svg", tmp_path / "b.svg"
    assert plot_training(epochs, first, "Seed 0")
    assert plot_training([epochs[-1], *epochs[::-1], epochs[3]], second, "Seed 0")
    assert first.read_bytes() == second.read_bytes()


def test_what_is_unfinished_or_broken_is_said() -> None:
    epochs = [replace(each, broken_images=17 * (each.epoch == 2)) for each in trained(3, of=90)]
    first, *_, last = epoch_notes(epochs)
    assert first == "Epoch 3 of 90."
    assert last == "Up to 17 images in an epoch could not be decoded."
    assert len(epoch_notes(trained(3))) == 1


def test_numbers_that_are_none_are_no_error(tmp_path: Path) -> None:
    extreme: dict[str, Any] = {
        "loss": float("nan"),
        "train_top1_percent": 100.0,
        "validation_top1_percent": 0.0,
        "lr": 0.0,
    }
    shown = words(drawn([replace(each, **extreme) for each in trained(4)], tmp_path))
    assert {"loss", "100.0 training", "0.0 validation"} <= set(shown)
    assert not {"102", "120", f"{MINUS}2", f"{MINUS}20"} & set(shown)


# --------------------------------------------------------------------------------------------------------- transfers

WAYS: dict[str, list[Point]] = {
    "linear probe": [(1, 60.0), (10, 70.0), (100, 76.0)],
    "fine-tuning": [(1, 48.0), (1, 50.0), (1, 55.0), (10, 80.0), (100, 93.0), (100, 93.2)],
    "stage by stage": [(1, 57.0), (10, 82.0), (100, 93.4)],
    "from scratch": [(100, 92.0), (10, 60.0), (1, 18.0)],
}


def test_each_way_has_a_line_of_means_over_a_logarithmic_axis(tmp_path: Path) -> None:
    picture = transferred(WAYS, tmp_path, "CIFAR-10 to CIFAR-100")
    shown = list(curves(picture, "axes_2").values())
    means = [
        [(0, 60.0), (1, 70.0), (2, 76.0)],
        [(0, 51.0), (1, 80.0), (2, 93.1)],
        [(0, 57.0), (1, 82.0), (2, 93.4)],
        [(0, 18.0), (1, 60.0), (2, 92.0)],
    ]
    assert len(shown) == 4
    for points, expected in zip(shown, means, strict=True):
        assert_shows(points, expected)
    written = words(picture)
    assert {"76.0 linear probe", "93.1 fine-tuning", "93.4 stage by stage", "92.0 from scratch"} <= set(written)
    assert {"1", "10", "100", "labels used, %", "accuracy, %", "CIFAR-10 to CIFAR-100"} <= set(written)
    assert "Means of up to 3 runs; bands reach from the lowest to the highest." in written


def test_the_same_runs_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a.svg", tmp_path / "b.svg"
    assert plot_transfer(WAYS, first)
    assert plot_transfer({name: runs[::-1] for name, runs in WAYS.items()}, second)
    assert first.read_bytes() == second.read_bytes()


def test_one_run_each_has_no_band(tmp_path: Path) -> None:
    alone = {name: runs for name, runs in WAYS.items() if name != "fine-tuning"}
    assert not any("band" in each for each in words(transferred(alone, tmp_path)))


def test_names_at_the_ends_do_not_lie_on_each_other(tmp_path: Path) -> None:
    many = {f"way {i} " + "with a name that is long " * (i % 3): [(1, 50.0), (100, 90.0 + 0.01 * i)] for i in range(12)}
    picture = transferred(many, tmp_path)
    rows = sorted(y for x, y in map(place_of, texts(picture)) if x > 450)
    assert len(rows) == sum(len(rows_of(f"90.0 {name}", 24)) for name in many)
    assert all(b - a > 10.5 for a, b in pairwise(rows))
    assert rows[0] > 10
    assert rows[-1] < float(picture.get("viewBox", "").split()[-1]) - 10


def test_percentages_that_are_near_are_not_written_over_each_other(tmp_path: Path) -> None:
    near = {"probe": [(x, 50.0 + x / 10) for x in (0.1, 1, 1.05, 1.1, 10, 97, 98, 99, 100)]}
    ticks = [group for group in transferred(near, tmp_path).iter(f"{SVG}g") if group.get("id", "").startswith("xtick_")]
    assert [text.text for tick in ticks for text in tick.iter(f"{SVG}text")] == ["0.1", "1.1", "10", "100"]


@pytest.mark.parametrize("runs", [[(100, 76.0)], [(100, 100.0)], [(1, 0.0), (100, 0.0)], [(0.01, 99.99), (50, 100.0)]])
def test_it_takes_one_point_and_accuracies_at_the_ends(runs: list[Point], tmp_path: Path) -> None:
    shown = words(transferred({"fine-tuning": runs}, tmp_path))
    assert f"{runs[-1][1]:.1f} fine-tuning" in shown
    ticks = [float(each.replace(MINUS, "-")) for each in shown if re.fullmatch(rf"[{MINUS}\d.]+", each)]
    assert all(0 <= each <= 100 for each in ticks)


def test_no_labels_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"'probe' was given 0 % of the labels: give more than 0 %"):
        plot_transfer({"probe": [(10, 50.0), (0, 10.0)]}, tmp_path / "transfer.svg")
    assert not plot_transfer({"probe": []}, tmp_path / "transfer.svg")
    assert not list(tmp_path.iterdir())


# -------------------------------------------------------------------------------------------------------------- both

PLOTS: Mapping[str, Callable[[Path], bool]] = {
    "training": lambda path: plot_training(
        trained(30, ema_top1_percent=60.0, broken_images=3), path, "Training: " + LONG
    ),
    "transfer": lambda path: plot_transfer(WAYS, path, "Transfer: " + LONG),
}
LONG = "PC-DARTS on ImageNet, 14 cells and 48 channels, by a title that says it all; costs $5 & <more> than $x$ " * 2


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_all_that_is_written_is_on_the_page_and_as_it_is(plot: Callable[[Path], bool], tmp_path: Path) -> None:
    assert plot(tmp_path / "plot.svg")
    picture = ElementTree.parse(tmp_path / "plot.svg").getroot()
    _, _, width, height = map(float, picture.get("viewBox", "").split())
    for text in texts(picture):
        (size,) = map(float, re.findall(r"font-size: ([\d.]+)px", text.get("style", "")))
        x, y = place_of(text)
        assert 0 < y < height
        if "text-anchor: start" in text.get("style", ""):
            assert 0 < x < x + 72 * LETTER * size * len(text.text or "") < width
    assert " ".join(words(picture)).count("<more> than $x$") == 2


@pytest.mark.parametrize("plot", PLOTS.values(), ids=PLOTS)
def test_where_and_when_a_picture_is_written(
    plot: Callable[[Path], bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new" / "plot.png"
    assert plot(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(RecordError, match=r"\.svg or \.png"):
        plot(tmp_path / "plot.gif")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not plot(tmp_path / "plot.svg")
    assert not plot_training([], tmp_path / "plot.svg")
    assert list(tmp_path.iterdir()) == [path.parent]


def test_things_that_need_room_move_apart_and_others_stay() -> None:
    assert apart([0.2, 0.9, 0.5], [0.1] * 3) == [0.2, 0.9, 0.5]
    rng = Random(0)
    for _ in range(200):
        count = rng.randint(1, 9)
        wanted = [rng.choice((0.0, 0.3, 1.0, rng.random())) for _ in range(count)]
        heights = [rng.uniform(0.01, 1 / count) for _ in range(count)]
        places = apart(wanted, heights)
        spans = sorted((place - height / 2, place + height / 2) for place, height in zip(places, heights, strict=True))
        assert spans[0][0] >= -1e-9
        assert spans[-1][1] <= 1 + 1e-9
        assert all(a[1] <= b[0] + 1e-9 for a, b in pairwise(spans))
        order = sorted(range(count), key=lambda i: (wanted[i], i))
        assert [places[i] for i in order] == sorted(places)


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    assert rows_of("linear probe", 24) == ["linear probe"]
    rows = rows_of("fine-tuning of everything after the stem, at a tenth of the rate, variant 7", 24)
    assert rows == ["fine-tuning of", "everything after the", "… rate, variant 7"]


# ------------------------------------------------------------------------------------------------------------ tables


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
