"""torch.export: the network as a program of torch operations, which loads without the code that built it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import ClassVar, final

import torch

from nas.evaluation.captured import captured
from nas.export.compare import largest_difference
from nas.export.format import Format, Needs
from nas.export.subject import Built, Subject
from nas.plain import write
from nas.records import record
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
