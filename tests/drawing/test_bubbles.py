"""The bubble chart: its accuracies have a source, its networks a name, and its names are those of the front."""

from __future__ import annotations

import re

import pytest
import yaml
from bubbles import ACCURACIES, LANDMARKS, PICTURE, Bubble, bubbles, front, picture, published

from nas.family import families

POINTS = [
    Bubble("a:cheap", 60.0, 10**8, 10**6),
    Bubble("a:worse", 59.0, 2 * 10**8, 10**6),
    Bubble("a:dear", 70.0, 10**9, 10**7),
    Bubble("a:dearer", 70.0, 2 * 10**9, 10**8),
]


def test_every_accuracy_is_of_a_published_network_and_has_a_source() -> None:
    listed = yaml.safe_load(ACCURACIES.read_text("utf-8"))
    assert all("https://" in each["source"] for each in listed.values())
    known = {f"{name}:{member}" for name, family in families().items() for member in family.published}
    assert published().keys() <= known
    assert len(published()) == sum(len(each["top1_percent"]) for each in listed.values()), "no network has two"
    assert all(50 < each < 90 for each in published().values())


def test_the_front_has_what_no_other_is_superior_to() -> None:
    assert [each.name for each in front(POINTS)] == ["a:cheap", "a:dear"]


def test_the_names_in_the_picture_are_those_of_the_front() -> None:
    texts = re.findall(r"<text[^>]*>([a-z]\w+)</text>", picture(POINTS))
    assert set(texts) & {"cheap", "worse", "dear", "dearer"} == {"cheap", "dear"}
    drawn = PICTURE.read_text("utf-8")
    assert all(f"{name}: {top1_percent:.1f} %" in drawn for name, top1_percent in published().items())


def test_landmarks_are_named_where_nothing_overlaps() -> None:
    near = Bubble("resnet:resnet34", 70.0, int(1.01 * 10**10), 10**8)
    points = [*POINTS, Bubble("resnet:resnet18", 60.0, 10**10, 10**8), Bubble("vgg:vgg11", 70.0, 10**10, 10**8), near]
    texts = re.findall(r"<text[^>]*>([a-z]\w+)</text>", picture(points))
    assert set(texts) & {"resnet18", "vgg11", "resnet34", "worse"} == {"resnet18", "vgg11", "resnet34"}
    crowd = [Bubble(f"a:{i}", 69.5 - i % 3, int(10**10 * 1.05 ** (i - 10)), 10**8) for i in range(21)]
    assert "resnet34" not in re.findall(r"<text[^>]*>([a-z]\w+)</text>", picture([*POINTS, near, *crowd]))
    assert set(LANDMARKS) <= published().keys()


def test_the_area_of_a_bubble_is_its_parameters() -> None:
    small, large = (Bubble("", 60.0, 10**9, params) for params in (10**6, 4 * 10**6))
    assert large.radius == pytest.approx(2 * small.radius)


@pytest.mark.slow
def test_the_picture_is_as_the_tool_draws_it() -> None:
    assert PICTURE.read_text("utf-8") == picture(bubbles()), "draw it anew: make bubbles"
