"""Inspections: what holds for every method that is found, on networks of several kinds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from inspected import NETWORKS, network_subject, weights_of

from nas.inspection.findings import Chart, Findings, Matrix, Outlines, Pictures
from nas.inspection.inspection import CHAPTERS, Inspection, inspections
from nas.inspection.subject import Subject
from nas.records import RecordError
from nas.report.html.inspected import drawings, source_of

METHODS = inspections()

pytestmark = pytest.mark.usefixtures("one_thread")


FEW = ("cells", "a chain")
"""The networks of the normal run."""


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.slow] * (name not in FEW)) for name in NETWORKS]
)
def subject(request: pytest.FixtureRequest) -> Subject:
    return network_subject(request.param)


def named(methods: list[Inspection]) -> list[str]:
    return [each.name for each in methods]


def test_there_is_a_file_for_each_method(root: Path) -> None:
    files = {path.stem for path in (root / "nas" / "inspection" / "methods").glob("[!_]*.py")}
    assert {type(each).__module__.rpartition(".")[2] for each in METHODS} == files
    assert len(set(named(METHODS))) == len(METHODS) == len({each.title for each in METHODS})


def test_methods_are_in_the_order_of_the_chapters() -> None:
    places = [CHAPTERS.index(each.chapter) for each in METHODS]
    assert places == sorted(places)
    assert set(places) == set(range(len(CHAPTERS)))


def test_methods_are_chosen_by_name() -> None:
    assert named(inspections(["saliency", "calibration"])) == ["calibration", "saliency"]
    with pytest.raises(RecordError, match="there is no inspection 'salincy': did you mean 'saliency'"):
        inspections(["salincy"])


@pytest.mark.parametrize("method", METHODS, ids=named(METHODS))
def test_a_method_says_what_it_does_and_where_that_is_from(method: Inspection) -> None:
    assert source_of(method).count(".") >= 1
    assert "`" not in source_of(method)
    assert method.title[0].isupper()
    if method.name not in ("confusion", "confident_mistakes", "feature_maps", "first_filters"):
        assert "Source: " in source_of(method)


@pytest.mark.parametrize("method", METHODS, ids=named(METHODS))
def test_a_method_finds_plain_numbers_and_figures(method: Inspection, subject: Subject) -> None:
    before, generator = weights_of(subject.model), torch.get_rng_state()
    found = method.inspect(subject)
    assert isinstance(found, Findings)
    assert json.loads(json.dumps(found.numbers, allow_nan=False)) == found.numbers
    assert found.reading.endswith(".")
    assert "nan" not in found.reading
    assert found.figures or "left_out" in found.numbers or found.numbers == {"mistakes": []}
    check(found)
    assert drawings(found.figures).count("<svg") == drawings(found.figures).count("</svg>")
    # nothing is left behind, and a second look sees the same
    assert not subject.model.training
    assert all(torch.equal(each, before[name]) for name, each in subject.model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in subject.model.modules())
    assert method.inspect(subject).numbers == found.numbers


def check(found: Findings) -> None:
    """Check that the figures can be drawn: pictures have pixels that are finite, lines have points."""
    for figure in found.figures:
        if isinstance(figure, Pictures):
            assert figure.pictures
            for each in figure.pictures:
                assert each.values.isfinite().all()
                assert each.values.numel()
                assert each.look != "image" or (each.values.min() >= 0 and each.values.max() <= 1)
        elif isinstance(figure, Outlines):
            assert all(left < right and top < bottom for _, left, top, right, bottom in figure.rectangles)
        elif isinstance(figure, Chart):
            assert all(figure.lines.values())
            assert not figure.ticks or {len(points) for points in figure.lines.values()} <= {2, len(figure.ticks)}
        elif isinstance(figure, Matrix):
            assert len(figure.counts) == len(figure.names)


def test_the_number_of_an_image_is_that_in_the_test_set() -> None:
    from inspected import subject_of
    from torch import nn

    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    subject = subject_of(model, (1, 6, 6), sample=7)
    assert [subject.numbers[place] for place in subject.samples] == [7]
    with pytest.raises(RecordError, match="there is no test image 24: give 0 to 23"):
        subject_of(model, (1, 6, 6), sample=24)
