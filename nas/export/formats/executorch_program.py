"""ExecuTorch: the network for phones and boards, lowered to XNNPACK where that has its operations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from nas.data.libraries import optional
from nas.evaluation.captured import captured, quiet
from nas.export.compare import largest_difference
from nas.export.deployment import deployed, deployment_of, reference_of
from nas.export.format import Format, Needs
from nas.export.subject import Built, Subject
from nas.records import RecordError, record

LOGGERS = ("executorch", "torchao", "torch.utils._pytree")


@final
@record
class ExecuTorch(Format):
    """Write a .pte file for the runtime of ExecuTorch, which takes one image (1, C, H, W) at a time.

    Operations that XNNPACK has run there, the others in ExecuTorch's portable kernels. Memory is planned for a fixed batch, so
    that there is one of any size only by guessing the largest. How it is used is in the .json next to it.
    """

    name: ClassVar[str] = "executorch"
    suffix: ClassVar[str] = ".pte"
    needs: ClassVar[Needs] = "weights"
    folds: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = frozenset(("--softmax", "--preprocessing inside"))
    packages: ClassVar[tuple[str, ...]] = ("executorch",)

    def files(self, subject: Subject, name: str) -> tuple[str, ...]:
        return f"{name}.pte", f"{name}.pte.json"

    def write(self, subject: Subject, built: Built | None, path: Path) -> None:
        assert built is not None
        used = deployment_of(subject)
        with quiet(*LOGGERS):
            exir: Any = optional("executorch.exir", "executorch")
            xnnpack: Any = optional("executorch.backends.xnnpack.partition.xnnpack_partitioner", "executorch")
            program = captured(deployed(built.exported, used), used.input, used.example(2), any_batch=False)
            lowered = exir.to_edge_transform_and_lower(
                program, partitioner=[xnnpack.XnnpackPartitioner()]
            ).to_executorch()
        _check_kernels(lowered.executorch_program)
        path.write_bytes(lowered.buffer)
        path.with_name(f"{path.name}.json").write_text(used.text(), encoding="utf-8")

    def check(self, subject: Subject, built: Built | None, path: Path) -> float:
        assert built is not None
        used = deployment_of(subject)
        return largest_difference(_runner(path), reference_of(built, used), used.input, used.example)

    def usage(self, subject: Subject, file: str) -> str:
        used = deployment_of(subject)
        shape = ", ".join(map(str, used.input))
        return (
            "import torch\nfrom executorch.runtime import Runtime\n\n"
            f'method = Runtime.get().load_program("{file}").load_method("forward")\n'
            f"({used.output},) = method.execute([torch.zeros(1, {shape}, dtype=torch.{used.dtype})])"
        )


def _check_kernels(program: Any) -> None:
    """Raise RecordError, with its name, where the runtime has no kernel for an operation of a program."""
    runtime: Any = optional("executorch.runtime", "executorch")
    known = runtime.Runtime.get().operator_registry.operator_names
    used = {
        f"{each.name}.{each.overload}" if each.overload else each.name for each in program.execution_plan[0].operators
    }
    if lacking := sorted(used - set(known)):
        raise RecordError(
            f"ExecuTorch has no kernel for {', '.join(lacking)}: leave that operation out of the space, or export onnx"
        )


def _runner(path: Path) -> Callable[[Tensor], Tensor]:
    """Return a function that runs a program on images (B, C, H, W), one after the other."""
    runtime: Any = optional("executorch.runtime", "executorch")
    method = runtime.Runtime.get().load_program(path).load_method("forward")
    # what is returned is overwritten by the next call
    return lambda images: torch.cat([method.execute([image[None]])[0].clone() for image in images])
