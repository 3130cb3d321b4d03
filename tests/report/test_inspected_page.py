"""The page of an inspected network, and the command that writes it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from browser import chromium, opened
from inspected import network_subject

from nas.inspection.findings import Chart, Picture
from nas.inspection.inspection import CHAPTERS, inspections
from nas.report.html.inspected import write_inspected
from nas.report.html.pixels import LARGEST, coloured, data_uri
from nas.report.html.plots import plot
from nas.runs.inspect_weights import Inspected

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Call = Callable[..., Any]

RECIPE = """\
data: Digits
network: {channels: 4, cells_per_stage: 1}
recipe: {epochs: 2, batch: 50, lr: 0.1, augmentation: {crop_pad: 1, flip: false, cutout: 0}, drop_path: 0.0}
images: 400
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page of all methods, on a network with random weights."""
    subject = network_subject("cells")
    found = tuple((each, each.inspect(subject)) for each in inspections())
    path = tmp_path_factory.mktemp("inspected") / "page.html"
    of = len(subject.images)
    write_inspected(path, Inspected("runs/<cells>", "cells", of, 10 * of, "24 images & no more", found))
    return path


@pytest.fixture
def trained(tmp_path: Path, call: Call) -> Path:
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    done = call("train", "nasbench201:resnet", "--recipe", tmp_path / "recipe.yaml", "--run-dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    return tmp_path / "run"


def test_the_page_loads_nothing_and_has_every_method(page: Path) -> None:
    text = page.read_text("utf-8")
    assert "<script" not in text
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
    assert len(text) < 5e6
    for each in inspections():
        assert f'<a href="#{each.name}">' in text
        assert f'<div id="{each.name}">' in text
    assert [each for each in CHAPTERS if f"<dt>{each}</dt>" in text] == list(CHAPTERS)
    assert "runs/&lt;cells&gt;" in text
    assert "Inspected on 24 of 240 images: 24 images &amp; no more" in text


@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1400, "light")])
def test_the_page_can_be_read_on_a_phone_and_on_a_wide_screen(
    browser: Browser, page: Path, width: int, scheme: str
) -> None:
    with opened(browser, page, width, scheme) as view:
        assert (view.said, view.asked) == ([], [page.resolve().as_uri()])
        assert view.run("document.documentElement.scrollWidth") == width
        assert view.run("[...document.images].every(each => each.complete && each.naturalWidth > 0)")
        assert view.run("[...document.images].every(each => each.getBoundingClientRect().width >= 30)")
        letters = "[...document.querySelectorAll('.plot text')].map(each => each.getBoundingClientRect().height)"
        assert min(view.run(letters)) >= 9
        outside = """[...document.querySelectorAll('.plot')].flatMap(plot => {
            const frame = plot.getBoundingClientRect();
            return [...plot.querySelectorAll('text')].map(each => [each.textContent, each.getBoundingClientRect()])
                .filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1)
                .map(([text]) => text);
        })"""
        assert view.run(outside) == []


def test_values_have_the_colours_of_their_scale() -> None:
    values = torch.tensor([[0.0, 1.0], [2.0, 4.0]])
    colours = coloured(Picture(values, look="magnitude"))
    assert (colours[:, 0, 0] * 255).round().tolist() == [0x44, 0x01, 0x54]
    assert (colours[:, 1, 1] * 255).round().tolist() == [0xC8, 0xB8, 0x1F]
    assert (colours[:, 1, 0] * 255).round().tolist() == [0x21, 0x91, 0x8C]
    signed = coloured(Picture(values - 2, look="signed"))
    assert signed[:, 1, 0].tolist() == pytest.approx([0xF4 / 255] * 3)
    assert signed[2, 0, 0] > signed[0, 0, 0]
    assert signed[0, 1, 1] > signed[2, 1, 1]


def test_a_map_of_zeros_over_an_image_is_that_image() -> None:
    image = torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(coloured(Picture(torch.zeros(4, 4), look="signed", over=image)), image.expand(3, 4, 4))


def test_large_pictures_are_scaled_down() -> None:
    from base64 import b64decode
    from io import BytesIO

    from PIL import Image

    for side, kind in ((8, "png"), (400, "webp")):
        uri = data_uri(Picture(torch.rand(3, side, side, generator=torch.Generator().manual_seed(0))))
        assert uri.startswith(f"data:image/{kind};base64,")
        read = Image.open(BytesIO(b64decode(uri.partition(",")[2])))
        assert read.size == (min(side, LARGEST),) * 2


@pytest.mark.parametrize("values", [[0.0, 0.0], [5.0, 5.0], [-1.0, 3.0], [0.001, 0.002], [1e6, 2e6]])
def test_any_values_can_be_plotted(values: list[float]) -> None:
    text = plot(Chart("x", "y", {"": tuple(enumerate(values))}))
    places = [float(each) for each in re.findall(r'c[xy]="([-\d.]+)"', text)]
    assert len(places) == 4
    assert all(0 <= each <= 400 for each in places)


@pytest.mark.slow
def test_the_command_writes_a_page_and_json(trained: Path, call: Call, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    said = call("inspect", trained, "--html", page)
    assert said.returncode == 0, said.stderr
    assert "Inspected on 359 images: 359 of 1,797 scans, always the same" in said.stdout
    for each in inspections():
        assert each.title in said.stdout
        assert each.title in page.read_text("utf-8")
    assert call("inspect", trained, "--html", page, "--only", "calibration").returncode == 0, "a page is replaced"
    answer = call(
        "inspect", trained / "best.safetensors", "--on", "Digits", "--json", "--only", "confusion,calibration"
    )
    found = json.loads(answer.stdout)
    tested = json.loads(call("test", trained, "--json").stdout)["TestResult"]["raw"]["Accuracy"]
    assert list(found["inspections"]) == ["calibration", "confusion"]
    calibration = found["inspections"]["calibration"]["calibration_error_percent"]
    assert calibration == pytest.approx(tested["calibration_error_percent"], abs=1e-3)
    assert found["inspections"]["confusion"]["right"] == sum(tested["class_right"])


@pytest.mark.slow
def test_what_cannot_be_inspected_is_one_line(trained: Path, call: Call, tmp_path: Path) -> None:
    (tmp_path / "notes.html").write_text("mine")
    (tmp_path / "damaged.safetensors").write_bytes(b"nothing")
    for words, said in {
        (tmp_path / "nowhere",): "there are no weights",
        (tmp_path / "damaged.safetensors",): "damaged.safetensors",
        (trained, "--only", "salency"): "there is no inspection 'salency': did you mean 'saliency'?",
        (trained, "--image", "359"): "there is no test image 359: give 0 to 358",
        (trained, "--on", "Digit"): "did you mean",
        (trained, "--html", tmp_path / "notes.html"): "exists and is no report: give another --html",
    }.items():
        answer = call("inspect", *words)
        assert (answer.returncode, answer.stderr.count("\n")) == (2, 1), answer
        assert answer.stderr.startswith("nas: ")
        assert said in answer.stderr
    assert (tmp_path / "notes.html").read_text() == "mine"
