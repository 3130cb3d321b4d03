"""A user's own modules, named by path, such as ./mine.py, and imported so that every process finds them again.

The module's name is `nas.own.` and its path in hexadecimal digits. Data sent to a worker refers to this name; the worker
imports this package first, which finds the file by the name. Files next to the module can be imported by their own names.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import final

from nas.fields import shown
from nas.records import RecordError, one_line


@final
class _Files(MetaPathFinder):
    """A finder of modules whose names are paths."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        package, _, digits = name.rpartition(".")
        if package != __name__:
            return None
        file = bytes.fromhex(digits.removeprefix("x")).decode()
        folder = str(Path(file).parent)
        if folder not in sys.path:
            sys.path.append(folder)  # at the end, so that files there hide no other module
        return spec_from_file_location(name, file)


sys.meta_path.append(_Files())


def is_path(name: str) -> bool:
    """Whether the name of a module is the path of its file."""
    return name.endswith(".py")


def written_out(name: str) -> str:
    """Return the name of a module in a form that is valid in every folder: an absolute path, or the dotted name."""
    return str(Path(name).expanduser().resolve()) if is_path(name) else name


def import_named(name: str) -> ModuleType:
    """Import a module by its dotted name, or by the path of its file.

    Raises RecordError, with the reason, where that fails, and with both files where another module hides a file here.
    """
    if not is_path(name):
        check_not_hidden(name)
        return _imported(name, name)
    file = Path(written_out(name))
    if not file.is_file():
        raise RecordError(f"there is no file {name}: give the path of a module, as ./mine.py")
    # Imported already under another name: a second import would declare its records a second time.
    for module in list(sys.modules.values()):
        if _file(module) == file:
            return module
    return _imported(f"{__name__}.x{str(file).encode().hex()}", name)


def _imported(module: str, name: str) -> ModuleType:
    try:
        return import_module(module)
    except RecordError:
        raise
    except Exception as error:  # noqa: BLE001, whatever the user's own code raises
        repair = "fix it" if is_path(name) else f"put its folder on PYTHONPATH, or name its file, as ./{name}.py"
        raise RecordError(f"module {name} cannot be imported ({_reason(error)}): {repair}") from None


def _reason(error: Exception) -> str:
    """Return why an import failed; an error raised by the module's own code is given with its type."""
    return (
        one_line(error)
        if isinstance(error, ImportError | SyntaxError)
        else f"{type(error).__name__}: {one_line(error)}"
    )


def check_not_hidden(name: str) -> None:
    """Raise RecordError, with both files, where a user's file has the name of a module but another file is imported under it."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise RecordError(f"{shown(name)} is not a module: give a name, as mine.evaluators, or a path, as ./mine.py")
    here, spec = Path(*name.split(".")).with_suffix(".py"), _spec(name)
    if spec is not None and here.is_file() and Path(spec.origin or "").resolve() != here.resolve():
        path = f"./{here.as_posix()}"
        raise RecordError(
            f"{name} is {spec.origin or 'a package'}, which hides {here.resolve()}: give yours by its path, {path}"
        )


def file_of(name: str) -> Path | None:
    """Return the file of a module by its dotted name, or None."""
    spec = _spec(name)
    origin = None if spec is None else spec.origin
    return Path(origin).resolve() if origin is not None and Path(origin).is_file() else None


def _spec(name: str) -> ModuleSpec | None:
    try:
        return find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None


def _file(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if isinstance(file, str) else None
