"""Images read by the `datasets` library: from the Hugging Face hub, a local folder, or parquet files."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, final

import torch
from torch import Tensor

from nas.data.base import Data, Loaded
from nas.data.encoded import CENTRE, IMAGENET_MEAN, IMAGENET_STD, TOLERATED, Encoded, PerChannel, Source, class_names
from nas.data.first_look import loaded_encoded
from nas.data.identity import digest_of, files_digest
from nas.data.leftovers import is_leftover
from nas.data.libraries import optional
from nas.data.pixels import Bits, Pixels
from nas.places import Place
from nas.records import Fraction, Positive, RecordError, one_line, record


@record
class HubImages(Data):
    """A data set of the hub, such as ILSVRC/imagenet-1k, or a local folder of images or parquet files.

    `datasets` fetches it once and keeps it as memory-mapped files; images are decoded when needed. `train` and `test`
    name its parts, `image` and `label` its columns. The other fields are those of ImageFiles. Raises RecordError.
    """

    name: Annotated[str, Place(or_name=True)]
    config: str | None = None
    train: str = "train"
    test: str = "validation"
    image: str = "image"
    label: str = "label"
    size: Positive = 224
    centre: Fraction = CENTRE
    mean: PerChannel = IMAGENET_MEAN
    std: PerChannel = IMAGENET_STD
    tolerated: Fraction = TOLERATED
    channels: Positive = 3
    bits: Bits = 16

    def load(self) -> Loaded:
        parts = self._fetch()
        for name in (self.train, self.test):
            _check_known(name, list(parts), f"{self.name} has no split", "give `train` and `test`")
        train, test = parts[self.train], parts[self.test]
        names = _label_names(train, self.label)
        if _label_names(test, self.label) != names:
            raise RecordError(f"{self.name} has different classes in {self.train} and {self.test}: make them equal")
        images, test_images = self._encoded(train), self._encoded(test)
        classes = class_names(images.y, test_images.y, names, self.name)
        if leftovers := [name for name in names if is_leftover(name)]:
            raise RecordError(
                f"{self.name} has a class {leftovers[0]!r}, left behind by a file server: remove such folders"
            )
        return loaded_encoded((images, test_images), classes, self.mean, self.std, f"the split {self.test!r}")

    def _fetch(self) -> Any:
        """Return the parts by name, after checking the columns of those used."""
        datasets = optional("datasets", "datasets")
        # What `save_to_disk` wrote is read by a separate function.
        saved = (Path(self.name).expanduser() / "dataset_dict.json").is_file()
        try:
            parts = datasets.load_from_disk(self.name) if saved else datasets.load_dataset(self.name, self.config)
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            reason = one_line(error)
            raise RecordError(
                f"{self.name} cannot be fetched ({reason}): give the name of a data set on the hub that you have access to, "
                "or a folder of images or parquet files"
            ) from error
        for part in (parts[name] for name in (self.train, self.test) if name in parts):
            for column in (self.image, self.label):
                _check_known(column, part.column_names, f"{self.name} has no column", "give `image` and `label`")
        return parts

    def _encoded(self, part: Any) -> Encoded:
        labels = part.with_format("numpy")[self.label][:]
        if labels.dtype.kind not in "iu":
            raise RecordError(f"column {self.label!r} of {self.name} holds no integers: give another `label`")
        undecoded = optional("datasets", "datasets").Image(decode=False)
        rows = part.select_columns([self.image]).cast_column(self.image, undecoded)
        y = torch.from_numpy(labels).long()
        source, form = _Rows(rows, self.image, self.name), Pixels(self.channels, self.bits)
        return Encoded(source, torch.arange(len(y)), y, self.size, self.centre, self.tolerated, form)


def _check_known(name: str, known: list[str], what: str, repair: str) -> None:
    if name in known:
        return
    close = difflib.get_close_matches(name, known, 1, 0.0)
    nearest = f"did you mean {close[0]!r}? it has {', '.join(known)}; " if close else ""
    raise RecordError(f"{what} {name!r}: {nearest}{repair}")


def _label_names(part: Any, column: str) -> tuple[str, ...]:
    """Return the names of the classes; empty where the data set has none."""
    return tuple(getattr(part.features[column], "names", ()))


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Rows(Source):
    """The rows of a memory-mapped table, which hold the bytes of an image or the path of a file."""

    rows: Any
    column: str
    title: str

    def read(self, number: int) -> bytes:
        image = self.rows[number][self.column]
        if image is None or (image["bytes"] is None and image["path"] is None):
            raise OSError("the row holds no image")
        found: bytes = image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()
        return found

    def digest(self, numbers: Tensor) -> str:
        """Return a digest of the images' lengths in bytes, stored separately in the table, or of their files."""
        compute = optional("pyarrow.compute", "pyarrow")
        column = self.rows.data.column(self.column)
        # -1 where a row has no bytes but the path of a file
        lengths = compute.fill_null(compute.binary_length(compute.struct_field(column, "bytes")), -1).to_numpy()
        paths = compute.struct_field(column, "path").filter(compute.equal(lengths, -1)).to_pylist()
        files = files_digest([path for path in paths if path], str(Path(self.title).expanduser().resolve()))
        return digest_of([lengths, files.encode(), numbers.contiguous().numpy()])

    def name(self, number: int) -> str:
        path = (self.rows[number][self.column] or {}).get("path")
        return f"{self.title}, row {number}" + (f" ({path})" if path else "")
