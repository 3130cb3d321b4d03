"""Compound scaling: the rounding gives the published EfficientNets, and the costs grow as the paper says."""

from __future__ import annotations

from functools import partial
from inspect import signature

import pytest

import nas
from nas.evaluation.scale import Scale
from nas.family import families
from nas.plain import from_plain
from nas.records import RecordError, to_plain
from search_spaces import darts

IMAGENET = {"channels": 48, "layers": 14, "classes": 1000, "stem": "imagenet", "auxiliary": False}
STACK = partial(darts.network, darts.PUBLISHED["DARTS_V2"])

B0_WIDTHS, B0_REPEATS = (32, 16, 24, 40, 80, 112, 192, 320, 1280), (1, 2, 2, 3, 3, 4, 1)

PUBLISHED = {
    1: (1.0, 1.1, (32, 16, 24, 40, 80, 112, 192, 320, 1280), (2, 3, 3, 4, 4, 5, 2)),
    2: (1.1, 1.2, (32, 16, 24, 48, 88, 120, 208, 352, 1408), (2, 3, 3, 4, 4, 5, 2)),
    3: (1.2, 1.4, (40, 24, 32, 48, 96, 136, 232, 384, 1536), (2, 3, 3, 5, 5, 6, 2)),
    4: (1.4, 1.8, (48, 24, 32, 56, 112, 160, 272, 448, 1792), (2, 4, 4, 6, 6, 8, 2)),
    5: (1.6, 2.2, (48, 24, 40, 64, 128, 176, 304, 512, 2048), (3, 5, 5, 7, 7, 9, 3)),
    6: (1.8, 2.6, (56, 32, 40, 72, 144, 200, 344, 576, 2304), (3, 6, 6, 8, 8, 11, 3)),
    7: (2.0, 3.1, (64, 32, 48, 80, 160, 224, 384, 640, 2560), (4, 7, 7, 10, 10, 13, 4)),
}
"""Of B1 to B7 the width and depth coefficient of the released table, the widths (stem, stages, head) and the repeats."""


@pytest.mark.parametrize("number", PUBLISHED)
def test_the_rounding_gives_the_published_widths_and_repeats(number: int) -> None:
    width, depth, widths, repeats = PUBLISHED[number]
    scale = Scale(1.0, depth=depth, width=width, multiple=8)
    assert tuple(scale.options({"layers": 1, "channels": each})["channels"] for each in B0_WIDTHS) == widths
    assert tuple(scale.options({"layers": each, "channels": 8})["layers"] for each in B0_REPEATS) == repeats


def test_a_phi_of_nothing_changes_nothing() -> None:
    odd = {**IMAGENET, "channels": 35, "layers": 13}
    assert Scale(0.0, multiple=8).options(odd) == odd
    assert [Scale(0.0).size(pixels) for pixels in (28, 32, 225)] == [28, 32, 225]


def test_a_width_is_a_multiple_and_never_over_a_tenth_too_narrow() -> None:
    for multiple in (1, 2, 8, 16):
        for channels in range(1, 100):
            found = Scale(1.0, multiple=multiple).options({"layers": 1, "channels": channels})["channels"]
            assert found % multiple == 0
            assert 0.9 * 1.1 * channels <= found < 1.1 * channels + multiple


def test_a_depth_is_rounded_up_and_a_rounding_error_is_no_layer() -> None:
    deep = partial(Scale, width=1.0, resolution=1.0)
    assert deep(1.0, depth=1.1).options({"layers": 10, "channels": 8}) == {"layers": 11, "channels": 8}
    assert deep(1.0, depth=1.01).options({"layers": 10, "channels": 8})["layers"] == 11
    assert [deep(1.0).size(pixels) for pixels in (225, 300)] == [225, 300]


def test_sizes_grow_towards_the_published_ones() -> None:
    assert [Scale(float(phi)).size(224) for phi in range(1, 8)] == [256, 296, 344, 392, 448, 520, 592]
    assert Scale(1.0, pixels_multiple=32).size(224) == 256


def test_the_macs_of_a_scaled_darts_grow_twofold_with_each_phi() -> None:
    def macs(scale: Scale) -> int:
        pixels = scale.size(224)
        return nas.profile(STACK(**scale.options(IMAGENET)), (3, pixels, pixels)).macs

    assert macs(Scale(2.0)) / macs(Scale(0.0)) == pytest.approx(4, rel=0.05)


def test_other_options_stay_and_the_reductions_move_with_the_depth() -> None:
    options = Scale(2.0).options(IMAGENET)
    assert options == {**IMAGENET, "layers": 21, "channels": 58}
    strides = [stage.stride for stage in STACK(**options).stages]
    repeats = [stage.repeat for stage in STACK(**options).stages]
    assert (strides, repeats) == ([2, 1, 2, 1, 2, 1], [1, 7, 1, 6, 1, 6])


def test_each_family_that_stacks_cells_has_a_depth_and_a_width() -> None:
    found = {}
    for name in ("darts", "nasnet", "nasbench201", "hierarchical", "activation"):
        parameters = list(signature(families()[name].network).parameters.values())[1:]
        defaults = {each.name: each.default for each in parameters}
        scaled = Scale(3.0).options(defaults)
        found[name] = {option for option in defaults if scaled[option] != defaults[option]}
    assert found == {
        "darts": {"layers", "channels"},
        "nasnet": {"cells_per_stage", "channels"},
        "nasbench201": {"cells_per_stage", "channels"},
        "hierarchical": {"cells_per_stage", "channels"},
        "activation": {"depth", "channels"},
    }


def test_options_have_names_of_their_own() -> None:
    scale = Scale(1.0, depth_option="blocks", width_option="width")
    assert scale.options({"blocks": 4, "width": 20, "layers": 3}) == {"blocks": 5, "width": 22, "layers": 3}


def test_what_cannot_be_scaled_says_so() -> None:
    with pytest.raises(
        RecordError, match=r"Scale\.depth_option is 'layer', which the network does not have: did you mean 'layers'"
    ):
        Scale(1.0, depth_option="layer").options(IMAGENET)
    with pytest.raises(
        RecordError, match=r"Scale\.width_option is 'width', which the network does not have: known are .*channels"
    ):
        Scale(1.0, width_option="width").options(IMAGENET)
    with pytest.raises(
        RecordError, match=r"Scale\.depth_option is 'layers', which the network does not have: known are classes"
    ):
        Scale(1.0).options({"classes": 10})
    with pytest.raises(RecordError, match="channels is None, and Scale needs an integer: give the network's channels"):
        Scale(1.0).options({"layers": 3, "channels": None})
    with pytest.raises(RecordError, match=r"Scale\.phi is -1: give a number of at least 0"):
        Scale(-1)
    with pytest.raises(RecordError, match=r"Scale\.depth is 0\.9: give a number of at least 1"):
        Scale(1.0, depth=0.9)


def test_it_is_written_and_read_back() -> None:
    scale = Scale(1.5, multiple=4)
    assert from_plain(to_plain(scale), Scale) == scale
    assert from_plain({"phi": 1}, Scale) == Scale(1)
