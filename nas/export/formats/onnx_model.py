"""ONNX: the network for other runtimes, by torch's exporter, checked in onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor

from nas.data.libraries import optional
from nas.evaluation.captured import onnx_program
from nas.export.compare import largest_difference
from nas.export.format import Format, Needs
from nas.export.subject import Built, Subject
from nas.plain import write
from nas.records import record
from nas.training.checkpoint import DESCRIPTION

MOST_BYTES = 1_900_000_000
"""Weights above this size go to a separate file, since a protobuf holds at most 2 GB."""


@final
@record
class Onnx(Format):
    """Write an ONNX model: "images" (B, C, H, W) to "logits" (B, classes), for batches of any size.

    Its metadata hold the classes and the preprocessing as JSON, under `cellstack_description`.
    """

    name: ClassVar[str] = "onnx"
    suffix: ClassVar[str] = ".onnx"
    needs: ClassVar[Needs] = "weights"
    folds: ClassVar[bool] = True

    def files(self, subject: Subject, name: str) -> tuple[str, ...]:
        return f"{name}.onnx", f"{name}.onnx.data"

    def write(self, subject: Subject, built: Built | None, path: Path) -> None:
        assert built is not None
        # all are needed, the last for the check: said before minutes of translation
        for package in ("onnx", "onnxscript", "onnxruntime"):
            optional(package, package)
        program = onnx_program(built.exported, subject.found.input)
        program.model.metadata_props[DESCRIPTION] = write(subject.found)
        program.save(path, external_data=built.weights_bytes > MOST_BYTES)

    def check(self, subject: Subject, built: Built | None, path: Path) -> float:
        assert built is not None
        return largest_difference(_session(path), built.model, subject.found.input)

    def usage(self, subject: Subject, file: str) -> str:
        shape = ", ".join(map(str, subject.found.input))
        return (
            "import numpy\nimport onnxruntime\n\n"
            f'session = onnxruntime.InferenceSession("{file}")\n'
            f"images = numpy.zeros((1, {shape}), numpy.float32)\n"
            '(logits,) = session.run(None, {"images": images})'
        )


def _session(path: Path) -> Callable[[Tensor], Tensor]:
    """Return a function that runs a model in onnxruntime, on the CPU."""
    session = optional("onnxruntime", "onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        (logits,) = session.run(None, {"images": images.numpy()})
        return torch.from_numpy(logits)

    return run
