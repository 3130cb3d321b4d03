"""Evaluation of a trained network: its accuracy, the calibration of its confidence, and its speed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import Annotated, ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.data import Images, Split, normalise
from nas.data.encoded import Encoded
from nas.data.feed import load_batches
from nas.records import Natural, NonNegative, Positive, Range, RecordError, record
from nas.training.calibration import BINS, calibration_of, count_by_confidence
from nas.training.peers import Peers
from nas.training.recipe import BaseRecipe
from nas.training.step import autocast, best_device, memory_format, to_device

Percent = Annotated[float, Range(0, 100)]


@record
class Accuracy:
    """The accuracy on a set of images, in total and by class, in the order of the data's classes.

    `loss` is the cross-entropy, without label smoothing. The expected calibration error is the mean difference between
    the accuracy and the top probability, over 15 equal bins of that probability (Guo et al. 2017, arXiv:1706.04599, eq.
    3).
    """

    top1_percent: Percent
    top5_percent: Percent
    loss: float
    images: Positive
    calibration_error_percent: float
    class_images: tuple[Natural, ...]
    class_right: tuple[Natural, ...]


@record
class Speed:
    """The inference speed of a network: throughput on a batch, and latency of a single image.

    Latency is the median, and the 90th percentile.
    """

    images_per_second: NonNegative
    batch: Positive
    latency_milliseconds: NonNegative
    latency_p90_milliseconds: NonNegative


@record
class TestResult:
    """The test of a trained network: its speed, and its accuracy with raw weights and with their moving average (EMA).

    `mean` and `std` normalised the images; `source` describes in words which images were tested.
    """

    formerly: ClassVar = ("Measured",)

    classes: tuple[str, ...]
    raw: Accuracy
    ema: Accuracy | None = None
    speed: Speed | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    source: str = ""

    @property
    def decisive(self) -> Accuracy:
        """The accuracy of the weights that are exported: of the moving average, if there is one."""
        return self.ema or self.raw


@torch.no_grad()
def evaluate(
    model: nn.Module,
    images: Images | Encoded,
    split: Split,
    recipe: BaseRecipe,
    device: torch.device | None = None,
    processes: int | None = None,
    peers: Peers = Peers(),  # noqa: B008, a frozen value
    accumulate: int = 1,
) -> Accuracy:
    """Evaluate the model on `images`, normalised with the split's mean and standard deviation.

    Images that cannot be decoded are left out, however many there are, and counted in a warning. The model is moved to
    the device; each of its modules keeps its mode, training or not. `processes` is the number of decoding processes. The
    evaluation batch is twice the part of a batch that is trained at once, given `accumulate`. Each rank evaluates its
    share of the images, and all ranks return the same result. With fewer than five classes the top-5 accuracy is 100.

    Raises RecordError if there are no images, or where an output of the network is not finite.
    """
    if not len(images):
        raise RecordError("there are no images to evaluate on: give the split a validation part")
    device = device or best_device()
    sums = _Sums(len(split.classes), device)
    with _in_evaluation(to_device(model, recipe, device)):
        batches = load_batches(images, _parts(len(images), recipe.batch // accumulate, peers), device, None, processes)
        for batch in batches:
            x = normalise(batch.x, split.mean, split.std).contiguous(memory_format=memory_format(recipe))
            with autocast(recipe, device):
                output = model(x)
            sums.add(output[0] if isinstance(output, tuple) else output, batch.y)
    return sums.over(peers).accuracy(len(images))


def _warn_of_broken(broken: int, images: int) -> None:
    if broken:
        warnings.warn(
            f"{broken:,} of {images:,} images cannot be decoded: the results are those of the other {images - broken:,}",
            stacklevel=3,
        )


def _parts(images: int, batch: int, peers: Peers) -> list[Tensor]:
    """Return the indices of each batch that this rank evaluates; every image is in one batch of one rank."""
    share = torch.arange(images).tensor_split(peers.size)[peers.rank]
    return [part for part in torch.split(share, max(1, 2 * batch // peers.size)) if len(part)]


@contextmanager
def _in_evaluation(model: nn.Module) -> Iterator[None]:
    """Put the model into evaluation mode within the block; afterwards the mode of each module is restored."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@final
class _Sums:
    """Sums over the evaluated images, in float64 on the device; nothing is read back before the end."""

    def __init__(self, classes: int, device: torch.device) -> None:
        zeros = partial(torch.zeros, dtype=torch.float64, device=device)
        self.whole = zeros(3)
        """Sum of losses, number of images correct in the top 5, number of outputs that are not finite."""
        self.bins = zeros(BINS, 3)
        """For each confidence bin the number of images and of correct ones, and the sum of confidences."""
        self.classes = zeros(classes, 2)
        """For each class the number of images, and the number of correct ones."""

    def add(self, logits: Tensor, y: Tensor) -> None:
        """Add a batch: logits (B, classes) of images with labels y, (B,)."""
        logits = logits.float()
        # (B, 5 or fewer), at most one true per row; column 0 is the top-1 prediction
        hits = (logits.topk(min(5, logits.shape[1])).indices == y[:, None]).double()
        losses = functional.cross_entropy(logits, y, reduction="none").double()
        is_finite = logits.isfinite().all(1).double()
        self.whole += torch.stack([losses.sum(), hits.sum(), (1 - is_finite).sum()])
        self.bins += count_by_confidence(logits, hits[:, 0])
        self.classes.index_add_(0, y, torch.stack([torch.ones_like(hits[:, 0]), hits[:, 0]], 1))

    def over(self, peers: Peers) -> _Sums:
        """Sum over all ranks, in place; returns itself."""
        peers.all_reduce_sum([self.whole, self.bins, self.classes])
        return self

    def accuracy(self, expected: int) -> Accuracy:
        """Return the accuracy.

        Raises RecordError if none of the `expected` images was decoded, or if outputs are not finite.
        """
        class_images, class_right = ([round(each) for each in column] for column in self.classes.T.tolist())
        if not (images := sum(class_images)):
            raise RecordError(f"none of {expected} images could be decoded: give intact image files")
        loss, top5, not_finite = self.whole.tolist()
        if not_finite:
            raise RecordError(
                f"the network's output is NaN or infinite for {round(not_finite):,} of {images:,} images: its weights "
                "are damaged, or from a training that diverged: give others, or train with a lower learning rate"
            )
        _warn_of_broken(expected - images, expected)
        return Accuracy(
            top1_percent=100 * sum(class_right) / images,
            top5_percent=100 * round(top5) / images,
            loss=loss / images,
            images=images,
            calibration_error_percent=calibration_of(self.bins).error_percent,
            class_images=tuple(class_images),
            class_right=tuple(class_right),
        )


def measure_speed(
    model: nn.Module,
    shape: tuple[int, int, int],
    recipe: BaseRecipe,
    device: torch.device,
    batch: int,
    seconds: float = 1.5,
) -> Speed:
    """Measure the inference speed of the model on random images of shape (C, H, W) that are on the device already.

    Takes about `seconds` for single images and again for batches. The batch is doubled from one image up to `batch`, as
    long as several forward passes of it fit into that time; the batch reached is reported. Leaves the model as `evaluate`
    does.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.randn((batch, *shape), generator=generator).to(device, memory_format=memory_format(recipe))
    with _in_evaluation(to_device(model, recipe, device)), torch.inference_mode():

        def run(size: int) -> float:
            return _seconds(lambda: model(images[:size]), recipe, device)

        alone = _rounds(lambda: run(1), seconds)
        size, needed = 1, float(alone.median())
        # the next size takes about twice as long: two passes of it should fit
        while size < batch and 4 * needed < seconds:
            size = min(2 * size, batch)
            run(size)  # warm-up: at a new size memory is allocated and kernels are chosen
            needed = run(size)
        together = _rounds(lambda: run(size), seconds)
    return Speed(
        images_per_second=size / float(together.median()),
        batch=size,
        latency_milliseconds=1000 * float(alone.median()),
        latency_p90_milliseconds=1000 * float(alone.quantile(0.9)),
    )


def _rounds(run: Callable[[], float], seconds: float) -> Tensor:
    """Run repeatedly for `seconds`, at least once, after a warm-up of a tenth of it; returns the seconds of each run."""
    for share in (0.1, 0.9):
        started, needed = perf_counter(), [run()]
        while perf_counter() - started < share * seconds:
            needed.append(run())
    return torch.tensor(needed, dtype=torch.float64)


def _seconds(run: Callable[[], object], recipe: BaseRecipe, device: torch.device) -> float:
    """Return the seconds of a run, until the device has finished it."""
    synchronise = torch.cuda.synchronize if device.type == "cuda" else lambda device: None
    synchronise(device)  # GPU calls return before the work is done: wait for earlier work, and below for this
    started = perf_counter()
    with autocast(recipe, device):
        run()
    synchronise(device)
    return perf_counter() - started
