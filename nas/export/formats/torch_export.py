"""torch.export: the network as a program of torch operations, which loads without the code that built it."""

from __future__ import annotations

from copy import deepcopy
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, cast, final

import torch
from torch import nn

from nas.building import Shape
from nas.export.compare import largest_difference, random_images
from nas.export.format import Format, Needs
from nas.export.subject import Built, Subject
from nas.plain import write
from nas.records import RecordError, one_line, record
from nas.training.checkpoint import DESCRIPTION


@final
@record
class TorchExport(Format):
    """Write a .pt2 file for `torch.export.load` in Python or C++, for any batch size.

    Its extra file `cellstack_description` holds the classes and the preprocessing as JSON.
    """

    name: ClassVar[str] = "torch-export"
    suffix: ClassVar[str] = ".pt2"
    needs: ClassVar[Needs] = "weights"
    folds: ClassVar[bool] = True

    def write(self, subject: Subject, built: Built | None, path: Path) -> None:
        assert built is not None
        written = BytesIO()  # torch would abort the process on a full disk
        extra = {DESCRIPTION: write(subject.found)}
        torch.export.save(captured(built.exported, subject.found.input), written, extra_files=extra)
        path.write_bytes(written.getbuffer())

    def check(self, subject: Subject, built: Built | None, path: Path) -> float:
        assert built is not None
        return largest_difference(torch.export.load(path).module(), built.model, subject.found.input)

    def usage(self, subject: Subject, file: str) -> str:
        shape = ", ".join(map(str, subject.found.input))
        return f'import torch\n\nmodel = torch.export.load("{file}").module()\nlogits = model(torch.randn(1, {shape}))'


def captured(model: nn.Module, input: Shape) -> Any:
    """Return the exported program of a network for images `input` (C, H, W), in batches of any size.

    Raises RecordError where torch.export cannot capture the network.
    """
    batch = {0: torch.export.Dim("batch")}
    try:
        # a batch of 2, since torch.export specialises a size of 1
        return torch.export.export(_answering(model), (random_images(input, 2),), dynamic_shapes=(batch,))
    except Exception as error:
        reason = one_line(error)[:200]
        raise RecordError(
            f"torch.export cannot follow the network ({type(error).__name__}: {reason}): a `forward` that depends on "
            "values, or takes len(x) for the batch instead of x.shape[0], cannot be captured: export source or safetensors"
        ) from error


def _answering(model: nn.Module) -> nn.Module:
    """Return a network without its auxiliary heads, whose weights are used in training alone but would be exported."""
    if not isinstance(heads := getattr(model, "auxiliary", None), nn.ModuleList) or not len(heads):
        return model
    bare: Any = deepcopy(model)
    bare.auxiliary = nn.ModuleList()
    return cast(nn.Module, bare)
