"""The size space of NATS-Bench: its networks are numbered as in its table, and built as in the released code."""

from __future__ import annotations

from itertools import islice

import pytest

import nas
from nas.building import build
from nas.records import RecordError
from nas.runs.architecture import find_architecture
from search_spaces import nasbench201
from search_spaces.nats_size import CELL, from_string, nats_size, to_string


def test_the_space_has_eight_widths_for_each_of_five_layers() -> None:
    assert nas.count(nats_size()) == 8**5 == 32_768


def test_networks_have_their_numbers_in_the_table() -> None:
    # number 12 as in the released issue-21.ipynb
    found = [to_string(each) for each in islice(nas.enumerate_architectures(nats_size()), 13)]
    assert (found[0], found[12]) == ("8:8:8:8:8", "8:8:8:16:40")


def test_the_cell_is_that_of_the_topology_space_but_for_a_skip_without_relu() -> None:
    text = nasbench201.from_string(
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    )
    assert [[edge.source for edge in edges] for edges in CELL.nodes] == [[0], [0, 1], [0, 1, 2]]
    assert nas.profile(nasbench201.network(CELL)).params == nas.profile(nasbench201.network(text)).params
    # the last cell widens from 16 to 40 channels
    skip = build(from_string("8:8:8:16:40")).get_submodule("layers.4.nodes.2.0")
    assert [type(part).__name__ for part in skip.children()] == ["Conv2d", "BatchNorm2d"]


def test_the_text_of_a_network_is_read_without_its_family() -> None:
    text = "64:56:48:40:32"
    found = find_architecture(text)
    assert found.family == "nats_size"
    assert found == find_architecture(f"nats_size:{text}")


def test_other_widths_are_refused() -> None:
    with pytest.raises(
        RecordError, match="no network of NATS-Bench: its layers have 8, 16, 24, 32, 40, 48, 56, 64 channels"
    ):
        from_string("8:8:8:8:12")
