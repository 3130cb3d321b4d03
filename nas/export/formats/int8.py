"""Int8: the network with 8-bit weights and activations, by onnxruntime's static quantisation, and what it cost and gained."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, ClassVar, final

from torch import Tensor

from nas.data.libraries import optional
from nas.evaluation.captured import onnx_program, quiet
from nas.evaluation.latency import onnx_latency_ms
from nas.export.calibration import QuantisationImages, quantisation_images
from nas.export.compare import largest_difference
from nas.export.deployment import DEPLOYMENT, Deployment, Quantisation, deployed, deployment_of, reference_of
from nas.export.fold import fold_batch_norms
from nas.export.format import Format, Needs
from nas.export.formats.onnx_model import PACKAGES, session_of, usage_of
from nas.export.subject import Built, Subject
from nas.plain import read, write
from nas.records import RecordError, record
from nas.training.checkpoint import DESCRIPTION


@final
@record
class Int8(Format):
    """Write an ONNX model of 8-bit integers: quantised statically, per channel of the weights, in QDQ form.

    Images of the training data give the ranges of activations (`--calibration-images`); batch norms are folded before. Accuracy
    on the test images, size and latency before and after are in the .json next to it. Outputs are not those of the network:
    the accuracy tells what the quantisation loses.
    """

    name: ClassVar[str] = "int8"
    suffix: ClassVar[str] = ".int8.onnx"
    needs: ClassVar[Needs] = "weights"
    folds: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = frozenset(("--softmax", "--preprocessing inside"))
    packages: ClassVar[tuple[str, ...]] = PACKAGES

    def files(self, subject: Subject, name: str) -> tuple[str, ...]:
        return f"{name}{self.suffix}", f"{name}{self.suffix}.json"

    def write(self, subject: Subject, built: Built | None, path: Path) -> None:
        assert built is not None
        used, images = deployment_of(subject, is_int8=True), quantisation_images(built)
        folded = built.exported if built.folded is not None else fold_batch_norms(built.model, used.input).model
        with tempfile.TemporaryDirectory(prefix="cellstack-int8-") as folder:
            before = Path(folder) / "float.onnx"
            onnx_program(deployed(folded, used), used.input, used.example(2), used.output).save(before)
            _quantise(before, path, images)
            used = replace(used, quantisation=_measured(before, path, images, used))
        _describe(path, {DESCRIPTION: write(subject.found), DEPLOYMENT: used.text()})
        _json_of(path).write_text(used.text(), encoding="utf-8")

    def check(self, subject: Subject, built: Built | None, path: Path) -> None:
        assert built is not None
        used = deployment_of(subject, is_int8=True)
        # random images leave the calibrated ranges: of the difference only that there is one is known to be right
        difference = largest_difference(session_of(path), reference_of(built, used), used.input, used.example)
        if difference == inf:
            raise RecordError(f"{path.name} returns values that are not finite: calibrate with more images")

    def remarks(self, subject: Subject, path: Path) -> tuple[str, ...]:
        known = read(json.loads(_json_of(path).read_text(encoding="utf-8")), str(path), Deployment).quantisation
        assert known is not None, "it is written with the file"
        line = (
            f"int8: {known.top1_percent_before:.2f} % of {known.test_images:,} test images before, "
            f"{known.top1_percent_after:.2f} % after; "
            f"{known.size_bytes_before:,} bytes before, {known.size_bytes_after:,} after; "
            f"{known.latency_ms_before:.3f} ms an image before, {known.latency_ms_after:.3f} ms after (onnxruntime, one thread); "
            f"calibrated with {known.calibration_images:,} training images"
        )
        return (line,)

    def usage(self, subject: Subject, file: str) -> str:
        return usage_of(subject, file)


def _json_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


class _Reader:
    """The images of a calibration as onnxruntime asks for them, batch after batch."""

    def __init__(self, images: Iterator[Tensor]) -> None:
        self._images = images

    def get_next(self) -> dict[str, Any] | None:
        """Return the next batch by the name of the input; None at the end."""
        batch = next(self._images, None)
        return None if batch is None else {"images": batch.numpy()}


def _quantise(before: Path, after: Path, images: QuantisationImages) -> None:
    """Write the quantised form of an ONNX model; a softmax at its end stays as it is."""
    quantization: Any = optional("onnxruntime.quantization", "onnxruntime")
    model: Any = optional("onnx", "onnx").load(before)
    kept = [node.name for node in model.graph.node if node.op_type == "Softmax"]
    with quiet(""):  # the root logger gets advice to preprocess the model, which the exporter did
        quantization.quantize_static(
            before, after, _Reader(images.calibration()), per_channel=True, nodes_to_exclude=kept
        )


def _measured(before: Path, after: Path, images: QuantisationImages, used: Deployment) -> Quantisation:
    """Return what both models reach on the test images, how large they are and how long an image takes."""
    (first, seen), (second, _) = (images.top1_percent(session_of(file)) for file in (before, after))
    if not seen:
        raise RecordError("the data have no test images to measure the quantisation on: give others by --data")
    sizes = [file.stat().st_size for file in (before, after)]
    times = [onnx_latency_ms(file, used.example(1)) for file in (before, after)]
    calibrated = min(images.images, len(images.split.train))
    return Quantisation(calibrated, seen, first, second, sizes[0], sizes[1], times[0], times[1])


def _describe(path: Path, metadata: Mapping[str, str]) -> None:
    """Put texts into the metadata of an ONNX file."""
    onnx: Any = optional("onnx", "onnx")
    model = onnx.load(path)
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.save(model, path)
