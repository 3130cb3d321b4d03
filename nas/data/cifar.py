"""CIFAR-10 and CIFAR-100, from the published files or through the `datasets` library."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch

from nas.data.archive import PublishedFiles, open_archive
from nas.data.base import Data, Images, Loaded
from nas.data.libraries import optional
from nas.data.python_batches import read_python_batch
from nas.places import Place
from nas.records import RecordError, record

PIXELS = 3 * 32 * 32

_CIFAR10_NAMES = "airplane automobile bird cat deer dog frog horse ship truck"

_CIFAR100_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""


@dataclass(frozen=True, slots=True)
class _Form:
    """The published form of one of the two data sets: folders, (name, images) of its files, and the place of the labels."""

    title: str
    hub: str
    hub_label: str
    binary_folder: str
    python_folder: str
    train_files: tuple[tuple[str, int], ...]
    test_file: tuple[str, int]
    binary_suffix: str
    label_bytes: int
    python_label: bytes
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


_CIFAR10 = _Form(
    title="CIFAR-10",
    hub="uoft-cs/cifar10",
    hub_label="label",
    binary_folder="cifar-10-batches-bin",
    python_folder="cifar-10-batches-py",
    train_files=tuple((f"data_batch_{i}", 10_000) for i in range(1, 6)),
    test_file=("test_batch", 10_000),
    binary_suffix=".bin",
    label_bytes=1,
    python_label=b"labels",
    classes=tuple(_CIFAR10_NAMES.split()),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)

_CIFAR100 = _Form(
    title="CIFAR-100",
    hub="uoft-cs/cifar100",
    hub_label="fine_label",
    binary_folder="cifar-100-binary",
    python_folder="cifar-100-python",
    train_files=(("train", 50_000),),
    test_file=("test", 10_000),
    binary_suffix=".bin",
    label_bytes=2,
    python_label=b"fine_labels",
    classes=tuple(_CIFAR100_NAMES.split()),
    mean=(0.5071, 0.4867, 0.4408),
    std=(0.2675, 0.2565, 0.2761),
)


@record
class Cifar10(Data):
    """CIFAR-10: 50,000 training and 10,000 test images, (3, 32, 32), 10 classes. Krizhevsky 2009.

    `folder`, or else the environment variable NAS_DATA, is cifar-10-batches-bin, cifar-10-batches-py, the archive
    cifar-10-binary.tar.gz or cifar-10-python.tar.gz as torchvision downloads it, or a folder that contains one of these.
    An archive is read in place. The binary form is preferred. Without a folder, the `datasets` library fetches
    uoft-cs/cifar10. Mean and standard deviation are those of the DARTS code. Raises RecordError for a missing or broken
    file.
    """

    folder: Annotated[str, Place("NAS_DATA")] | None = None

    def load(self) -> Loaded:
        return _load(_CIFAR10, self.folder)


@record
class Cifar100(Data):
    """CIFAR-100 with its 100 fine labels: 50,000 training and 10,000 test images, (3, 32, 32). Krizhevsky 2009.

    `folder` is as in Cifar10, with cifar-100-binary and cifar-100-python; the name on the hub is uoft-cs/cifar100. Mean
    and standard deviation are those of the NAS-Bench-201 code. Raises RecordError for a missing or broken file.
    """

    folder: Annotated[str, Place("NAS_DATA")] | None = None

    def load(self) -> Loaded:
        return _load(_CIFAR100, self.folder)


def _load(form: _Form, folder: str | None) -> Loaded:
    folder = folder or os.environ.get("NAS_DATA")
    train, test = _read_hub(form) if folder is None else _read_folder(form, Path(folder).expanduser())
    return Loaded(train, test, form.classes, form.mean, form.std, test_source=f"the test set of {form.title}")


def _read_folder(form: _Form, folder: Path) -> tuple[Images, Images]:
    forms = (form.binary_folder, form.binary_suffix, _read_binary), (form.python_folder, "", _read_python)
    for name, suffix, read in forms:
        if (place := _place(form, folder, name, suffix)) is not None:
            train = [read(form, place, f"{file}{suffix}", images) for file, images in form.train_files]
            test = read(form, place, f"{form.test_file[0]}{suffix}", form.test_file[1])
            return Images(*map(torch.cat, zip(*train, strict=True))), Images(*test)
    raise RecordError(
        f"folder {folder} has no {form.title}: give the folder that holds {form.binary_folder} or "
        f"{form.python_folder}, or set NAS_DATA to it"
    )


def _place(form: _Form, folder: Path, name: str, suffix: str) -> PublishedFiles | None:
    """Return the location of the files: the folder itself, a subfolder `name`, or the archive as published; or None."""
    test = f"{form.test_file[0]}{suffix}"
    for place in (folder, folder / name):
        if (place / test).is_file():
            return PublishedFiles(place)
    kind = "binary" if suffix else "python"
    archive = f"{form.title.lower()}-{kind}.tar.gz"
    path = folder if folder.is_file() and folder.name == archive else folder / archive
    if not path.is_file():
        return None
    return open_archive(path, name, [test, *(f"{file}{suffix}" for file, _ in form.train_files)])


def _read_binary(form: _Form, place: PublishedFiles, name: str, images: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Read rows of label bytes, the fine label last, followed by the image's channels."""
    size = images * (form.label_bytes + PIXELS)
    data = place.read(name)
    if data is None or len(data) != size:
        state = "is missing" if data is None else f"has {len(data):,} bytes"
        raise RecordError(f"{place.path / name} {state}, and should have {size:,} bytes: download it again")
    rows = torch.frombuffer(bytearray(data), dtype=torch.uint8).view(images, -1)
    labels = rows[:, form.label_bytes - 1].long()
    return _checked(form, place.path / name, rows[:, form.label_bytes :], labels)


def _read_python(form: _Form, place: PublishedFiles, name: str, images: int) -> tuple[torch.Tensor, torch.Tensor]:
    path, data = place.path / name, place.read(name)
    if data is None:
        raise RecordError(f"{path} is missing, and should have {images:,} images: download it again")
    pixels, labels = read_python_batch(data, form.python_label, str(path))
    if pixels.shape != (images, PIXELS) or len(labels) != images:
        raise RecordError(
            f"{path} has {len(labels):,} labels and an array of {pixels.shape}, and should have {images:,} images of "
            f"{PIXELS:,} bytes: download it again"
        )
    return _checked(form, path, torch.from_numpy(pixels), torch.tensor(labels))


def _checked(form: _Form, path: Path, pixels: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the images (N, 3, 32, 32) and the labels. Raises RecordError where a label is out of range."""
    if labels.min() < 0 or labels.max() >= len(form.classes):
        raise RecordError(
            f"{path} has a label {labels.max()}, and {form.title} has {len(form.classes)} classes: download it again"
        )
    return pixels.reshape(-1, 3, 32, 32).contiguous(), labels


def _read_hub(form: _Form) -> tuple[Images, Images]:
    datasets = optional("datasets", "datasets")
    try:
        parts = datasets.load_dataset(form.hub)
    except (OSError, ValueError) as error:
        raise RecordError(
            f"{form.title} cannot be fetched as {form.hub} ({error}): give `folder`, or set NAS_DATA, to a folder that "
            f"holds {form.binary_folder}"
        ) from error
    return _hub_images(form, parts["train"]), _hub_images(form, parts["test"])


def _hub_images(form: _Form, part: Any) -> Images:
    columns = part.with_format("numpy")
    # (N, 32, 32, 3) to (N, 3, 32, 32)
    x = torch.from_numpy(columns["img"][:]).permute(0, 3, 1, 2).contiguous()
    return Images(x, torch.from_numpy(columns[form.hub_label][:]).long())
