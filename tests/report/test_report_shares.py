"""The shares of what a population chose: which panels there are, and what shares they show."""

from __future__ import annotations

from random import Random

import pytest

import nas
from nas.labels import structure_label
from nas.report.summary.shares import taken_options, window_of
from nas.space import decisions, resolve
from nas.strategies.evolution import RegularizedEvolution
from nas.strategies.random_search import RandomSearch
from search_spaces.bits import bits
from search_spaces.darts import darts
from search_spaces.macro import macro
from search_spaces.resnet import resnet_space

SPACE = macro(stages=2)
SAMPLES = [nas.sample(SPACE, Random(i)) for i in range(30)]


def test_structures_come_first_by_their_names() -> None:
    shown = taken_options(SPACE, SAMPLES)
    assert [panel.title for panel in shown[:2]] == ["stage1/structure", "stage2/structure"]
    assert shown[0].labels == ("serial", "residual", "inception", "dense")
    assert {panel.title for panel in shown} >= {"stage1/depth", "stage1/width"}


def test_shares_are_those_of_the_last_evaluations() -> None:
    panel = taken_options(SPACE, SAMPLES)[0]
    taken = [panel.labels[decisions(SPACE, each)["stage1/structure"]] for each in SAMPLES]
    shares = panel.shares(window=10)
    for label in panel.labels:
        assert shares[label][-1] == 10 * taken[-10:].count(label)
        assert shares[label][4] == 20 * taken[:5].count(label)
    assert all(sum(values) == pytest.approx(100) for values in zip(*shares.values(), strict=True))


def test_shares_are_of_the_population_and_in_a_long_search_of_all_between_two_points() -> None:
    evolution = RegularizedEvolution(population=10, sample=3)
    assert [window_of(evolution, total) for total in (50, 2000, 20_000)] == [10, 10, 100]
    assert window_of(RandomSearch(), 100) == 25


def test_a_choice_that_was_not_open_counts_nowhere() -> None:
    only = resolve(SPACE, lambda choice: 0)  # serial: no other operation is asked for
    (panel,) = [panel for panel in taken_options(SPACE, [only]) if panel.title.endswith("operation")][:1]
    assert panel.taken == [["nor_conv_3x3"]]


def test_many_choices_of_one_kind_share_a_panel() -> None:
    samples = [nas.sample(darts(), Random(i)) for i in range(5)]
    (panel,) = taken_options(darts(), samples)
    assert panel.title == "28 choices, as normal/0-2"
    assert "sep_conv_3x3" in panel.labels


def test_an_option_is_labelled_by_its_structure() -> None:
    labels = [structure_label(nas.from_plain(plain)) for plain in ({"Skip": {}}, {"SepConv": {"kernel": 5}})]
    assert labels == ["skip_connect", "sep_conv_5x5"]


def test_structures_of_one_kind_are_told_apart_by_number() -> None:
    space = resnet_space()
    (panel,) = [
        panel for panel in taken_options(space, [nas.sample(space, Random(0))]) if panel.title == "stage1/block"
    ]
    assert panel.labels == ("residual 1", "residual 2", "residual 3", "residual 4")


def test_numbers_alone_have_no_panel() -> None:
    assert taken_options(bits(), [nas.sample(bits(), Random(i)) for i in range(3)]) == []
