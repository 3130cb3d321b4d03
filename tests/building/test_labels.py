"""What an operation is called wherever a person reads it: one name in tables, charts, drawings and stored searches."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from nas.building import Node
from nas.choice import Choice, choices
from nas.drawing import draw
from nas.family import families
from nas.labels import labels_of, operation_label, option_label, stored_label
from nas.notation import parse
from nas.operations.separable import SepConv
from nas.operations.skip import Skip
from nas.space import one_of
from nas.supernets.search import label as key_of
from nas.topology.chain import Chain
from search_spaces import darts, nasbench201


@pytest.mark.parametrize(("name", "node"), [*darts.NAMES.items(), *nasbench201.OPERATIONS.items()])
def test_an_operation_is_called_as_in_the_papers(name: str, node: Node) -> None:
    assert option_label(node) == operation_label(node) == name


@pytest.mark.parametrize(
    ("typed", "label"),
    [
        ("conv3", "conv_3x3"),
        ("conv1x7-32/2", "conv_1x7-32/2"),
        ("pool3", "max_pool_3x3"),
        ('pool3/1(kind="mean")', "avg_pool_3x3/1"),
        ("mb_conv5(expansion=3)", "mb_conv_5x5(expansion=3.0)"),
        ("conv1x3 conv3x1", "conv_1x3 conv_3x1"),
        ("sep_conv{k: 3 | 5}", "sep_conv_{3|5}"),
        ("relu", "relu"),
        ("motif(number=1)", "motif(number=1)"),
    ],
)
def test_another_node_is_called_as_in_notation_with_its_kernel_as_in_the_papers(typed: str, label: str) -> None:
    assert option_label(parse(typed)) == label


@pytest.mark.parametrize("plain", [(3, "3"), (0.5, "0.5"), ("multiply", "multiply"), (True, "true"), (None, "none")])
def test_a_value_is_called_as_it_is(plain: tuple[Any, str]) -> None:
    value, label = plain
    assert option_label(value) == label


def test_a_tuple_of_nodes_is_called_by_its_nodes() -> None:
    options = [(SepConv(5), Skip()), (SepConv(3),), ()]
    choice = choices(Chain(one_of("body", options)))["body"]
    assert list(map(option_label, options)) == ["sep_conv_5x5, skip_connect", "sep_conv_3x3", "empty"]
    assert labels_of(choice) == ("sep_conv_5x5, skip_connect", "sep_conv_3x3", "empty")


def operations(space: Any) -> list[Choice]:
    """Return the choices of a space whose options are closed operations."""
    found = [choice for choice in choices(space).values() if choice.k is None]
    return [choice for choice in found if all(isinstance(each, Node) for each in choice.options)]


@pytest.mark.parametrize("name", ["darts", "nasbench201", "nasnet", "hierarchical"])
def test_a_stored_search_the_shares_and_the_options_say_the_same(name: str) -> None:
    for choice in operations(families()[name].space()):
        labels = [option_label(option) for option in choice.options]
        if not any(" " in label or "(" in label for label in labels):
            assert [stored_label(key_of(option)) for option in choice.options] == labels
            assert list(labels_of(choice)) == labels


@pytest.mark.parametrize("key", ["Edge 3", "7", "no class 3", "", "x" * 80])
def test_what_is_no_operation_is_shown_as_it_was_stored(key: str) -> None:
    assert stored_label(key) == key


def test_options_of_one_key_are_still_told_apart() -> None:
    assert stored_label("MBConv 3 (2)") == "mb_conv_3x3 (2)"
    assert stored_label("MBConv 3 expansion=6") == "mb_conv_3x3(expansion=6)"


def test_a_drawing_says_the_same_as_the_text_below_it() -> None:
    cell = nasbench201.from_string(
        "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|"
    )
    svg = draw(cell)
    assert svg is not None
    drawn = {text.text for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}
    assert set(nasbench201.OPERATIONS) <= drawn
