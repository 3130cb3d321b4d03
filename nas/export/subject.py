"""Subject: what is exported, looked up by name: an architecture, the network it is stacked to, and its weights."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from keyword import iskeyword
from pathlib import Path
from typing import Any

from torch import nn

from nas.building import Node, Shape, build
from nas.choice import choices, is_open
from nas.evaluation.trained_network import TrainedNetwork
from nas.export.fold import Folded, fold_batch_norms
from nas.family import Family, families, family
from nas.places import is_there
from nas.profiling import Profile, checked_profile
from nas.records import RecordError
from nas.runs.architecture import StackedNetwork, find_checkpoint, find_tree, find_with_weights, is_typed
from nas.runs.yaml_file import override
from nas.training import seeded

BESIDE = ("torch", "torchvision", "numpy", "onnx", "onnxruntime", "safetensors", "nas")
"""Modules that torch, or code that uses the exported files, imports: a file of such a name would shadow them."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The data for a quantisation: `images` training images to calibrate with, and the test images to measure it on.

    `data` is a folder or the name of a data set; None is the data that the network was trained with.
    """

    data: str | None = None
    images: int = 200


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """A request to export: the name, stacking options as `key=value`, and the shape (C, H, W) of the images.

    `untrained` takes random weights of seed 0 where there are none; `fold` folds batch norms into the layers before them.
    `weights` is a file of weights of the named network, from anywhere. `half` stores weights in 16 bits, `softmax` returns
    probabilities, and with `inside` the graph normalises pixels. `calibration` are the images for a quantisation.
    """

    name: str
    assignments: Sequence[str] = ()
    input: Shape | None = None
    untrained: bool = False
    fold: bool = False
    weights: Path | None = None
    half: bool = False
    softmax: bool = False
    inside: bool = False
    calibration: Calibration = Calibration()

    @property
    def options(self) -> tuple[str, ...]:
        """The options of deployment that are asked for, as they are typed."""
        asked = {"--half": self.half, "--softmax": self.softmax, "--preprocessing inside": self.inside}
        return tuple(name for name, is_asked in asked.items() if is_asked)


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of an export. A space has no network. Without weights, the network gets random ones of seed 0.

    `no_network` is the error of a family that builds no network, such as that of bit strings.

    `tree` is what is drawn and written as notation: the architecture or, with stacking options, the network.
    `place` is the run folder or file that it was found in, None for a published or typed architecture.
    """

    asked: ExportRequest
    found: StackedNetwork
    tree: Any
    network: Node | None
    weights: Path | None
    place: Path | None
    no_network: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it was read from."""
        read = [self.place] if self.place is not None and self.place.is_file() else []
        return (*read, *([self.weights, self.weights.with_suffix(".json")] if self.weights is not None else []))

    @property
    def family(self) -> Family:
        """The family of the architecture."""
        return family(self.found.family)

    @property
    def is_space(self) -> bool:
        """Whether it has open choices."""
        return is_open(self.found.architecture)

    @property
    def file_name(self) -> str:
        """The name of its files without suffix; also a valid Python module name."""
        if self.place is None:
            return "network" if self._is_typed else importable(self.asked.name.rpartition(":")[2])
        path = self.place.resolve()
        # best.json and best.safetensors of a run are named after their run folder
        return importable(path.parent.name if path.stem == "best" else path.stem if path.is_file() else path.name)

    @property
    def origin(self) -> str:
        """Its provenance in words, for readers of the exported files."""
        if self.place is not None:
            return f"{self.file_name}, an architecture of {self.found.family} ({self.family.source.rstrip('.')})"
        name = self.asked.name
        if self._is_typed:
            return f"an architecture of {self.found.family} given as text"
        return f"{name} ({self.family.source_of(name.rpartition(':')[2])})"

    @property
    def _is_typed(self) -> bool:
        return self.place is None and self.asked.name != self.found.family and is_typed(self.asked.name)

    def model(self) -> nn.Module:
        """Build the network with its weights, in evaluation mode. Raises RecordError where they belong to another network."""
        assert self.network is not None
        if self.weights is not None:
            return TrainedNetwork(self.found, self.weights).model().eval()
        with seeded(0):
            return build(self.network, self.found.input).eval()

    def built(self) -> Built:
        """Build the network as it was trained and, if asked for, a copy with folded batch norms."""
        assert self.network is not None
        costs = checked_profile(self.network, self.found.input)
        model = self.model()
        return Built(self, model, costs, fold_batch_norms(model, self.found.input) if self.asked.fold else None)


@dataclass(frozen=True, slots=True)
class Built:
    """A subject with its built network in evaluation mode; `model` is the network as trained, not folded."""

    subject: Subject
    model: nn.Module
    costs: Profile
    folded: Folded | None = None

    @property
    def exported(self) -> nn.Module:
        """The network to write: the folded one, if there is one."""
        return self.model if self.folded is None else self.folded.model

    @property
    def weights_bytes(self) -> int:
        """The size of all weights and buffers in bytes."""
        return sum(each.numel() * each.element_size() for each in self.exported.state_dict().values())


def find_subject(asked: ExportRequest) -> Subject:
    """Return the subject of a name. Raises RecordError where the name is unknown, or cannot be stacked as asked."""
    found, weights, place = _found(asked)
    options: dict[str, object] = {}
    override(options, asked.assignments)
    stacked = replace(found, options={**found.options, **options}, input=asked.input or found.input)
    if is_open(found.architecture):
        network = stacked.tree() if options else None
        return Subject(asked, stacked, network or found.architecture, None, None, place)
    try:
        network = stacked.tree()
    except RecordError as error:
        if options:
            raise
        return Subject(asked, stacked, found.architecture, None, weights, place, str(error))
    return Subject(asked, stacked, network if options else found.architecture, network, weights, place)


def _found(asked: ExportRequest) -> tuple[StackedNetwork, Path | None, Path | None]:
    """Return the architecture of a name, the file of its weights if there are any, and the place it was found in."""
    name, path = asked.name, Path(asked.name)
    if asked.weights is not None:
        if asked.untrained:
            raise RecordError("--weights and --untrained are given: leave one of them out")
        given = find_with_weights(name, asked.weights)
        return given.stacked, given.weights, None
    place = path if name and is_there(path) else None
    # a file or folder takes precedence over a space of the same name
    if name in (spaces := families()) and place is None:
        return StackedNetwork(name, spaces[name].space(), input=spaces[name].input), None, None
    if path.suffix == ".safetensors" or is_there(path / "best.safetensors"):
        found, weights = find_checkpoint(name)
        return found, None if asked.untrained else weights, place
    return find_tree(name), None, place


def is_inside(text: str) -> bool:
    """Return whether a text says that the preprocessing is inside the graph. Raises RecordError where it says neither."""
    if text not in ("inside", "outside"):
        raise RecordError(f"--preprocessing {text!r} is neither: give inside, or outside")
    return text == "inside"


def importable(name: str) -> str:
    """Return a name as a valid Python module name in lower case, which shadows no module that the exported code needs."""
    plain = re.sub(r"\W+", "_", name).strip("_").lower()
    is_free = plain.isidentifier() and not iskeyword(plain) and plain not in {*sys.stdlib_module_names, *BESIDE}
    return plain if is_free else f"network_{plain}".rstrip("_")


def listed_choices(space: Any, most: int = 4) -> str:
    """Return the number of open choices of a space, with the names of the first, in words."""
    names = list(choices(space))
    return f"{len(names)} open choices ({', '.join(names[:most])}{', ...' if len(names) > most else ''})"
