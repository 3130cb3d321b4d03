"""The files of a published data set, in a folder or in the archive in which they are published."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from nas.records import RecordError

LARGEST_BYTES = 2**28
"""Larger files cannot belong to a data set that is held in memory."""


@final
@dataclass(frozen=True, slots=True)
class PublishedFiles:
    """A folder of files, or an archive whose files have been read into `contents`."""

    path: Path
    contents: Mapping[str, bytes] | None = field(default=None, repr=False)

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file; None where it is missing."""
        if self.contents is not None:
            return self.contents.get(name)
        file = self.path / name
        return file.read_bytes() if file.is_file() else None


def open_archive(path: Path, folder: str, names: Collection[str]) -> PublishedFiles:
    """Read the files `names` in a folder of a tar archive, compressed or not; nothing is written to the disk.

    Raises RecordError where the archive is truncated.
    """
    wanted = {f"{folder}/{name}": name for name in names}
    contents = dict[str, bytes]()
    try:
        with tarfile.open(path) as archive:
            # A tar archive has no index: read it from the start, until all wanted files are found.
            for member in archive:
                name = wanted.get(member.name.removeprefix("./"))
                if (
                    name is not None
                    and member.size <= LARGEST_BYTES
                    and (file := archive.extractfile(member)) is not None
                ):
                    contents[name] = file.read()
                if len(contents) == len(wanted):
                    break
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise RecordError(f"{path} is not a tar archive, or is truncated ({error}): download it again") from None
    return PublishedFiles(path, contents)
