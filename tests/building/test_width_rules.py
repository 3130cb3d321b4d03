"""Rules that give a family's widths, with arguments that no published network has, against the code that each rule is from.

The numbers were computed by those libraries: pycls, torchvision and timm.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from nas.building import Node
from nas.layers.attention import SqueezeExcite, divisible
from nas.profiling import profile
from nas.records import RecordError
from search_spaces import densenet, efficientnet, mnasnet, mobilenet, regnet

IMAGENET = (3, 224, 224)


def params(network: Node) -> int:
    return profile(network, IMAGENET).params


# ------------------------------------------------------------------------------------------------------------ RegNet

STAGES: dict[str, tuple[Sequence[int], Sequence[int]]] = {
    "regnetx_004": ([32, 64, 160, 384], [1, 2, 7, 12]),
    "regnetx_040": ([80, 240, 560, 1360], [2, 5, 14, 2]),
    "regnety_008": ([64, 128, 320, 768], [1, 3, 8, 2]),
    "regnety_040": ([128, 192, 512, 1088], [2, 6, 12, 2]),
    "regnety_080": ([168, 448, 896, 2016], [2, 4, 10, 1]),
    "regnet_x_400mf": ([32, 64, 160, 400], [1, 2, 7, 12]),
    "regnet_y_800mf": ([64, 144, 320, 784], [1, 3, 8, 2]),
    "regnet_y_8gf": ([224, 448, 896, 2016], [2, 4, 10, 1]),
}
"""Widths and depths: of pycls where its rounding tells from torchvision's, and of torchvision where it tells from pycls'."""


@pytest.mark.parametrize("name", STAGES)
def test_the_stages_of_a_regnet_are_those_of_the_library_whose_name_it_has(name: str) -> None:
    widths, depths = STAGES[name]
    stages = regnet.PUBLISHED[name].stages
    made = [(stage.channels, stage.repeat) for stage in stages if stage.channels]
    if name.startswith("regnety") or "_y_" in name:  # the first block of a stage is a stage of its own
        assert made == [(width, 1) for width in widths]
        assert sum(stage.repeat for stage in stages) == sum(depths)
    else:
        assert made == list(zip(widths, depths, strict=True))


def test_a_user_who_computes_a_regnet_gets_the_papers_widths_and_torchvisions_by_its_rounding() -> None:
    assert regnet.rule(22, 24, 24.48, 2.54, 16) == [(32, 1), (64, 2), (160, 7), (384, 12)]
    assert regnet.rule(22, 24, 24.48, 2.54, 16, rounding=divisible)[-1] == (400, 12)


@pytest.mark.parametrize(
    ("arguments", "ratio", "stages"),
    [
        ((9, 40, 30.0, 2.0, 16), 1.0, [(32, 1), (80, 2), (160, 4), (320, 2)]),  # 40 is two groups and a half
        ((5, 56, 20.0, 1.5, 16), 1.0, [(64, 1), (80, 2), (128, 2)]),  # 56 is three and a half
        ((9, 24, 30.0, 2.0, 64), 1.0, [(24, 1), (48, 1), (128, 2), (192, 5)]),  # groups at most as wide as the stage
        ((9, 40, 30.0, 2.0, 16), 0.25, [(40, 1), (64, 2), (128, 4), (320, 2)]),
        ((4, 8, 20.0, 1.5, 16), 0.5, [(8, 1), (24, 1), (32, 1), (64, 1)]),
        ((9, 40, 30.0, 2.0, 24), 4.0, [(42, 1), (78, 2), (162, 4), (318, 2)]),
        ((1, 8, 0.0, 1.5, 3), 1.0, [(9, 1)]),
    ],
)
def test_the_rule_of_regnet_is_that_of_pycls_for_other_arguments(
    arguments: tuple[int, int, float, float, int], ratio: float, stages: list[tuple[int, int]]
) -> None:
    assert regnet.rule(*arguments, ratio=ratio) == stages


def test_a_computed_regnet_with_a_ratio_consists_of_whole_groups() -> None:
    assert params(regnet.regnet_y(4, 40, 30.0, 2.0, 24, ratio=4.0)) > 0


@pytest.mark.parametrize(
    "arguments", [(9, 20, 30.0, 2.0, 8), (9, 0, 30.0, 2.0, 8), (9, 24, -1.0, 2.0, 8), (9, 24, 30.0, 1.0, 8)]
)
def test_a_rule_of_regnet_beyond_its_limits_is_refused_in_one_line(
    arguments: tuple[int, int, float, float, int],
) -> None:
    with pytest.raises(RecordError, match=r"^initial width .* are not a rule of RegNet: give [^\n]*$"):
        regnet.rule(*arguments)


# ---------------------------------------------------------------------------------------------------- other families


@pytest.mark.parametrize(("width", "last"), [(0.6, 768), (1.01, 1296), (1.05, 1344), (2.2, 2816), (4.3, 5504)])
def test_efficientnet_scales_its_last_convolution_as_the_released_code(width: float, last: int) -> None:
    """torchvision has four times the width before it, which at 1.01 is 1280."""
    *_, convolution = efficientnet.efficientnet(1.0, width, 0.2).stages
    assert convolution.channels == last


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (efficientnet.efficientnet(1.0, 1.01, 0.2), 5_309_700),
        (mobilenet.mobilenet_v1(1.25), 6_270_840),
        (mobilenet.mobilenet_v2(1.15), 4_419_144),
        (mobilenet.mobilenet_v3(mobilenet.LARGE, 960, 1280, 0.6), 3_097_016),
        (mobilenet.mobilenet_v3(mobilenet.SMALL, 576, 1024, 1.35), 3_455_256),
        (mnasnet.mnasnet(mnasnet.B1, multiplier=1.4), 7_115_728),
        (mnasnet.mnasnet(mnasnet.A1, multiplier=1.05), 4_171_800),
    ],
    ids=["EfficientNet", "V1", "V2", "V3 large", "V3 small", "MnasNet-B1", "MnasNet-A1"],
)
def test_multipliers_scale_as_in_timm(network: Node, expected: int) -> None:
    assert params(network) == expected


def test_no_width_of_mobilenet_v1_falls_below_eight() -> None:
    """As in the released code, whose `min_depth` is 8; a tenth of 32 channels would be 3."""
    network = mobilenet.mobilenet_v1(0.1)
    assert network.stem.channels == 8
    assert [stage.channels for stage in network.stages] == [8, 12, 25, 51, 102]


@pytest.mark.parametrize(("depths", "growth", "expected"), [((3, 5, 2, 2), 13, 184_764), ((4,) * 4, 7, 105_250)])
def test_transitions_of_densenet_round_odd_widths_down(depths: Sequence[int], growth: int, expected: int) -> None:
    """As the paper's floor and torchvision's DenseNet(growth, depths, 2 * growth); 65 channels become 32, 91 become 45."""
    assert params(densenet.imagenet(depths, growth)) == expected


@pytest.mark.parametrize(
    ("width", "reduction", "squeezed"), [(24, 16, 1), (40, 16, 2), (56, 16, 3), (8, 16, 1), (256, 16, 16)]
)
def test_squeeze_and_excitation_rounds_its_share_down(width: int, reduction: int, squeezed: int) -> None:
    """As every port of SENet, `channels // reduction`; not MobileNet's rounding, which never takes more than a tenth away."""
    layers = profile(SqueezeExcite(reduction), (width, 4, 4)).layers
    assert next(layer.output[0] for layer in layers if layer.kind == "Conv2d") == squeezed
