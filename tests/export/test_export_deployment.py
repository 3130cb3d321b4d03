"""Small networks out: preprocessing and softmax inside the graph, 16 bits, and 8 bits with what they cost, by onnxruntime."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn

from nas.building import build
from nas.data import Digits
from nas.evaluation.trained_network import TrainedNetwork
from nas.export.deployment import DEPLOYMENT, Deployment
from nas.notation import parse
from nas.plain import read
from nas.preprocessing import Preprocessing
from nas.runs.architecture import find_checkpoint
from nas.training import seeded

onnxruntime = pytest.importorskip("onnxruntime")

Call = Callable[..., Any]
SMALL = "network(stem=conv3-4, head=classifier(classes=5))[conv3-8/2]"
RECIPE = (
    "data: Digits\nrecipe: {epochs: 6, batch: 32, lr: 0.1, drop_path: 0.0, augmentation: {crop_pad: 1, cutout: 0}}\n"
)


def pixels(batch: int, *shape: int) -> Tensor:
    return torch.randint(0, 256, (batch, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


def run(file: Path, images: Tensor) -> Tensor:
    """Return the output of an ONNX file for images, by its only input and output."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    return torch.from_numpy(found)


def deployment(file: Path) -> Deployment:
    """Return what the .json next to an ONNX file says, which is what its metadata say."""
    text = file.with_name(f"{file.name}.json").read_text()
    metadata = onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map
    assert metadata[DEPLOYMENT] == text
    found: Deployment = read(json.loads(text), str(file), Deployment)
    return found


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """Return a small network of random weights, and their file with the preprocessing next to it."""
    folder = tmp_path_factory.mktemp("given")
    with seeded(0):
        model = build(parse(SMALL), (3, 8, 8)).eval()
    torch.save(model.state_dict(), folder / "given.pth")
    (folder / "given.json").write_text('{"Preprocessing": {"mean": [0.2, 0.4, 0.6], "std": [0.5, 0.25, 0.125]}}')
    return model, folder / "given.pth"


@pytest.mark.slow
def test_the_graph_with_preprocessing_is_the_network_on_normalised_images(
    given: tuple[nn.Module, Path], tmp_path: Path, call: Call
) -> None:
    (model, weights), images = given, pixels(3, 3, 8, 8)
    options = ("--input", "3,8,8", "--to", "onnx", "--out", tmp_path, "--preprocessing", "inside", "--softmax")
    done = call("export", SMALL, "--weights", weights, *options)
    assert done.returncode == 0, done
    mean, std = (numpy.array(each, numpy.float32).reshape(1, 3, 1, 1) for each in ((0.2, 0.4, 0.6), (0.5, 0.25, 0.125)))
    normalised = torch.from_numpy((images.numpy().astype(numpy.float32) / 255 - mean) / std)
    with torch.no_grad():
        logits = model(normalised)
    torch.testing.assert_close(run(tmp_path / "network.onnx", images), logits.softmax(1), rtol=1e-4, atol=1e-5)
    known = deployment(tmp_path / "network.onnx")
    assert (known.dtype, known.output, known.preprocessing_inside) == ("uint8", "probabilities", True)
    assert known.preprocessing == Preprocessing((0.2, 0.4, 0.6), (0.5, 0.25, 0.125))


@pytest.mark.slow
def test_half_of_the_bits_are_half_of_the_bytes(tmp_path: Path, call: Call) -> None:
    name = SMALL.replace("conv3-8/2", "conv3-256/2, conv3-256")
    with seeded(0):
        model = build(parse(name), (3, 8, 8)).eval()
    torch.save(model.state_dict(), weights := tmp_path / "wide.pth")
    for more in ((), ("--half",)):
        out = tmp_path / "-".join(("out", *more))
        done = call("export", name, "--weights", weights, "--input", "3,8,8", "--to", "onnx", "--out", out, *more)
        assert done.returncode == 0, done
    whole, half = (tmp_path / each / "network.onnx" for each in ("out", "out---half"))
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    difference = (run(half, images) - run(whole, images)).abs().max()
    assert 0 < difference < 0.02, "16 bits are not 32, and nearly"
    assert (deployment(whole).weights, deployment(half).weights) == ("float32", "float16")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--to", "safetensors", "--half"], "--half: safetensors cannot do it; only onnx can"),
        (["--to", "int8", "--half"], "--half: int8 cannot do it"),
        (["--to", "svg", "--softmax"], "--softmax: none of the formats holds a network"),
        (["--to", "onnx", "--preprocessing", "both"], "--preprocessing 'both' is neither: give inside, or outside"),
        (["--to", "onnx", "--preprocessing", "inside"], "does not say the mean and standard deviation"),
        (["--to", "int8"], "is not known: give a folder or a data set's name"),
        (["--to", "int8", "--data", "Nothing"], "'Nothing' is no folder here, and no data set"),
        (["--to", "int8", "--data", "Digits", "--calibration-images", "0"], "--calibration-images is 0"),
        (["--to", "int8", "--data", "Digits", "--input", "1,8,8"], "tells 5 classes apart, and the data have 10"),
    ],
)
def test_what_cannot_be_deployed_is_one_line(options: list[str], says: str, tmp_path: Path, call: Call) -> None:
    done = call("export", SMALL, "--untrained", "--out", tmp_path, *options)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_eight_bits_keep_the_accuracy_on_digits(tmp_path: Path, call: Call) -> None:
    (tmp_path / "short.yaml").write_text(RECIPE)
    name = "network(stem=conv3-16, head=classifier(classes=10))[residual[conv3 conv3] x1-32/2, mb_conv3]"
    assert call("train", name, "--recipe", tmp_path / "short.yaml", "--run-dir", tmp_path / "run").returncode == 0
    options = ("--to", "int8", "--out", tmp_path / "out", "--preprocessing", "inside", "--calibration-images", "100")
    done = call("export", tmp_path / "run", *options)
    assert done.returncode == 0, done
    file = tmp_path / "out" / "run.int8.onnx"
    known, test = deployment(file), Digits().load().test
    assert known.weights == "int8"
    measured = known.quantisation
    assert measured is not None
    # the accuracy that it states is that of the file on the pixels of the test images
    top1 = 100 * float((run(file, test.x).argmax(1) == test.y).float().mean())
    assert measured.top1_percent_after == pytest.approx(top1)
    trained = TrainedNetwork(*find_checkpoint(str(tmp_path / "run")))
    mean, std = (torch.tensor(each).view(1, -1, 1, 1) for each in (known.preprocessing.mean, known.preprocessing.std))  # type: ignore[union-attr]
    with torch.no_grad():
        logits = trained.model().eval()((test.x / 255 - mean) / std)
    before = 100 * float((logits.argmax(1) == test.y).float().mean())
    assert measured.top1_percent_before == pytest.approx(before, abs=0.6)  # two images, by rounding
    assert before > 85
    assert abs(top1 - before) < 3
    assert measured.size_bytes_after < 0.6 * measured.size_bytes_before
    assert (measured.calibration_images, measured.test_images) == (100, len(test))
    assert f"{measured.top1_percent_after:.2f} % after" in done.stdout
    operations = {node.op_type for node in pytest.importorskip("onnx").load(file).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operations
