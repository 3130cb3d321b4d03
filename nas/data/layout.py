"""The layout of a folder of images: which of its subfolders are splits, which are classes, and the files of each.

A folder holds a subfolder for each class, or one for each split with the classes below. Splits are recognised by their
names. Subfolders with other names that contain the same folders are an error and are never taken for classes.
"""

from __future__ import annotations

import difflib
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal, final

from nas.data.leftovers import is_leftover
from nas.records import RecordError

SUFFIXES = frozenset(".bmp .gif .jfif .jp2 .jpe .jpeg .jpg .npy .pbm .pgm .png .pnm .ppm .tga .tif .tiff .webp".split())
THREADS = 8
NAMED = 5
"""The number of folders or classes that a message names."""

Role = Literal["train", "validation", "test"]

ROLES: Mapping[Role, frozenset[str]] = {
    "train": frozenset("train training trn trainset trainval".split()),
    "validation": frozenset("val valid validate validation valset dev devel development holdout".split()),
    "test": frozenset("test testing tst testset eval evaluation".split()),
}
"""The words in a folder's name that identify its split."""

FILLING = frozenset("set split data dataset image images img imgs folder".split())
"""Words in a folder's name that do not identify a split."""

MOST_SPLITS = 64
"""The number of folders that are compared as possible splits; further ones are classes."""

REPAIR = "give a folder with a subfolder of images for each of at least two classes"


@final
@dataclass(frozen=True, slots=True)
class Files:
    """Image files and the label of each; `source` describes in words which they are."""

    files: Sequence[str]
    labels: Sequence[int]
    source: str


@final
@dataclass(frozen=True, slots=True)
class Listing:
    """The images of a folder; `test` is None where no subfolder holds test images."""

    classes: tuple[str, ...]
    train: Files
    test: Files | None

    def all_files(self) -> list[str]:
        """Return the files of all images."""
        return [*self.train.files, *(self.test.files if self.test is not None else ())]


@final
@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder: its images, its subfolders that hold images at any depth, by name, and the names of those that hold none."""

    path: str
    images: Sequence[str]
    folders: Mapping[str, _Folder]
    empty: Sequence[str]

    @property
    def inner(self) -> _Folder:
        """The first folder, from this one down, that is more than a wrapper around one other, as `images` in train/images/cat."""
        if self.images or len(self.folders) != 1:
            return self
        (only,) = self.folders.values()
        return only.inner if only.folders and not only.images else self

    def files(self) -> list[str]:
        """Return the images at any depth, sorted by the components of their paths."""
        return sorted(self._files(), key=lambda path: path.replace(os.sep, "\0"))

    def _files(self) -> Iterator[str]:
        yield from (f"{self.path}{os.sep}{name}" for name in self.images)
        for folder in self.folders.values():
            yield from folder._files()


def list_images(root: Path) -> Listing:
    """Return the classes and files of a folder; image files are recognised by their suffix and not opened.

    The test images are those of the test folder, or else of the validation folder; a validation folder next to a test
    folder joins the training images. Classes are those of the training images; a warning is given if the test folder
    lacks some. Raises RecordError where the folder is absent, has fewer than two classes, or has an ambiguous layout.
    """
    if not root.is_dir():
        raise RecordError(f"folder {root} does not exist: give a folder with a subfolder of images for each class")
    whole = _scan(os.fspath(root)).inner
    splits = _splits(whole)
    if splits is None:
        classes = _classes(whole)
        return Listing(tuple(classes), _labelled([classes], tuple(classes), "all"), None)
    others = [role for role in ("test", "validation") if role in splits]
    trained = _classes(splits["train"])
    expected = tuple(trained)
    parts = {role: _known_classes(splits[role], expected) for role in others}
    joined = [trained, *(parts[role] for role in others[1:])]
    test = parts[others[0]] if others else None
    if test is not None and (missing := [name for name in expected if name not in test]):
        warnings.warn(f"the test images in {splits[others[0]].path} lack the classes {_some(missing)}", stacklevel=2)
    name = os.path.relpath(splits[others[0]].path, root) if others else ""
    return Listing(
        expected,
        _labelled(joined, expected, "train"),
        None if test is None else _labelled([test], expected, f"all in the folder {name!r}"),
    )


def _labelled(parts: Sequence[Mapping[str, list[str]]], expected: Sequence[str], source: str) -> Files:
    labels = {name: label for label, name in enumerate(expected)}
    files = [(file, labels[name]) for part in parts for name in expected for file in part.get(name, ())]
    return Files([file for file, _ in files], [label for _, label in files], source)


def _classes(folder: _Folder) -> dict[str, list[str]]:
    """Return the files of each class, one per subfolder; a warning is given for subfolders without images."""
    if len(folder.folders) < 2:
        found = f"one class, {next(iter(folder.folders))!r}" if folder.folders else "no images in subfolders"
        raise RecordError(f"folder {folder.path} has {found}: {REPAIR}")
    if folder.empty:
        warnings.warn(f"{_some(folder.empty)} in {folder.path} hold no images and are ignored", stacklevel=3)
    return {name: folder.folders[name].files() for name in sorted(folder.folders)}


def _known_classes(folder: _Folder, expected: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the files of each class. Raises RecordError where a class is not among the expected ones."""
    if not folder.folders:
        raise RecordError(f"folder {folder.path} has no images in subfolders: {REPAIR}")
    if unknown := sorted(folder.folders.keys() - set(expected)):
        close = difflib.get_close_matches(unknown[0].lower(), known := {name.lower(): name for name in expected}, 1)
        hint = f" (did you mean {known[close[0]]!r}?)" if close else ""
        raise RecordError(
            f"folder {folder.path} has the classes {_some(unknown)}{hint}, and the training images have {_some(expected)}: "
            "give each class the same name in all splits"
        )
    return {name: each.files() for name, each in folder.folders.items()}


def _splits(folder: _Folder) -> dict[Role, _Folder] | None:
    """Return the folder of classes of each split; None where the subfolders are the classes."""
    nested = {name: each.inner for name, each in folder.folders.items() if each.inner.folders}
    _refuse_splits_of_classes(folder, nested)
    similar = _similar(nested)
    named = {
        name: role for name in folder.folders if (role := role_of(name)) and (name in similar or is_split_name(name))
    }
    roles = {name: role for name, role in named.items() if name in nested}
    # Split names alone decide only if there is a training split, next to another one or to no other folder at all: a
    # class may be called "train", too.
    if "train" in roles.values() and (len(set(named.values())) > 1 or named.keys() == folder.folders.keys()):
        return _by_role(folder, nested, roles)
    if similar:
        raise RecordError(
            f"the folders {_some(similar)} in {folder.path} hold the same subfolders, as {_shared(nested, similar)!r}, like "
            "splits and unlike classes: rename them train and test (or val), or give the path of one"
        )
    if folder.folders and not nested and named.keys() == folder.folders.keys():
        raise RecordError(
            f"the splits {_some(list(named))} in {folder.path} hold images without class folders: {REPAIR}"
        )
    return None


def _by_role(folder: _Folder, nested: Mapping[str, _Folder], roles: Mapping[str, Role]) -> dict[Role, _Folder]:
    found: dict[Role, _Folder] = {}
    for role in ROLES:
        names = [name for name, each in roles.items() if each == role]
        if len(names) > 1:
            kind = "training" if role == "train" else role
            raise RecordError(
                f"the folders {_some(names)} in {folder.path} are both {kind} splits: merge or rename them"
            )
        if names:
            found[role] = nested[names[0]]
    if unread := [name for name in folder.folders if name not in roles]:
        warnings.warn(
            f"{_some(unread)} in {folder.path} are ignored: not named as splits, or without classes", stacklevel=4
        )
    return found


def role_of(name: str) -> Role | None:
    """Return the split that a word of the folder's name identifies, as in Validation or seg_train; None for other names."""
    words = _words(name)
    return next((role for role, known in ROLES.items() if words & known), None)


def is_split_name(name: str) -> bool:
    """Return whether all words of a folder's name identify a split, as in train, VALID or test_images."""
    words = _words(name) - FILLING
    return bool(words) and words <= frozenset[str]().union(*ROLES.values())


def _words(name: str) -> frozenset[str]:
    """Return the words of a name, in lower case."""
    # parts of CamelCase, words in capitals, and numbers; all else separates
    return frozenset(word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+", name))


def _refuse_splits_of_classes(folder: _Folder, nested: Mapping[str, _Folder]) -> None:
    """Raise RecordError where splits are below the classes, as in cat/train and cat/test."""
    for name, each in nested.items():
        inner = {role_of(inner): inner for inner in each.folders}
        if role_of(name) is None and "train" in inner and inner.keys() & {"test", "validation"}:
            raise RecordError(
                f"{each.path} is a class that holds the split {inner['train']!r}: put the splits above the classes, as "
                f"{folder.path}/{inner['train']}/{name}"
            )


def _similar(nested: Mapping[str, _Folder]) -> list[str]:
    """Return the folders that share at least half of their subfolders with another folder."""
    found = set[str]()
    for one, other in combinations(list(nested)[:MOST_SPLITS], 2):
        first, second = (_lowered(nested[name]) for name in (one, other))
        least = min(len(first), len(second))
        # two splits rarely have exactly the same classes: half of the smaller one is enough
        if least > 1 and 2 * len(first & second) >= least:
            found |= {one, other}
    return sorted(found)


def _shared(nested: Mapping[str, _Folder], similar: Sequence[str]) -> str:
    """Return the name of a subfolder that similar folders share."""
    first = nested[similar[0]]
    others = set[str]().union(*(_lowered(nested[name]) for name in similar[1:]))
    return next(name for name in sorted(first.folders) if name.lower() in others)


def _lowered(folder: _Folder) -> set[str]:
    return {name.lower() for name in folder.folders}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(repr, names[:NAMED])) + more


def _scan(root: str) -> _Folder:
    """Scan a folder level by level; the folders of a level are read by several threads."""
    entries: dict[str, tuple[list[str], list[str]]] = {}
    level = [root]
    with ThreadPoolExecutor(THREADS) as threads:
        while level:
            found = dict(zip(level, threads.map(_entries, level), strict=True))
            entries |= found
            level = [f"{path}{os.sep}{name}" for path, (_, names) in found.items() for name in names]
    return _tree(root, entries)


def _tree(path: str, entries: Mapping[str, tuple[list[str], list[str]]]) -> _Folder:
    images, names = entries[path]
    below = {name: _tree(f"{path}{os.sep}{name}", entries) for name in names}
    folders = {name: each for name, each in below.items() if each.images or each.folders}
    return _Folder(path, images, folders, [name for name in names if name not in folders])


def _entries(path: str) -> tuple[list[str], list[str]]:
    """Return the names of the images and of the folders in a folder; links to a parent folder are left out."""
    images, folders = list[str](), list[str]()
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if is_leftover(entry.name):
                    continue
                if not entry.is_dir():
                    images += [entry.name] if is_image(entry.name) else []
                elif not entry.is_symlink() or not _is_above(entry.path, path):
                    folders.append(entry.name)
    except OSError as error:
        raise RecordError(
            f"folder {path} cannot be read ({error.strerror}): give read permission, or remove it"
        ) from None
    return sorted(images), sorted(folders)


def _is_above(link: str, path: str) -> bool:
    """Return whether a link points to a folder that contains `path`."""
    target, here = (os.path.realpath(each) for each in (link, path))
    return os.path.commonpath([target, here]) == target


def is_image(name: str) -> bool:
    """Return whether a file name has the suffix of an image."""
    return name[name.rfind(".") :].lower() in SUFFIXES
