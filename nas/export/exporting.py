"""Exporting: files of several formats at once, each read back and compared before any of them is put in its place."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from nas.export.card import model_card
from nas.export.compare import LIMIT
from nas.export.drawing import draw
from nas.export.format import Format, formats
from nas.export.subject import Asked, Built, Subject, find_subject, listed_choices
from nas.record import RecordError

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """Where files are put: in a folder, under a name without a suffix; with `force` over what is there."""

    folder: Path
    name: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """A format's files, and what reading them back gave: the largest difference of the outputs, None where it has none.

    `seconds` are those of writing, not of reading back.
    """

    format: Format
    files: tuple[Path, ...]
    size_bytes: int
    difference: float | None
    seconds: float

    @property
    def agrees(self) -> bool:
        """Whether the outputs are those of the network, up to rounding."""
        return self.difference is None or self.difference <= LIMIT


@dataclass(frozen=True, slots=True)
class Export:
    """What was exported; `card` is the model card, and nothing is in its place where a format does not agree."""

    built: Built | None
    exported: tuple[Exported, ...]
    card: Path | None = None

    @property
    def differing(self) -> tuple[Exported, ...]:
        """The formats that do not compute what the network does."""
        return tuple(each for each in self.exported if not each.agrees)


def export(asked: Asked, into: Sequence[Format], out: Path | None, force: bool, card: bool, say: Say) -> Export:
    """Export to every format, or to none: what cannot be done is found before the work where it can, and nothing is left.

    Raises RecordError where a format cannot hold what was asked for, or a file is there already.
    """
    subject = find_subject(asked)
    _check_needs(subject, into)
    target = _target(subject, into, out, force)
    with_card = card and any(each.needs != "tree" for each in into)
    _check_absent(target, [name for each in into for name in each.files(subject, target.name)], with_card)
    built = None
    if any(each.needs != "tree" for each in into):
        say("building the network")
        built = subject.built()
    target.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=target.folder) as beside:
        folder = Path(beside)
        done = tuple(_written(each, subject, built, folder / f"{target.name}{each.suffix}", say) for each in into)
        if with_card and built is not None:
            _write_card(built, done, folder, target.name)
        result = Export(built, done, target.folder / f"{target.name}.md" if with_card else None)
        if not result.differing:
            _put(folder, target.folder)
    return result


def _written(each: Format, subject: Subject, built: Built | None, path: Path, say: Say) -> Exported:
    """Write a file beside its place, read it back, and return what it came to, as it will be in its place."""
    takes_seconds = each.needs != "tree"
    if takes_seconds:
        say(f"{each.name}: writing")
    began = perf_counter()
    each.write(subject, built, path)
    seconds = perf_counter() - began
    if takes_seconds:
        say(f"{each.name}: reading it back")
    difference = each.check(subject, built, path)
    files = [path.with_name(name) for name in each.files(subject, path.stem)]
    there = [file for file in files if file.is_file()]
    size = sum(file.stat().st_size for file in there)
    return Exported(each, tuple(path.parent.parent / file.name for file in there), size, difference, seconds)


def _put(folder: Path, target: Path) -> None:
    """Move what is ready into its place."""
    for path in sorted(folder.iterdir()):
        path.replace(target / path.name)


def _write_card(built: Built, done: Sequence[Exported], folder: Path, name: str) -> None:
    """Write the model card and, if it can be drawn, the picture in it."""
    picture = folder / f"{name}.svg"
    if not picture.is_file() and (svg := draw(built.subject.tree)) is not None:
        picture.write_text(svg, encoding="utf-8")
    files = {each.format: each.files[0].name for each in done}
    card = model_card(built, files, picture.name if picture.is_file() else None)
    (folder / f"{name}.md").write_text(card, encoding="utf-8")


def _target(subject: Subject, into: Sequence[Format], out: Path | None, force: bool) -> Target:
    """Return where files are put. Raises RecordError where one file is named for several formats, or for another one."""
    if out is None or out.is_dir() or not (out.is_file() or out.suffix in {each.suffix for each in formats().values()}):
        return Target(out or Path(), subject.file_name, force)
    if len(into) > 1:
        raise RecordError(f"--out {out} is one file, and {len(into)} formats are asked for: give a folder")
    if out.suffix != into[0].suffix:
        raise RecordError(f"--out {out} is no name for {into[0].name}: give a folder, or {out.stem}{into[0].suffix}")
    return Target(out.parent, out.stem, force)


def _check_absent(target: Target, names: Sequence[str], card: bool) -> None:
    """Raise RecordError where a file is there already, unless it may be replaced."""
    wanted = [*dict.fromkeys(names), *([f"{target.name}.md", f"{target.name}.svg"] if card else [])]
    there = [str(target.folder / name) for name in wanted if (target.folder / name).exists()]
    if there and not target.force:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise RecordError(f"{there[0]} exists{more}: give another --out, or --force to replace what is there")


def _check_needs(subject: Subject, into: Sequence[Format]) -> None:
    """Raise RecordError where a format needs what the subject has not."""
    for each in into:
        if each.needs != "tree" and subject.is_space:
            able = ", ".join(name for name, one in formats().items() if one.needs == "tree")
            raise RecordError(
                f"{subject.asked.name} is a space with {listed_choices(subject.tree)}, and {each.name} needs a closed "
                f"network: search it or sample a member first, or export the space itself to {able}"
            )
        if each.needs == "weights" and subject.weights is None and not subject.asked.untrained:
            raise RecordError(
                f"{subject.asked.name} has no trained weights{_looked_for(subject)}, which {each.name} needs: train it "
                f"(nas train {subject.asked.name} --recipe NAME), or give --untrained for random weights"
            )
    if subject.asked.fold:
        _check_folds(into)


def _looked_for(subject: Subject) -> str:
    return " (no best.safetensors in it)" if Path(subject.asked.name).is_dir() else ""


def _check_folds(into: Sequence[Format]) -> None:
    unfolded = [each.name for each in into if each.needs != "tree" and not each.folds]
    if unfolded or not any(each.folds for each in into):
        able = ", ".join(name for name, one in formats().items() if one.folds)
        what = f"{unfolded[0]} holds the network as it is trained" if unfolded else "no format has batch norms"
        raise RecordError(f"--fold-bn: {what}; folded it can be {able}: leave out the one or the other")
