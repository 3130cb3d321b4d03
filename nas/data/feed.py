"""The batches of an epoch, in order, on the device; encoded images are decoded by worker processes.

On Linux workers are forked: a fork starts in milliseconds, shares the source's memory, and works in a script without a
main guard; a fork server or a spawned process does not. A worker never uses the GPU nor more than one thread, and its
imports are done before the fork, so it cannot wait for a lock that another thread holds. A worker dies with the thread
that started it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, final

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nas.data.base import Images
from nas.data.crops import Cut, RandomCrop, central_cut
from nas.data.decode import decode, has_simplejpeg
from nas.data.encoded import Encoded, Source, tolerated_images
from nas.data.libraries import optional
from nas.data.pixels import Pixels, Undecodable
from nas.data.processors import processors
from nas.preprocessing import Interpolation
from nas.records import RecordError

__all__ = ["BatchLoader", "RandomCrop", "load_batches", "near", "processors"]

NAMED = 3
"""The number of broken images that an error names."""

PR_SET_PDEATHSIG = 1
"""An option of Linux's prctl: the signal that a process gets when its parent dies."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Options of glibc's mallopt: by default the pages of every image are returned to the system.

Getting them again takes a third of the time.
"""


def load_batches(
    images: Images | Encoded,
    parts: Sequence[Tensor],
    device: torch.device,
    crop: RandomCrop | None = None,
    processes: int | None = None,
    sharers: int = 1,
) -> BatchLoader:
    """Return the batches of images of each part, int64 (B,) on the CPU, in order, on the device.

    Encoded images are decoded by `processes` worker processes, by default one per available CPU; 0 decodes in this
    process. The batches are the same for any number. With `crop` a random crop of each image is scaled to (channels,
    size, size), without it a central one.

    An image that cannot be decoded is named in a warning. With `crop` it is replaced by the next intact one of the batch.
    If then more than the tolerated number of images are broken (equally divided among `sharers` ranks), the next batch
    raises RecordError. Without `crop` it is left out, however many there are; so is a batch without an intact image.
    """
    if isinstance(images, Images):
        return BatchLoader(_from_memory(images, parts, device), _Broken(0, is_limited=False))
    broken = _Broken(tolerated_images(len(images), images.tolerated) / sharers, is_limited=crop is not None)
    workers = min(processors() if processes is None else processes, len(parts))
    return BatchLoader(_to_device(_decoded(images, parts, crop, workers, device, broken), device), broken)


def near(images: Images | Encoded, device: torch.device) -> Images | Encoded:
    """Return images held in memory moved to the device; encoded ones unchanged."""
    return images.to(device) if isinstance(images, Images) else images


@final
class BatchLoader(Iterator[Images]):
    """An iterator over batches of images, uint8 (B, C, H, W), on the device; closing or deleting it ends its workers."""

    def __init__(self, batches: Iterator[Images], broken: _Broken) -> None:
        self._batches, self._broken = batches, broken

    @property
    def broken(self) -> int:
        """The number of images that could not be decoded so far."""
        return len(self._broken.names)

    def __next__(self) -> Images:
        return next(self._batches)

    def close(self) -> None:
        """End the worker processes; afterwards there are no more batches."""
        self._batches = iter(())


@final
@dataclass(frozen=True, slots=True)
class _Broken:
    """The images that could not be decoded."""

    tolerated: float
    is_limited: bool
    names: list[str] = field(default_factory=list)

    def add(self, images: Encoded, number: int, reason: str) -> None:
        """Add an image. Raises RecordError if more are broken than tolerated."""
        self.names.append(name := images.source.name(number))
        if len(self.names) <= self.tolerated:
            warnings.warn(f"{name} cannot be decoded ({reason}): repair or remove it", stacklevel=2)
            return
        if not self.is_limited:
            return
        named = ", ".join(self.names[-NAMED:])
        raise RecordError(
            f"{len(self.names)} of {len(images)} images cannot be decoded, and {images.tolerated:.2%} are tolerated; the "
            f"last: {named} ({reason}): repair or remove them, or raise `tolerated`"
        )


def _from_memory(images: Images, parts: Sequence[Tensor], device: torch.device) -> Iterator[Images]:
    for part in parts:
        yield images.at(part.to(images.y.device, non_blocking=True)).to(device)


def _decoded(
    images: Encoded,
    parts: Sequence[Tensor],
    crop: RandomCrop | None,
    workers: int,
    device: torch.device,
    broken: _Broken,
) -> Iterator[Images]:
    """Yield the batches in memory, pinned for a GPU."""
    for part, (x, failures) in zip(parts, _loader(images, parts, crop, workers, device), strict=True):
        y = images.y[part]
        for place, reason in failures:
            broken.add(images, int(images.numbers[part[place]]), reason)
        if failures:
            sound = _sound(len(part), {place for place, _ in failures}, crop is not None)
            x, y = x[sound], y[sound]
        if len(y):
            yield Images(x, y.pin_memory() if device.type == "cuda" else y)


def _sound(images: int, failed: set[int], replace: bool) -> Tensor:
    """Return the indices of the intact images; with `replace`, each broken one is replaced by the next intact one."""
    sound = [place for place in range(images) if place not in failed]
    if not replace:
        return torch.tensor(sound, dtype=torch.int64)
    if not sound:
        raise RecordError(f"all {images} images of a batch cannot be decoded: repair or remove them")
    return torch.tensor([next((each for each in sound if each >= place), sound[0]) for place in range(images)])


def _loader(
    images: Encoded, parts: Sequence[Tensor], crop: RandomCrop | None, workers: int, device: torch.device
) -> DataLoader[tuple[Tensor, list[tuple[int, str]]]]:
    optional("PIL.ImageOps", "Pillow").Image.init()  # once, before the fork, and not in each worker
    jobs = ((part.numpy(), images.numbers[part].numpy()) for part in parts)
    return DataLoader(
        _Decoding(
            images.source, crop, images.size, images.centre, images.pixels, has_simplejpeg(), images.interpolation
        ),
        sampler=jobs,
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=workers,
        multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
        worker_init_fn=partial(_begin, os.getpid()),
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # otherwise a seed is drawn from the global generator
    )


@final
@dataclass(frozen=True, slots=True)
class _Decoding(Dataset[tuple[Tensor, list[tuple[int, str]]]]):
    """The decoding of batches, as run by each worker."""

    source: Source
    crop: RandomCrop | None
    size: int
    centre: float
    pixels: Pixels
    fast: bool
    interpolation: Interpolation

    def __getitem__(self, job: Any) -> tuple[Tensor, list[tuple[int, str]]]:
        """Return the images, uint8 (B, channels, size, size), and the index of each broken one, with the reason.

        A job has the images' indices in the data set, which seed their crops, and their numbers in the source.
        """
        x = _shared(len(job[0]), self.size, self.size, self.pixels.channels).permute(0, 3, 1, 2)
        broken = []
        for place, (image, number) in enumerate(zip(*(each.tolist() for each in job), strict=True)):
            try:
                data, choose = self.source.read(number), partial(self._cut, image)
                x[place] = decode(data, choose, self.size, self.fast, self.pixels, self.interpolation)
            except (OSError, Undecodable) as error:
                broken.append((place, str(error)))
        return x, broken

    def _cut(self, image: int, width: int, height: int) -> Cut:
        if self.crop is None:
            return central_cut(width, height, self.size, self.centre)
        return self.crop.cut(image, width, height, self.size)


def _shared(*shape: int) -> Tensor:
    """Return uint8 memory shared between processes, so that a batch is not copied on its way."""
    shared: Tensor = torch.empty(shape, dtype=torch.uint8).share_memory_()  # type: ignore[no-untyped-call]
    return shared


def _as_it_is(batch: Any) -> Any:
    return batch


def _begin(parent: int, _: int) -> None:
    """Set up a worker: it dies with its parent, ignores warnings about odd files, and keeps freed memory."""
    warnings.simplefilter("ignore")
    if sys.platform == "linux":
        system = ctypes.CDLL(None)  # the C library of this process
        system.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # the parent may have died before prctl was called
        if os.getppid() != parent:
            os._exit(1)
        if hasattr(system, "mallopt"):
            system.mallopt(M_MMAP_THRESHOLD, 2**25)
            system.mallopt(M_TRIM_THRESHOLD, 2**28)


def _to_device(batches: Iterator[Images], device: torch.device) -> Iterator[Images]:
    """Yield each batch on the device; copies to a GPU overlap with its computations."""
    if device.type != "cuda":
        yield from (batch.to(device) for batch in batches)
        return
    side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    for batch in batches:
        now = torch.cuda.current_stream(device)
        with torch.cuda.stream(side):
            x, y = (each.to(device, non_blocking=True) for each in (batch.x, batch.y))
        # The copy runs on a side stream. record_stream keeps its memory from being reused while `now` reads it.
        now.wait_stream(side)
        for each in (x, y):
            each.record_stream(now)
        yield Images(x, y)
