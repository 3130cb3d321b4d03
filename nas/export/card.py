"""Model card: a network's task, accuracy, provenance and usage, as Markdown.

After Mitchell et al. 2019, arXiv:1810.03993, as far as a run folder has the information.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml

from nas.evaluation.captured import random_images
from nas.evaluation.results import read_test
from nas.export.format import Format
from nas.export.subject import Built, Subject
from nas.notation import in_lines
from nas.records import digest
from nas.training.measure import TestResult

DECLARATIONS = {
    "training.yaml": ("data", "recipe", "images", "seed"),
    "experiment.yaml": ("space", "strategy", "supernet", "evaluator", "rules", "final"),
}
"""The files of a run folder that declare the run, and the keys of each that go into a card."""


def model_card(built: Built, files: Mapping[Format, str], picture: str | None) -> str:
    """Return the card of a network; `files` are the exported file names by format, `picture` a file next to the card."""
    subject, output, parts = built.subject, _output(built), list[str]()
    parts.append(f"# {subject.file_name}")
    parts.append(_opening(subject, output))
    if picture is not None:
        parts.append(f"![The architecture]({picture})")
    parts.append(_table(dict(_facts(built, output))))
    if usages := [(each, each.usage(subject, file)) for each, file in files.items()]:
        parts += ["## Usage", *(_usage(each, files[each], text) for each, text in usages if text)]
    parts += _made(subject)
    parts += ["## The architecture as text", _fenced(_described(subject))]
    return "\n\n".join(parts) + "\n"


def _opening(subject: Subject, output: torch.Size) -> str:
    what = "A classifier of images" if len(output) == 1 else "A network for images without a head"
    source = f"`{subject.found.family}`, {subject.family.source.rstrip('.')}"
    if subject.weights is not None:
        return f"{what}, of the family {source}, with trained weights."
    weights = "Its weights are random" if subject.asked.untrained else "It comes without weights"
    return f"{what}, of the family {source}. **{weights}: it has to be trained.**"


@torch.no_grad()
def _output(built: Built) -> torch.Size:
    """Return the shape of the network's output for one image, without the batch dimension."""
    shape: torch.Size = built.model(random_images(built.subject.found.input, 1))[0].shape
    return shape


def _facts(built: Built, output: torch.Size) -> Iterator[tuple[str, str]]:
    """Yield the rows of the card's table: name and value."""
    subject = built.subject
    measured = read_test(subject.weights) if subject.weights is not None else None
    if len(output) == 1:
        yield "Task", f"image classification, {output[0]} classes"
    prepared = _prepared(subject) if subject.weights is not None else ""
    yield "Input", f"`(B, {_sizes(subject.found.input)})`, float32{prepared}"
    yield "Output", f"{'logits' if len(output) == 1 else 'features'} `(B, {_sizes(output)})`"
    if classes := subject.found.classes:
        yield "Classes", ", ".join(classes[:12]) + (", ..." if len(classes) > 12 else "")
    if measured is not None:
        yield from _measured(measured)
    yield "Parameters", f"{built.costs.params:,}"
    yield "Multiply-adds", f"{built.costs.macs:,} per image"
    if built.folded is not None:
        yield "Batch norms", f"{built.folded.folded} of {built.folded.norms} folded into the layers before them"
    if options := subject.asked.options:
        done = {"--half": "16 bits", "--softmax": "softmax", "--preprocessing inside": "normalisation of uint8 pixels"}
        yield "Inside the ONNX file", ", ".join(done[option] for option in options)
    yield "Network", f"`{digest(subject.network)}`, of the architecture `{digest(subject.found.architecture)}`"
    for name, value in subject.found.scores.items():
        yield f"Score in the search: {name.replace('_', ' ')}", f"{value:,.10g}"
    yield "Exported with", ", ".join(_versions())


def _measured(measured: TestResult) -> Iterator[tuple[str, str]]:
    accuracy = measured.decisive
    yield "Test accuracy", f"{accuracy.top1_percent:.2f} % top-1, {accuracy.top5_percent:.2f} % top-5"
    yield "Tested on", f"{accuracy.images:,} images that it was not trained on"
    yield "Calibration error", f"{accuracy.calibration_error_percent:.2f} %"


def _prepared(subject: Subject) -> str:
    """Return how images are to be preprocessed, in words."""
    known = subject.found.preprocessing
    return f": {known.describe()}" if known is not None else "; the normalisation used in training is unknown"


def _usage(each: Format, file: str, text: str) -> str:
    return f"`{file}` ({each.name}):\n\n{_fenced(text, 'sh' if text.startswith('nas ') else 'python')}"


def _made(subject: Subject) -> list[str]:
    """Return the section on how the network was searched and trained, from the run folder."""
    place = subject.place or Path()
    folder = place.parent if place.is_file() else place
    parts: list[str] = []
    for name, keys in DECLARATIONS.items():
        if subject.place is not None and (file := folder / name).is_file():
            text = file.read_text(encoding="utf-8")
            # the comments have the command, the versions and the hardware of the run
            comments = [line for line in text.splitlines() if line.startswith("# ")]
            declared: Mapping[str, Any] = yaml.safe_load(text)
            kept = {key: declared[key] for key in keys if declared.get(key) is not None}
            dumped = yaml.safe_dump(kept, sort_keys=False, width=120, default_flow_style=None)
            parts += [f"From `{name}` in its run folder:", _fenced("\n".join([*comments, dumped.rstrip()]), "yaml")]
    return ["## How it was searched and trained", *(parts or [f"From {subject.origin}."])]


def _described(subject: Subject) -> str:
    # descriptions separate their parts, such as the cells, by two spaces
    parts = subject.family.describe(subject.found.architecture).split("  ")
    return "\n".join(line for part in parts for line in in_lines(part))


def _versions() -> Iterator[str]:
    yield f"python {platform.python_version()}"
    for name in ("cellstack", "torch", "onnx"):
        try:
            yield f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue


def _sizes(shape: Any) -> str:
    return ", ".join(map(str, shape))


def _table(rows: Mapping[str, str]) -> str:
    """Return a Markdown table; user text, such as class names, is escaped."""
    lines = [f"| {_escaped(name)} | {_escaped(value)} |" for name, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|").replace("<", "&lt;")


def _fenced(text: str, language: str = "") -> str:
    return f"```{language}\n{text}\n```"
