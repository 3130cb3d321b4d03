"""Weights from elsewhere: a state dict of another library is matched to a network by the order of execution and by shapes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from nas.building import build
from nas.family import published
from nas.notation import parse
from nas.preprocessing import Preprocessing
from nas.records import RecordError, digest
from nas.runs.architecture import find_checkpoint
from nas.training import save_weights
from nas.training.checkpoint import network_of
from nas.training.foreign_weights import load_any
from nas.training.randomness import stream

SHAPE = (3, 32, 32)
SMALL = "network(stem=conv3-4, head=classifier(classes=5))[conv3-8/2 residual[conv3 conv3(activation=none)]]"


class Block(nn.Module):
    """The basic block as torchvision writes it: the names of its layers do not sort in the order in which they run."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.downsample = shortcut if channels != width else None

    def forward(self, x: Tensor) -> Tensor:
        short = x if self.downsample is None else self.downsample(x)
        changed: Tensor = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(changed + short)


class ResNet18(nn.Module):
    """ResNet-18 as torchvision writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = (64, 64, 128, 256, 512)
        for i in range(1, 5):
            first = Block(widths[i - 1], widths[i], 1 if i == 1 else 2)
            self.add_module(f"layer{i}", nn.Sequential(first, Block(widths[i], widths[i], 1)))
        self.fc = nn.Linear(512, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(functional.relu(self.bn1(self.conv1(x))))
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


def stirred(model: nn.Module) -> nn.Module:
    """Give a network other weights in every tensor, also in the statistics of its norms, so that a swap of two shows."""
    rng = stream(0, "weights")
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=rng)
            tensor.copy_(0.5 + noise if "bn" in name or "norm" in name or "var" in name else (noise - 0.5) / 4)
    return model.eval()


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    return stirred(ResNet18())


@pytest.mark.parametrize("suffix", ["pth", "safetensors", "trained", "parallel"])
def test_weights_of_a_network_written_by_hand_give_its_logits(resnet: nn.Module, suffix: str, tmp_path: Path) -> None:
    state, path = resnet.state_dict(), tmp_path / f"weights.{suffix}"
    if suffix == "safetensors":
        save_file(state, path)  # which sorts the names: bn1 before conv1
    elif suffix == "trained":
        torch.save({"epoch": 3, "state_dict": state}, path)
    else:
        torch.save({f"module.{name}" if suffix == "parallel" else name: each for name, each in state.items()}, path)
    model = build(published("resnet:resnet18")[1], SHAPE).eval()
    load_any(model, path, SHAPE)
    images = torch.randn(2, *SHAPE, generator=stream(0, "images"))
    with torch.no_grad():
        torch.testing.assert_close(model(images), resnet(images), rtol=1e-5, atol=1e-5)


def test_a_head_for_other_classes_stays_as_it_was(resnet: nn.Module, tmp_path: Path) -> None:
    torch.save(resnet.state_dict(), path := tmp_path / "weights.pth")
    found, tree = published("resnet:resnet18")
    model = build(found.network(tree, classes=10), SHAPE)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    with pytest.raises(RecordError, match=r"fc.weight \(1000, 512\), expected head.2.weight \(10, 512\); fc.bias"):
        load_any(model, path, SHAPE)
    load_any(model, path, SHAPE, new_head=True)
    after = model.state_dict()
    assert torch.equal(after["head.2.weight"], before["head.2.weight"])
    assert torch.equal(after["stem.0.0.weight"], resnet.state_dict()["conv1.weight"])


def test_every_mismatch_is_named_with_its_shape_and_the_expected_one(tmp_path: Path) -> None:
    model = build(parse(SMALL), SHAPE)
    other = build(parse(SMALL.replace("conv3-4", "conv5-4")), SHAPE).state_dict()
    renamed = {f"net.{name}".replace("stem", "first"): each for name, each in other.items()}
    torch.save({**renamed, "net.zz.weight": torch.zeros(2, 3)}, path := tmp_path / "weights.pth")
    with pytest.raises(RecordError) as error:
        load_any(model, path, SHAPE)
    text = str(error.value)
    assert "\n" not in text
    assert "2 of its tensors differ" in text
    assert "net.first.0.weight (4, 3, 5, 5), expected stem.0.weight (4, 3, 3, 3)" in text
    assert "net.zz.weight (2, 3), expected nothing" in text


def test_an_auxiliary_head_is_left_out_where_the_network_has_none(resnet: nn.Module, tmp_path: Path) -> None:
    extra = {"AuxLogits.fc.weight": torch.zeros(10, 768), "AuxLogits.fc.bias": torch.zeros(10)}
    torch.save({**resnet.state_dict(), **extra}, path := tmp_path / "weights.pth")
    model = build(published("resnet:resnet18")[1], SHAPE)
    load_any(model, path, SHAPE)
    assert torch.equal(model.state_dict()["head.2.bias"], resnet.state_dict()["fc.bias"])


def test_a_linear_layer_is_taken_for_a_convolution_of_one_pixel(tmp_path: Path) -> None:
    model = build(parse("network(stem=conv1-4(norm=none), head=classifier(classes=5))[conv1-8]"), SHAPE)
    state = {f"x.{name}": each.flatten(1) if each.dim() > 1 else each for name, each in model.state_dict().items()}
    torch.save({name: each + 1 for name, each in state.items()}, path := tmp_path / "weights.pth")
    before = model.state_dict()["stem.0.weight"].clone()
    load_any(model, path, SHAPE)
    assert torch.equal(model.state_dict()["stem.0.weight"], before + 1)


def test_weights_of_this_project_are_held_to_their_network(tmp_path: Path) -> None:
    tree = parse(SMALL)
    save_weights(build(tree, SHAPE), path := tmp_path / "own.safetensors", digest(tree))
    with pytest.raises(RecordError, match="holds the weights of network"):
        load_any(build(tree, SHAPE), path, SHAPE, "0" * 16)


class Harmful:
    """An object whose pickle would run a command."""

    def __reduce__(self) -> Any:
        return os.system, ("touch harmed",)


@pytest.mark.parametrize("content", [Harmful(), {"a": Harmful()}, [1, 2], {"state": "none"}, {}])
def test_what_is_no_state_dict_is_refused_and_runs_nothing(content: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(RecordError, match="state dict"):
        load_any(build(parse(SMALL), SHAPE), tmp_path / "weights.pth", SHAPE)
    assert not (tmp_path / "harmed").exists()


# ------------------------------------------------------------------------------------------------- the command line


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state dict of a small network with other names, and the preprocessing next to it."""
    folder = tmp_path_factory.mktemp("weights")
    state = stirred(build(parse(GREY), (1, 8, 8))).state_dict()
    torch.save({f"net.{name}": each for name, each in state.items()}, folder / "given.pth")
    (folder / "given.json").write_text('{"Preprocessing": {"mean": [0.25], "std": [0.5], "channels": "gray"}}')
    return folder / "given.pth"


GREY = "network(stem=conv3-4, head=classifier(classes=5))[conv3-8/2]"


def test_given_weights_are_exported_as_a_checkpoint(given: Path, tmp_path: Path, call: Callable[..., Any]) -> None:
    done = call("export", GREY, "--weights", given, "--input", "1,8,8", "--to", "safetensors", "--out", tmp_path)
    assert done.returncode == 0, done
    written = load_file(tmp_path / "network.safetensors")
    state = torch.load(given, weights_only=True)
    assert all(torch.equal(written[name.removeprefix("net.")], each) for name, each in state.items())
    assert network_of(tmp_path / "network.safetensors") == digest(parse(GREY))
    known = find_checkpoint(str(tmp_path / "network.safetensors"))[0].preprocessing
    assert known == Preprocessing((0.25,), (0.5,), "gray")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--weights", "none.pth"], "--weights none.pth is no file"),
        (["--weights", "given.pth", "--untrained"], "--weights and --untrained are given"),
    ],
)
def test_wrong_weights_are_one_line(
    arguments: list[str], reason: str, given: Path, call: Callable[..., Any], monkeypatch: Any
) -> None:
    monkeypatch.chdir(given.parent)
    done = call("export", GREY, *arguments, "--to", "safetensors")
    assert done.returncode == 2
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_training_and_a_transfer_begin_from_given_weights(
    given: Path, tmp_path: Path, call: Callable[..., Any]
) -> None:
    (tmp_path / "short.yaml").write_text("data: Digits\nrecipe: {epochs: 1, batch: 32, lr: 0.0, ema: null}\n")
    short, run = tmp_path / "short.yaml", tmp_path / "run"
    done = call("train", GREY, "--recipe", short, "--weights", given, "images=100", "--run-dir", run)
    assert done.returncode == 0, done
    state, trained = torch.load(given, weights_only=True), load_file(run / "best.safetensors")
    # at a rate of zero the features stay those that were given; the head is a new one, for ten classes
    assert torch.equal(trained["stem.0.weight"], state["net.stem.0.weight"])
    assert trained["head.2.weight"].shape == (10, 8)
    assert str(given) in (run / "training.yaml").read_text()
    options = ("--ways", "linear_probe", "--run-dir", tmp_path / "transfer", "recipe.epochs=1")
    done = call("transfer", GREY, "--weights", given, "--to", "Digits", *options)
    assert done.returncode == 0, done
    probe = load_file(tmp_path / "transfer" / "linear_probe-100-0.safetensors")
    assert torch.equal(probe["layers.0.0.weight"], state["net.layers.0.0.weight"])
