"""The index of a folder of images as large as ImageNet: seconds and memory for 10,000, 100,000 and more names.

The files are empty, in 1,000 classes, with names as long as ImageNet's: listing opens none. Each size is listed by a process of
its own. Making 1.3 million files takes a minute or two, and removing them as long.

    python tests/benchmarks/image_index.py [most images]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _timing import report

from nas.data import ImageFiles
from nas.data.layout import list_images

CLASSES = 1000


def make(root: Path, first: int, last: int) -> None:
    """Make the empty files with numbers from `first` to `last`."""
    for i in range(first, last):
        folder = root / f"n{i % CLASSES:08}"
        folder.mkdir(exist_ok=True)
        (folder / f"n{i % CLASSES:08}_{i}.JPEG").touch()


def listed(root: Path) -> None:
    """Print the CPU seconds and MB that the index of a folder takes in this process."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    images = ImageFiles(str(root))._read(list_images(root).train)
    seconds = time.process_time() - began
    print(len(images), seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def main(most: int = 100_000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, made = Path(folder), 0
        for size in sorted({*(each for each in (10_000, 100_000) if each < most), most}):
            make(root, made, size)
            made = size
            code = f"from image_index import *; listed(Path({folder!r}))"
            done = subprocess.run(
                [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
            )
            images, seconds, megabytes = map(float, done.stdout.split())
            assert images == size, done
            report(f"index of {size:,} images", seconds, "CPU s", "-")
            report(f"index of {size:,} images: memory at its peak", megabytes, "MiB", "-")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
