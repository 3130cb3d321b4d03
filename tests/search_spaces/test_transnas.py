"""TransNAS-Bench-101: as many networks as were published, in its notation, built as in its released code."""

from __future__ import annotations

import pytest

import nas
from nas.building import BuildError, Site
from nas.layers.conv import ConvNormAct
from nas.profiling import profile
from nas.records import RecordError
from nas.runs.architecture import find_architecture
from nas.topology.backbone import Backbone
from search_spaces import transnas_macro, transnas_micro


def test_the_macro_space_has_the_published_number_of_networks() -> None:
    space = transnas_macro.transnas_macro()
    texts = {transnas_macro.to_string(each) for each in nas.enumerate_architectures(space)}
    assert nas.count(space) == len(texts) == 3_256
    assert {"64-1234-basic", "64-4111-basic", "64-2311-basic"} <= texts  # in the released documentation


def test_the_micro_space_has_the_published_number_of_cells() -> None:
    assert nas.count(transnas_micro.transnas_micro()) == 4**6 == 4_096


@pytest.mark.parametrize(("classes", "params"), [(47, 41_435_727), (75, 41_450_091), (9, 41_416_233)])
def test_parameters_are_those_of_another_port(classes: int, params: int) -> None:
    # scenes, objects and room layouts in zcp_test, a port of the released code by others
    network = transnas_micro.network(transnas_micro.family.published["all_conv_3x3"], classes)
    assert profile(network, (3, 256, 256)).params == params


def test_modules_are_as_in_the_documentation() -> None:
    # m1(normal)-m2(channelx2)-m3(resolution/2)-m4(channelx2 & resolution/2)
    backbone = transnas_macro.from_string("64-1234-basic").stages[0]
    assert backbone.shape(Site((64, 64, 64), 64)) == (256, 16, 16)
    cell = transnas_micro.from_string("64-41414-1_02_333")
    names = [[type(edge.operation).__name__ for edge in edges] for edges in cell.nodes]
    assert names == [["Skip"], ["Zero", "Conv"], ["Conv", "Conv", "Conv"]]
    assert transnas_micro.network(cell).stages[0].shape(Site((64, 64, 64), 64)) == (512, 8, 8)


@pytest.mark.parametrize("text", ["64-1234-basic", "64-41414-1_02_333"])
def test_the_text_of_a_network_is_read_without_its_family(text: str) -> None:
    found = find_architecture(text)
    assert found == find_architecture(f"{found.family}:{text}")
    assert found.family.startswith("transnas_")


@pytest.mark.parametrize(
    "text", ["64-123-basic", "64-1235-basic", "64-1111-basic", "64-44444-basic", "64-333333-basic"]
)
def test_networks_outside_the_macro_space_are_refused(text: str) -> None:
    with pytest.raises(RecordError, match="give four to six digits from 1 to 4"):
        transnas_macro.from_string(text)


def test_a_backbone_halves_and_doubles_where_it_says() -> None:
    backbone = Backbone(ConvNormAct(3), 3, halved=(0, 2), doubled=(1,))
    assert backbone.shape(Site((8, 32, 32), 8)) == (16, 8, 8)
    assert backbone.shape(Site((8, 32, 32), 12, 2)) == (24, 4, 4)
    for halved in ((3,), (1, 0), (1, 1)):
        with pytest.raises(BuildError, match=r"^halved is \(.*\): give modules from 0 to 2, ascending$"):
            Backbone(ConvNormAct(3), 3, halved)
