"""ONNX: the network for other runtimes, by torch's exporter, checked in onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor

from nas.data.libraries import optional
from nas.evaluation.captured import onnx_program
from nas.export.compare import LIMIT, largest_difference
from nas.export.deployment import DEPLOYMENT, deployed, deployment_of, reference_of
from nas.export.format import Format, Needs
from nas.export.subject import Built, Subject
from nas.plain import write
from nas.records import record
from nas.training.checkpoint import DESCRIPTION

MOST_BYTES = 1_900_000_000
"""Weights above this size go to a separate file, since a protobuf holds at most 2 GB."""

HALF_LIMIT = 0.02
"""The largest difference that rounding explains where weights and activations have the 11 bits of float16."""

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""What translates, and what runs it for the check."""


@final
@record
class Onnx(Format):
    """Write an ONNX model: "images" (B, C, H, W) to "logits" (B, classes), for batches of any size.

    Its metadata hold the classes and the preprocessing as JSON, under `cellstack_description`, and how it is used under
    `cellstack_deployment`, which is also in a .json next to it.
    """

    name: ClassVar[str] = "onnx"
    suffix: ClassVar[str] = ".onnx"
    needs: ClassVar[Needs] = "weights"
    folds: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = frozenset(("--half", "--softmax", "--preprocessing inside"))
    packages: ClassVar[tuple[str, ...]] = PACKAGES

    def files(self, subject: Subject, name: str) -> tuple[str, ...]:
        return f"{name}.onnx", f"{name}.onnx.data", f"{name}.onnx.json"

    def write(self, subject: Subject, built: Built | None, path: Path) -> None:
        assert built is not None
        used = deployment_of(subject)
        program = onnx_program(deployed(built.exported, used), subject.found.input, used.example(2), used.output)
        program.model.metadata_props[DESCRIPTION] = write(subject.found)
        program.model.metadata_props[DEPLOYMENT] = used.text()
        program.save(path, external_data=built.weights_bytes > MOST_BYTES)
        path.with_name(f"{path.name}.json").write_text(used.text(), encoding="utf-8")

    def check(self, subject: Subject, built: Built | None, path: Path) -> float:
        assert built is not None
        used = deployment_of(subject)
        return largest_difference(session_of(path), reference_of(built, used), subject.found.input, used.example)

    def limit(self, subject: Subject) -> float:
        return HALF_LIMIT if subject.asked.half else LIMIT

    def usage(self, subject: Subject, file: str) -> str:
        return usage_of(subject, file)


def usage_of(subject: Subject, file: str) -> str:
    """Return a few lines of Python that run an ONNX file."""
    used = deployment_of(subject)
    shape = ", ".join(map(str, used.input))
    return (
        "import numpy\nimport onnxruntime\n\n"
        f'session = onnxruntime.InferenceSession("{file}")\n'
        f"images = numpy.zeros((1, {shape}), numpy.{used.dtype})\n"
        f'({used.output},) = session.run(None, {{"images": images}})'
    )


def session_of(path: Path) -> Callable[[Tensor], Tensor]:
    """Return a function that runs a model in onnxruntime, on the CPU."""
    session = optional("onnxruntime", "onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        (logits,) = session.run(None, {"images": images.numpy()})
        return torch.from_numpy(logits)

    return run
