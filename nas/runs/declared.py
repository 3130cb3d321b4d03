"""YAML declarations of experiments and recipes: read with `key=value` assignments, written with every default."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TypeVar

import yaml

from nas.own import import_named, written_out
from nas.places import is_there
from nas.plain import from_plain
from nas.records import RecordError, import_all, nearest, to_plain
from nas.runs.yaml_file import YamlFile

T = TypeVar("T")


def load_declared(
    path: Path, assignments: Sequence[str], kind: type[T], check: Callable[[T], None] = lambda declared: None
) -> T:
    """Read a record of class `kind` from a YAML file, apply `key=value` assignments, and check it.

    The user's own modules in `imports` are imported first. Raises RecordError with the file, the line, the key and the nearest
    known name where something is wrong.
    """
    file = YamlFile(path)
    file.override(assignments)
    # a name in the file is looked up among the records that are imported: those of the library, then the user's
    for package in ("strategies", "predictors", "evaluation", "data", "supernets", "runtime"):
        import_all(f"nas.{package}")
    try:
        imports = from_plain(file.plain.get("imports") or (), tuple[str, ...], "imports")
        for module in imports:
            _import(module)
        if imports:
            file.plain["imports"] = list(map(written_out, imports))
        declared: T = from_plain(file.plain, kind)
        check(declared)
    except RecordError as error:
        raise file.locate(error) from None
    return declared


@contextmanager
def explained(path: Path, assignments: Sequence[str]) -> Iterator[None]:
    """Add the file and line to a RecordError that the block raises about a key of the file, as while loading data."""
    try:
        yield
    except RecordError as error:
        file = YamlFile(path)
        file.override(assignments)
        if not error.where or not file.has(error.where):
            raise
        raise file.locate(error) from None


def experiments_folder() -> Path:
    """Return the folder of the experiments that ship with the library: in the installed package, or in its checkout."""
    packaged = Path(str(resources.files("nas"))) / "experiments"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "experiments"


def recipes() -> dict[str, Path]:
    """Return the recipes that ship with the library, by name."""
    return {path.stem: path for path in sorted((experiments_folder() / "recipes").glob("*.yaml"))}


def experiments() -> dict[str, Path]:
    """Return the experiments that ship with the library, by name, such as `quickstart` and `cifar10/pc_darts`."""
    folder = experiments_folder()
    names = (path.relative_to(folder) for path in sorted(folder.rglob("*.yaml")))
    return {name.with_suffix("").as_posix(): folder / name for name in names if name.parts[0] != "recipes"}


def find_declared(name: str, known: Mapping[str, Path], what: str) -> Path:
    """Return the file that a user names: their own file, or the name of one that ships with the library.

    `what` is the kind in words, such as "recipe". Raises RecordError where there is no such file, or two different ones.
    """
    path, own = Path(name), Path(f"{name}.yaml")
    short = name.removeprefix("experiments/").removeprefix("recipes/").removesuffix(".yaml")
    if is_there(path) and not (path.is_dir() and short in known):
        return path
    if short not in known:
        raise RecordError(_unknown(name, short, known, what))
    if short == name and is_there(own) and not own.samefile(known[name]):
        raise RecordError(
            f"{name!r} could be two files: {own} here, or {known[name]} of the library: give ./{own}, or the other path"
        )
    return known[short]


def _unknown(name: str, short: str, known: Mapping[str, Path], what: str) -> str:
    hint = nearest(short, known)
    if name.endswith((".yaml", ".yml")):
        return f"there is no file {name}" + (f": {hint}" if hint.startswith("did") else "")
    if is_there(Path(f"{name}.yaml")):
        return f"there is no {what} {name!r}: did you mean {name}.yaml?"
    return f"there is no {what} {name!r}: give a YAML file, or a name: {hint}"


def _import(module: str) -> None:
    try:
        import_named(module)
    except RecordError as error:
        raise RecordError(str(error), "imports") from None


def dump(declared: object) -> str:
    """Return a record as YAML with every default written out, so that it means the same in a later version."""
    (plain,) = to_plain(declared, defaults=True).values()
    return yaml.safe_dump(plain, sort_keys=False, width=120, allow_unicode=True)
