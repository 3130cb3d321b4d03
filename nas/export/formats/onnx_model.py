"""ONNX: the network for other runtimes, by torch's exporter, checked in onnxruntime."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from nas.data.libraries import optional
from nas.export.compare import largest_difference, random_images
from nas.export.format import Format, Needs
from nas.export.formats.torch_export import captured
from nas.export.subject import Built, Subject
from nas.plain import write
from nas.records import RecordError, record
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
        program = _translated(built.exported, subject)
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


def _translated(model: nn.Module, subject: Subject) -> Any:
    """Return the network as an ONNX program. Raises RecordError with the name of an operation that ONNX cannot express."""
    batch = ({0: torch.export.Dim("batch")},)
    program = captured(model, subject.found.input)
    try:
        with _quiet():
            translated = torch.onnx.export(
                program,
                (random_images(subject.found.input, 2),),  # two: a batch of one is taken for a constant
                dynamo=True,
                verbose=False,
                dynamic_shapes=batch,
                input_names=["images"],
                output_names=["logits"],
                optimize=False,
            )
            _simplify(translated)
    except torch.onnx.OnnxExporterError as error:
        raise RecordError(
            f"ONNX cannot express {_culprit(program, error)}: leave that operation out of the space, or export "
            "torch-export or source, which can"
        ) from error
    return translated


def _simplify(program: Any) -> None:
    """Simplify an ONNX program; common subexpressions go first, as the optimizer takes minutes for thousands of nodes.

    A network of shifts has 12,000 nodes before that, and 2,000 after it.
    """
    from onnx_ir.passes import common

    common.CommonSubexpressionEliminationPass()(program.model)
    common.RemoveUnusedNodesPass()(program.model)
    program.optimize()
    common.ClearMetadataAndDocStringPass()(program.model)


def _culprit(program: Any, error: BaseException) -> str:
    """Return the operation that could not be translated, and its place in the network, in words."""
    causes, cause = [str(error)], error.__cause__
    while cause is not None:
        causes, cause = [*causes, str(cause)], cause.__cause__
    # the deepest cause first: it has the node of the graph, such as call_function[target=torch.ops.aten.erf.default]
    named = re.search(r"\[target=(?:torch\.ops\.)?[\w]+\.(\w+)", "\n".join(causes[::-1]))
    if named is None:
        return f"the network ({' '.join(causes[-1].split())[:200]})"
    for node in program.graph.nodes:
        operation = getattr(node.target, "_opname", "")
        if operation and (named[1] in operation or operation in named[1]):
            *_, (place, kind) = node.meta.get("nn_module_stack", {"": ("", "")}).values()
            return f"{operation}, which {kind.rpartition('.')[2]} calls at {place or 'the outermost module'} of the network"
    return f"{named[1]} ({causes[-1].splitlines()[0][:160]})"


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's warnings and log messages, which concern only its internals."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
