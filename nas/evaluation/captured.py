"""Networks captured as programs for other runtimes: by torch.export, and from there as ONNX."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from copy import deepcopy
from io import StringIO
from typing import Any, cast

import torch
from torch import Tensor, nn

from nas.building import Shape
from nas.records import RecordError, one_line
from nas.training.randomness import stream


def random_images(input: Shape, batch: int) -> Tensor:
    """Return normally distributed images (B, C, H, W), the same at each call."""
    return torch.randn(batch, *input, generator=stream(0, "export", batch))


def captured(model: nn.Module, input: Shape, images: Tensor | None = None, any_batch: bool = True) -> Any:
    """Return the exported program of a network for images `input` (C, H, W), in batches of any size or one at a time.

    `images` (2, C, H, W) are examples, where it takes others than random ones in float32.
    Raises RecordError where torch.export cannot capture the network.
    """
    batch = ({0: torch.export.Dim("batch")},)
    try:
        # a batch of 2, since torch.export specialises a size of 1
        example = random_images(input, 2) if images is None else images
        if not any_batch:
            return torch.export.export(answering(model), (example[:1],))
        return torch.export.export(answering(model), (example,), dynamic_shapes=batch)
    except Exception as error:
        reason = one_line(error)[:200]
        raise RecordError(
            f"torch.export cannot follow the network ({type(error).__name__}: {reason}): a `forward` that depends on "
            "values, or takes len(x) for the batch instead of x.shape[0], cannot be captured: export source or safetensors"
        ) from error


def answering(model: nn.Module) -> nn.Module:
    """Return a network without its auxiliary heads, whose weights are used in training alone but would be exported."""
    if not isinstance(heads := getattr(model, "auxiliary", None), nn.ModuleList) or not len(heads):
        return model
    bare: Any = deepcopy(model)
    bare.auxiliary = nn.ModuleList()
    return cast(nn.Module, bare)


def onnx_program(model: nn.Module, input: Shape, images: Tensor | None = None, output: str = "logits") -> Any:
    """Return the network as an ONNX program: "images" to `output`; `images` (2, C, H, W) are examples, as in `captured`.

    Raises RecordError with the name of an operation that ONNX cannot express.
    """
    batch = ({0: torch.export.Dim("batch")},)
    program = captured(model, input, images)
    try:
        with quiet("torch.onnx", "onnxscript", "onnx_ir"):
            translated = torch.onnx.export(
                program,
                # two: a batch of one is taken for a constant
                (random_images(input, 2) if images is None else images,),
                dynamo=True,
                verbose=False,
                dynamic_shapes=batch,
                input_names=["images"],
                output_names=[output],
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
def quiet(*loggers: str) -> Iterator[None]:
    """Silence a library that prints, warns and logs about its internals alone; its errors are logged still."""
    named = [logging.getLogger(name) for name in loggers]
    levels = [logger.level for logger in named]
    for logger in named:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(named, levels, strict=True):
            logger.setLevel(level)
