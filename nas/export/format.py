"""Format: one kind of file that an architecture, a network or trained weights can be exported to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

from nas.export.compare import LIMIT
from nas.export.subject import Built, Subject
from nas.records import RecordError, import_all, nearest, record_classes

Needs = Literal["tree", "network", "weights"]


class Format(ABC):
    """A kind of file that is written and read back. A subclass is a record in a separate file in nas/export/formats/.

    `needs` is what the subject must have: "tree" any architecture, a space too; "network" a closed network, with or without
    weights; "weights" a network with weights. `folds` is whether the format can hold a network with folded batch norms,
    `takes` are the other options of an export that it can do, `packages` those that must be installed for it.
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    needs: ClassVar[Needs] = "tree"
    folds: ClassVar[bool] = False
    takes: ClassVar[frozenset[str]] = frozenset()
    packages: ClassVar[tuple[str, ...]] = ()

    def files(self, subject: Subject, name: str) -> tuple[str, ...]:
        """Return the names of the files that are written; the first is the main one."""
        return (f"{name}{self.suffix}",)

    @abstractmethod
    def write(self, subject: Subject, built: Built | None, path: Path) -> None:
        """Write the file and those that belong to it. `built` is None only where the format needs no more than a tree.

        Raises RecordError where the format cannot hold this subject.
        """

    @abstractmethod
    def check(self, subject: Subject, built: Built | None, path: Path) -> float | None:
        """Read the file back as its user would, and return the largest difference of the outputs; None where it has none.

        Raises RecordError where the content read differs from the content written.
        """

    def limit(self, subject: Subject) -> float:
        """Return the largest difference of the outputs at which the file is still right: what rounding explains."""
        return LIMIT

    def remarks(self, subject: Subject, path: Path) -> tuple[str, ...]:
        """Return lines to print about the file that was written, such as what was measured of it."""
        return ()

    def usage(self, subject: Subject, file: str) -> str:
        """Return a few lines of Python, or a command, that use the file, for the model card; "" for none."""
        return ""


def formats() -> dict[str, Format]:
    """Return every format by its name."""
    import_all("nas.export.formats")
    classes: dict[str, Any] = record_classes(Format)
    return {each.name: each for each in sorted((cls() for cls in classes.values()), key=_order)}


def _order(each: Format) -> tuple[int, str]:
    return ("tree", "network", "weights").index(each.needs), each.name


def formats_named(names: str) -> Sequence[Format]:
    """Return the formats of comma-separated names; a user's format is `module:name`.

    Raises RecordError, with the nearest name, for an unknown format.
    """
    asked = [name.strip() for name in names.split(",") if name.strip()]
    if not asked:
        raise RecordError(f"--to is missing: give some of {', '.join(formats())}, such as --to onnx,source")
    return list(dict.fromkeys(map(_named, asked)))


def _named(text: str) -> Format:
    module, _, name = text.rpartition(":")
    try:
        if module:
            import_module(module)
    except ImportError as error:
        raise RecordError(f"module {module!r} cannot be imported ({error}): put its folder on PYTHONPATH") from None
    known, name = formats(), name.lower().replace("_", "-")
    if name not in known:
        raise RecordError(f"there is no format {name!r}: {nearest(name, known)}")
    return known[name]
