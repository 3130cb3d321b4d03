"""Exporting: files of several formats at once, each read back and compared before any is moved to its destination."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from time import perf_counter

from nas.data.libraries import optional
from nas.drawing import draw
from nas.export.card import model_card
from nas.export.compare import LIMIT
from nas.export.format import Format, formats
from nas.export.subject import Built, ExportRequest, Subject, find_subject, listed_choices
from nas.records import RecordError, one_line

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """The destination of the files: a folder and a name without suffix; `force` allows to overwrite files there."""

    folder: Path
    name: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """A format's files, and the largest difference of the outputs when read back, None where the format has no outputs.

    `seconds` is the time of writing and reading back; `limit` is the largest difference that is right; `remarks` are printed.
    """

    format: Format
    files: tuple[Path, ...]
    size_bytes: int
    difference: float | None
    seconds: float
    limit: float = LIMIT
    remarks: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether the outputs equal those of the network, up to rounding."""
        return self.difference is None or self.difference <= self.limit


@dataclass(frozen=True, slots=True)
class Export:
    """The result of an export; `card` is the model card's path. No file is in place where a format does not agree."""

    built: Built | None
    exported: tuple[Exported, ...]
    card: Path | None = None

    @property
    def differing(self) -> tuple[Exported, ...]:
        """The formats whose outputs differ from the network's."""
        return tuple(each for each in self.exported if not each.agrees)


def export(asked: ExportRequest, into: Sequence[Format], out: Path | None, force: bool, card: bool, say: Say) -> Export:
    """Export to all formats or none; requests that must fail are refused before the work where possible.

    Files are written into a temporary folder, and moved to their destination only if all formats agree with the network.
    Raises RecordError where a format cannot hold the subject, or a file exists already.
    """
    subject = find_subject(asked)
    _check_needs(subject, into)
    target = _target(subject, into, out, force)
    with_card = card and any(each.needs != "tree" for each in into)
    _check_free(target, subject, [name for each in into for name in each.files(subject, target.name)], with_card)
    built = None
    if any(each.needs != "tree" for each in into):
        say("building the network")
        built = subject.built()
    # on the same disk, so that moving a finished file is a rename, and no half-written file is ever in place
    with _beside(target.folder) as temporary:
        folder = Path(temporary)
        done = tuple(_written(each, subject, built, folder, target, say) for each in into)
        if with_card and built is not None:
            _write_card(built, done, folder, target.name)
        result = Export(built, done, target.folder / f"{target.name}.md" if with_card else None)
        if not result.differing:
            target.folder.mkdir(parents=True, exist_ok=True)
            _put(folder, target.folder)
    return result


def _beside(folder: Path) -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder, removed on exit, on the same disk as `folder`, which need not exist yet."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        return tempfile.TemporaryDirectory(prefix=".export-", dir=there)
    except OSError as error:
        raise RecordError(f"nothing can be written into {folder} ({error.strerror}): give another --out") from None


def _written(each: Format, subject: Subject, built: Built | None, folder: Path, target: Target, say: Say) -> Exported:
    """Write a file into a folder and read it back; return the result with the paths of its destination."""
    path = folder / f"{target.name}{each.suffix}"
    takes_seconds = each.needs != "tree"
    if takes_seconds:
        say(f"{each.name}: writing")
    began = perf_counter()
    try:
        each.write(subject, built, path)
    except Exception as error:
        # torch and safetensors report a full disk by different errors
        if built is not None and shutil.disk_usage(folder).free < built.weights_bytes:
            raise RecordError(f"the disk of {target.folder} is full: make room, or give another --out") from error
        raise
    if takes_seconds:
        say(f"{each.name}: reading it back")
    difference = _read_back(each, subject, built, path)
    seconds = perf_counter() - began
    names = [name for name in each.files(subject, target.name) if (folder / name).is_file()]
    size = sum((folder / name).stat().st_size for name in names)
    files, remarks = tuple(target.folder / name for name in names), each.remarks(subject, path)
    return Exported(each, files, size, difference, seconds, each.limit(subject), remarks)


def _read_back(each: Format, subject: Subject, built: Built | None, path: Path) -> float | None:
    """Let a format check its file. Raises RecordError for any failure."""
    try:
        return each.check(subject, built, path)
    except RecordError:
        raise
    except Exception as error:
        reason = one_line(error)[:200]
        raise RecordError(
            f"{each.name} cannot be read back ({type(error).__name__}: {reason}), so nothing was written: give another format"
        ) from error


def _put(folder: Path, target: Path) -> None:
    """Move the finished files to their destination."""
    for path in sorted(folder.iterdir()):
        path.replace(target / path.name)


def _write_card(built: Built, done: Sequence[Exported], folder: Path, name: str) -> None:
    """Write the model card and its picture, if the architecture can be drawn."""
    picture = folder / f"{name}.svg"
    if not picture.is_file() and (svg := draw(built.subject.tree)) is not None:
        picture.write_text(svg, encoding="utf-8")
    files = {each.format: each.files[0].name for each in done}
    card = model_card(built, files, picture.name if picture.is_file() else None)
    (folder / f"{name}.md").write_text(card, encoding="utf-8")


def _target(subject: Subject, into: Sequence[Format], out: Path | None, force: bool) -> Target:
    """Return the destination. Raises RecordError where `out` is one file for several formats, or has another format's suffix."""
    if out is None or out.is_dir() or not (out.is_file() or out.suffix in {each.suffix for each in formats().values()}):
        return Target(out or Path(), subject.file_name, force)
    if len(into) > 1:
        raise RecordError(f"--out {out} is a single file, but {len(into)} formats are requested: give a folder")
    if not out.name.endswith(into[0].suffix):
        raise RecordError(f"--out {out} is no name for {into[0].name}: give a folder, or {out.stem}{into[0].suffix}")
    return Target(out.parent, out.name.removesuffix(into[0].suffix), force)


def _check_free(target: Target, subject: Subject, names: Sequence[str], card: bool) -> None:
    """Raise RecordError where a file exists, unless `force`; the exported files themselves may never be replaced."""
    wanted = [*dict.fromkeys(names), *([f"{target.name}.md", f"{target.name}.svg"] if card else [])]
    there = [path for name in wanted if (path := target.folder / name).exists()]
    own = {path.resolve() for path in subject.files}
    for path in there:
        if path.is_dir() or path.resolve() in own:
            what = "a folder" if path.is_dir() else "a source of this export, and would be lost"
            raise RecordError(f"{path} is {what}: give another --out")
    if there and not target.force:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise RecordError(f"{there[0]} exists{more}: give another --out, or --force to replace existing files")


def _check_needs(subject: Subject, into: Sequence[Format]) -> None:
    """Raise RecordError where a format needs a network, weights or a package that there is not."""
    for each in into:
        if each.needs != "tree" and subject.is_space:
            able = ", ".join(name for name, one in formats().items() if one.needs == "tree")
            raise RecordError(
                f"{subject.asked.name} is a space with {listed_choices(subject.tree)}, and {each.name} needs a closed "
                f"network: search it or sample a member first, or export the space itself to {able}"
            )
        if each.needs != "tree" and subject.no_network:
            raise RecordError(subject.no_network)
        if each.needs == "weights" and subject.weights is None and not subject.asked.untrained:
            raise RecordError(
                f"{subject.asked.name} has no trained weights{_looked_for(subject)}, which {each.name} needs: train it "
                f"(nas train {quote(subject.asked.name)} --recipe NAME), or give --untrained for random weights"
            )
    if subject.asked.fold:
        _check_folds(into)
    for option in subject.asked.options:
        _check_option(option, into)
    # before minutes of translation
    for package in (package for each in into for package in each.packages):
        optional(package, package)


def _looked_for(subject: Subject) -> str:
    """Return a hint where weights were looked for, or where some are."""
    place = subject.place
    if place is None:
        return ""
    weights = place.with_suffix(".safetensors")
    return (
        " (no best.safetensors in it)"
        if place.is_dir()
        else f" (those next to it are {weights})"
        if weights.is_file()
        else ""
    )


def _check_option(option: str, into: Sequence[Format]) -> None:
    """Raise RecordError where a format that holds a network cannot do what an option asks for, or none holds one."""
    unable = [each.name for each in into if each.needs != "tree" and option not in each.takes]
    if unable or not any(option in each.takes for each in into):
        able = " and ".join(name for name, one in formats().items() if option in one.takes)
        what = f"{unable[0]} cannot do it" if unable else "none of the formats holds a network"
        raise RecordError(f"{option}: {what}; only {able} can: change --to, or leave out {option.split()[0]}")


def _check_folds(into: Sequence[Format]) -> None:
    unfolded = [each.name for each in into if each.needs != "tree" and not each.folds]
    if unfolded or not any(each.folds for each in into):
        able = ", ".join(name for name, one in formats().items() if one.folds)
        what = f"{unfolded[0]} holds the network as trained" if unfolded else "none of the formats holds a network"
        raise RecordError(
            f"--fold-bn: {what}; only {able} can have folded batch norms: change --to, or leave out --fold-bn"
        )
