"""Parameters and multiply-adds of published networks, exactly.

Parameters include batch norm and classifier, not the auxiliary head; MACs are those of convolutions and linear layers
for one image. The numbers were derived by an independent program from the released cells.
"""

from __future__ import annotations

import pytest

from nas.profiling import profile
from search_spaces import darts, nasbench201, nasnet

DARTS_FORM = {
    "DARTS_V1": ((3_169_414, 500_987_520), (4_510_432, 505_864_704)),
    "DARTS_V2": ((3_349_342, 528_359_040), (4_718_752, 529_911_552)),
    "PC_DARTS_cifar": ((3_634_678, 556_670_592), (5_270_560, 571_137_408)),
    "PC_DARTS_image": ((3_721_510, 570_466_944), (5_342_464, 581_627_328)),
    "PDARTS": ((3_433_798, 532_174_464), (4_944_352, 542_819_328)),
    "NASNet_in_DARTS_form": ((3_830_950, 603_452_448), (5_564_320, 604_031_616)),
    "AmoebaNet_in_DARTS_form": ((3_145_078, 488_931_552), (4_627_360, 526_746_624)),
}


QUICK = ("DARTS_V2", "AmoebaNet_in_DARTS_form")
"""Whose auxiliary heads are counted in a normal run: reduction cells that concatenate four nodes, and three."""


@pytest.mark.parametrize("name", DARTS_FORM)
def test_darts_form_on_cifar(name: str) -> None:
    costs = profile(darts.network(darts.PUBLISHED[name]))
    assert (costs.params, costs.macs) == DARTS_FORM[name][0]


@pytest.mark.parametrize("name", DARTS_FORM)
def test_darts_form_on_imagenet(name: str) -> None:
    network = darts.network(darts.PUBLISHED[name], channels=48, layers=14, classes=1000, stem="imagenet")
    costs = profile(network, (3, 224, 224))
    assert (costs.params, costs.macs) == DARTS_FORM[name][1]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in DARTS_FORM]
)
def test_auxiliary_heads_add_parameters_and_no_macs(name: str) -> None:
    cells = darts.PUBLISHED[name]
    three = len(cells.reduction.concatenated()) == 3
    with_head = profile(darts.network(cells, auxiliary=True))
    assert with_head.params - DARTS_FORM[name][0][0] == (457_994 if three else 476_426)
    assert with_head.macs == DARTS_FORM[name][0][1]
    network = darts.network(cells, channels=48, layers=14, classes=1000, stem="imagenet", auxiliary=True)
    with_head = profile(network, (3, 224, 224))
    assert with_head.params - DARTS_FORM[name][1][0] == (1_236_200 if three else 1_260_776)
    assert with_head.macs == DARTS_FORM[name][1][1]


def test_nasnet_in_darts_form_has_the_published_size_at_32_channels() -> None:
    assert profile(darts.network(darts.PUBLISHED["NASNet_in_DARTS_form"], channels=32)).params == 3_061_738


OFFICIAL = {
    "NASNet-A CIFAR": ("NASNet_A", {"channels": 32}, 32, (3_346_538, 544_333_312)),
    "NASNet-A mobile": (
        "NASNet_A",
        {"channels": 44, "cells_per_stage": 4, "classes": 1001, "stem": "imagenet"},
        224,
        (5_291_035, 563_639_872),
    ),
    "NASNet-A large": (
        "NASNet_A",
        {"channels": 168, "classes": 1001, "stem": "imagenet", "stem_channels": 96, "skip_reduction": True},
        331,
        (88_757_183, 23_783_418_690),
    ),
    "NASNet-A large, 1000 classes": (
        "NASNet_A",
        {"channels": 168, "classes": 1000, "stem": "imagenet", "stem_channels": 96, "skip_reduction": True},
        331,
        (88_753_150, 23_783_414_658),
    ),
    "AmoebaNet-A CIFAR": ("AmoebaNet_A", {"channels": 36}, 32, (3_218_266, 509_668_992)),
    "AmoebaNet-A mobile": (
        "AmoebaNet_A",
        {"channels": 50, "cells_per_stage": 4, "classes": 1001, "stem": "imagenet"},
        224,
        (5_087_731, 554_688_004),
    ),
    # The paper prints 86.7 M and 23.1 B; a stem of 96 channels, as NASNet-A large has, would give 23.4 B.
    "AmoebaNet-A large": (
        "AmoebaNet_A",
        {"channels": 190, "classes": 1001, "stem": "imagenet"},
        331,
        (86_721_838, 23_133_666_547),
    ),
    "AmoebaNet-A large, stem of 96": (
        "AmoebaNet_A",
        {"channels": 190, "classes": 1001, "stem": "imagenet", "stem_channels": 96},
        331,
        (86_742_382, 23_370_623_667),
    ),
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_cells(name: str) -> None:
    cells, options, size, counts = OFFICIAL[name]
    costs = profile(nasnet.network(nasnet.PUBLISHED[cells], **options), (3, size, size))
    assert (costs.params, costs.macs) == counts


@pytest.mark.parametrize(
    ("name", "counts"),
    [("all_conv_3x3", (1_531_546, 220_119_680)), ("all_skip", (73_306, 7_783_040))],
)
def test_nasbench201(name: str, counts: tuple[int, int]) -> None:
    costs = profile(nasbench201.network(nasbench201.family.published[name]))
    assert (costs.params, costs.macs) == counts


def test_layers_add_up() -> None:
    costs = profile(darts.network(darts.PUBLISHED["DARTS_V2"]))
    assert sum(layer.params for layer in costs.layers) == costs.params
    assert sum(layer.macs for layer in costs.layers) == costs.macs
    assert costs.layers[0].name == "stem.0.0"
    assert costs.layers[0].output == (108, 32, 32)
    assert costs.layers[0].activation_bytes == 108 * 32 * 32 * 4
