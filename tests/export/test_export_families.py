"""Published cells and a network of every family, exported with weights and statistics that are not those of a fresh network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from nas.building import build
from nas.export.exporting import export
from nas.export.format import formats_named
from nas.export.subject import ExportRequest
from nas.family import families, family
from nas.plain import write
from nas.records import digest
from nas.runs.architecture import StackedNetwork
from nas.training import save_weights

pytestmark = pytest.mark.usefixtures("one_thread")

SMALLEST = {
    "activation": "relu",
    "convnext": "convnext_tiny",
    "densenet": "densenet40_k12_cifar",
    "dpn": "dpn68",
    "efficientnet": "efficientnet_b0",
    "inception": "inception_v2",
    "mnasnet": "mnasnet_small",
    "mobilenet": "mobilenet_v1_025",
    "nasbench201": "all_conv_3x3",
    "nasnet": "AmoebaNet_A",
    "randwire": "randwire_small",
    "regnet": "regnet_y_400mf",
    "resnet": "resnet20_cifar",
    "resnext": "resnext29_32x4d_cifar",
    "senet": "se_resnet50",
    "shiftnet": "shiftnet_b",
    "shufflenet": "shufflenet_v2_x0_5",
    "squeezenet": "squeezenet1_1",
}
"""The member that takes the least time, where it is not the first."""

STACKED: dict[str, dict[str, Any]] = {
    "darts": {"channels": 8, "layers": 5, "auxiliary": True},
    "nasbench101": {"channels": 8, "cells_per_stage": 1},
    "nasbench201": {"channels": 8, "cells_per_stage": 1},
    "nasnet": {"channels": 8, "cells_per_stage": 1},
    "transnas_micro": {"cells_per_stage": 1},
}
"""How cells are stacked to small networks."""

CELLS = [f"{name}:{member}" for name in ("darts", "nasnet", "nasbench201") for member in family(name).published]
FAMILIES = [
    f"{name}:{SMALLEST.get(name, next(iter(found.published)))}" for name, found in families().items() if found.published
]


@torch.no_grad()
def varied(model: nn.Module) -> nn.Module:
    """Give every batch norm statistics and weights that are not those of a fresh one, whose folding would change nothing."""
    generator = torch.Generator().manual_seed(0)
    for norm in model.modules():
        if isinstance(norm, _BatchNorm):
            for tensor, low, high in (
                (norm.running_mean, -0.2, 0.2),
                (norm.running_var, 0.7, 1.3),
                (norm.weight, 0.7, 1.3),
                (norm.bias, -0.2, 0.2),
            ):
                if tensor is not None:
                    tensor.uniform_(low, high, generator=generator)
    return model


def checkpoint(name: str, folder: Path) -> str:
    """Write weights of a published architecture, as a training would leave them."""
    family_name, _, member = name.partition(":")
    known = family(family_name)
    found = StackedNetwork(family_name, known.published[member], STACKED.get(family_name, {}), known.input_of(member))
    network = found.tree()
    torch.manual_seed(0)
    save_weights(varied(build(network, found.input)), folder / "some.safetensors", digest(network))
    (folder / "some.json").write_text(write(found), encoding="utf-8")
    return str(folder / "some.safetensors")


def exported_alike(name: str, to: str, folder: Path, fold: bool) -> None:
    asked = ExportRequest(checkpoint(name, folder), fold=fold)
    done = export(asked, formats_named(to), folder / "out", False, True, lambda line: None)
    assert not done.differing, [(each.format.name, each.difference) for each in done.differing]
    assert all(each.difference is not None for each in done.exported)


@pytest.mark.parametrize("name", ["resnet:resnet20_cifar", "activation:relu"])
def test_a_folded_network_is_the_same_as_source(name: str, tmp_path: Path) -> None:
    exported_alike(name, "source", tmp_path, fold=True)


@pytest.mark.slow
@pytest.mark.parametrize("fold", [False, True], ids=["as trained", "folded"])
@pytest.mark.parametrize("name", sorted({*CELLS, *FAMILIES}))
def test_a_network_of_every_family_is_the_same_in_every_format(name: str, fold: bool, tmp_path: Path) -> None:
    exported_alike(name, "source,torch-export,onnx", tmp_path, fold)


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    [
        "shift(learned=true)",
        "shift conv1-8 channel_shuffle(groups=4)",
        "selective_kernel",
        'pool2(kind="l2")',
        "resize(factor=0.5)",
        "mish hard_swish hard_sigmoid gelu elu leaky_relu swish relu6",
        'core_unit(binary="max", first="sinc", second="asinh")',
        "highway[conv3]",
        "attention_conv3 attention_conv3(heads=4, key=0.5)",
        "residual[residual[conv3 conv3] conv3]",
        "deluge[conv3] masked(mask=hourglass[conv3])[conv3] multi_scale(growth=4)[conv1, conv3]",
        'normalize(norm="layer") layer_scale',
        "conv3(norm=group, padding=reflect) conv3(norm=instance, padding=replicate, activation=prelu)",
        "conv3(norm=none) local_response_norm global_response_norm",
        'squeeze_excite(pool="both") spatial_gate7 squeeze_excite(pool="max")',
        'bam bam(join="product", dilation=2)',
        "augmented_conv3(heads=2, key=0.5, value=0.25) self_attention(heads=2, relative=true)",
        'resize(factor=2.0, mode="nearest") transposed_conv4-8 depth_to_space space_to_depth',
        'branches(join="max")[conv1, conv3] branches(join="product")[conv1, conv3]',
        "spatial_pyramid(levels=(5, 3, 1))",
        'spatial_pyramid(levels=(5, 3), kind="mean")',
        'space_time_conv3(frames=4) space_time_pool3(frames=4, stride=2) space_time_pool1(frames=2, kind="mean")',
        "non_local non_local(norm=false, pool=1) double_attention",
    ],
)
def test_an_unusual_operation_is_the_same_in_every_format(part: str, tmp_path: Path) -> None:
    text = f"network(stem=conv3-8, head=classifier(classes=5))[{part}]"
    asked = ExportRequest(text, input=(3, 12, 12), untrained=True)
    done = export(asked, formats_named("source,torch-export,onnx"), tmp_path, False, False, lambda line: None)
    assert not done.differing
