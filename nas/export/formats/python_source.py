"""Source: a network as one Python file that needs torch alone, with its weights in a file next to it."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, final

from torch import nn

from nas.evaluation.results import read_test
from nas.export.compare import largest_difference
from nas.export.format import Format, Needs
from nas.export.source import write_source
from nas.export.source.page import as_class
from nas.export.subject import Built, Subject, importable
from nas.plain import write
from nas.records import RecordError, digest, record
from nas.training import save_weights


@final
@record
class PythonSource(Format):
    """Write the network as Python source, with a file of its weights, if any, that the source can load."""

    name: ClassVar[str] = "source"
    suffix: ClassVar[str] = ".py"
    needs: ClassVar[Needs] = "network"
    folds: ClassVar[bool] = True

    def files(self, subject: Subject, name: str) -> tuple[str, ...]:
        """Return the names of the source and the weights. Raises RecordError where Python could not import the source."""
        if importable(name) != name.lower():
            raise RecordError(f"{name}.py could not be imported in Python: call it {importable(name)}.py")
        return (f"{name}.py", f"{name}.safetensors") if _has_weights(subject) else (f"{name}.py",)

    def write(self, subject: Subject, built: Built | None, path: Path) -> None:
        assert built is not None
        assert subject.network is not None
        model, shape = built.exported, subject.found.input
        text = write_source(subject.network, model, shape, path.stem, tuple(_header(subject, built)))
        path.write_text(text, encoding="utf-8")
        if _has_weights(subject):
            of = "" if built.folded is not None else digest(subject.network)
            save_weights(model, path.with_suffix(".safetensors"), of, _description(subject, built))

    def check(self, subject: Subject, built: Built | None, path: Path) -> float:
        """Run the file, and load the exported weights into its network, or else those of the built network."""
        assert built is not None
        written = runpy.run_path(str(path), run_name="exported")
        if _has_weights(subject):
            model: nn.Module = written["load"](str(path.with_suffix(".safetensors")))
        else:
            model = written[as_class(path.stem)]().eval()
            model.load_state_dict(_of(model, built.exported))
        return largest_difference(model, built.model, subject.found.input)

    def usage(self, subject: Subject, file: str) -> str:
        name, shape = file.removesuffix(".py"), ", ".join(map(str, subject.found.input))
        made = f'load("{name}.safetensors")' if _has_weights(subject) else f"{as_class(name)}().eval()"
        imported = "load" if _has_weights(subject) else as_class(name)
        return f"import torch\nfrom {name} import {imported}\n\nmodel = {made}\nlogits = model(torch.randn(1, {shape}))"


def _has_weights(subject: Subject) -> bool:
    return subject.weights is not None or subject.asked.untrained


def _description(subject: Subject, built: Built) -> str:
    """Return the description of the weights' network; "" for folded weights, which fit only the network of the source."""
    return write(subject.found) if built.folded is None else ""


def _of(model: nn.Module, other: nn.Module) -> dict[str, Any]:
    """Return the weights of `other` that `model` also has: the source leaves out auxiliary heads."""
    known = model.state_dict().keys()
    return {name: tensor for name, tensor in other.state_dict().items() if name in known}


def _header(subject: Subject, built: Built) -> Iterator[str]:
    """Yield the lines on the network's provenance in the docstring of the file."""
    yield f"Exported by `nas export` from {subject.origin}."
    measured = read_test(subject.weights) if subject.weights is not None else None
    if measured is not None:
        accuracy = measured.decisive
        yield f"Test accuracy of the weights: {accuracy.top1_percent:.2f} % on {accuracy.images:,} images."
    if subject.found.preprocessing is not None:
        yield f"Images: {subject.found.preprocessing.describe()}."
    if subject.found.classes:
        yield f"Classes, in the order of the outputs: {', '.join(map(repr, subject.found.classes))}."
    if built.folded is not None:
        yield f"For inference: {built.folded.folded} of {built.folded.norms} batch norms are folded into other layers."
