"""Safetensors: the trained weights by name, with the description that makes them a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, final

from nas.building import build
from nas.export.compare import largest_difference
from nas.export.format import Format, Needs
from nas.export.subject import Built, Subject
from nas.plain import write
from nas.records import digest, record
from nas.runs.architecture import find_checkpoint
from nas.training import load_weights, save_weights, seeded


@final
@record
class Safetensors(Format):
    """Write a CHECKPOINT: the weights as safetensors, and a .json that describes their network."""

    name: ClassVar[str] = "safetensors"
    suffix: ClassVar[str] = ".safetensors"
    needs: ClassVar[Needs] = "weights"

    def files(self, subject: Subject, name: str) -> tuple[str, ...]:
        return f"{name}{self.suffix}", f"{name}.json"

    def write(self, subject: Subject, built: Built | None, path: Path) -> None:
        assert built is not None
        save_weights(built.model, path, digest(subject.network), write(subject.found))
        path.with_suffix(".json").write_text(write(subject.found), encoding="utf-8")

    def check(self, subject: Subject, built: Built | None, path: Path) -> float:
        assert built is not None
        found, weights = find_checkpoint(str(path))
        network = found.tree()
        with seeded(1):  # not the seed of the exported weights, so that unread weights show
            model = build(network, found.input).eval()
        load_weights(model, weights, digest(network))
        return largest_difference(model, built.model, found.input)

    def usage(self, subject: Subject, file: str) -> str:
        return f"nas test {file} --on FOLDER_OF_IMAGES"
