"""Measuring a trained network: how well it classifies, how far its confidence can be trusted, and how fast it is."""

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
from nas.training.peers import Peers
from nas.training.recipe import Recipe
from nas.training.step import autocast, best_device, memory_format, to_device

BINS = 15
"""How many bins of confidence the calibration error is taken over, as by Guo et al. 2017."""

Percent = Annotated[float, Range(0, 100)]


@record
class Accuracy:
    """Holds how well images are classified, over all and by class, in the order of the data's classes.

    `loss` is the cross-entropy, without smoothing. The expected calibration error is the mean difference between the
    accuracy and the top probability, over 15 equal bins of that probability (Guo et al. 2017, arXiv:1706.04599, eq. 3).
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
    """Holds how fast a network is used, not trained: at a batch, and one image alone, by the median and the slowest tenth."""

    images_per_second: NonNegative
    batch: Positive
    latency_milliseconds: NonNegative
    latency_p90_milliseconds: NonNegative


@record
class TestResult:
    """The test of a trained network: its accuracy with the raw weights and with their moving average (EMA), and its speed.

    `mean` and `std` normalised the images; `source` says in words which images were tested.
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
        """The accuracy of the weights that are handed over: the moving average's, if there is one."""
        return self.ema or self.raw


@torch.no_grad()
def evaluate(
    model: nn.Module,
    images: Images | Encoded,
    split: Split,
    recipe: Recipe,
    device: torch.device | None = None,
    processes: int | None = None,
    peers: Peers = Peers(),  # noqa: B008, a frozen value
    accumulate: int = 1,
) -> Accuracy:
    """Measure the model on `images`, normalised with the split's mean and deviation.

    Images that cannot be decoded are left out, however many they are, and a warning says how many.

    Puts the model on the device, and leaves its parts in the mode, training or not, in which they were. `processes` is how many
    decode images. Twice the part of a batch that is trained at once, by `accumulate`, is measured at once. Each of the peers
    measures its part of the images, and all return the same. With fewer than five classes the top-5 accuracy is 100.
    Raises RecordError if there are no images, or where an output of the network is no finite number.
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
            f"{broken:,} of {images:,} images cannot be decoded: what is measured is of the other {images - broken:,}",
            stacklevel=3,
        )


def _parts(images: int, batch: int, peers: Peers) -> list[Tensor]:
    """Return the indices of each batch that this process measures; every image is in one batch of one process."""
    share = torch.arange(images).tensor_split(peers.size)[peers.rank]
    return [part for part in torch.split(share, max(1, 2 * batch // peers.size)) if len(part)]


@contextmanager
def _in_evaluation(model: nn.Module) -> Iterator[None]:
    """Put the model into evaluation mode in the block; afterwards each part of it has its own mode again."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@final
class _Sums:
    """What is added up over the images, in float64 on the device; nothing is read back before the end."""

    def __init__(self, classes: int, device: torch.device) -> None:
        zeros = partial(torch.zeros, dtype=torch.float64, device=device)
        self.whole = zeros(3)
        """The losses, how many are right among five, and how many outputs are not finite."""
        self.bins = zeros(BINS, 2)
        """In each bin of confidence how many are right, and the sum of the confidences."""
        self.classes = zeros(classes, 2)
        """Of each class how many there are, and how many are right."""
        self.edges = torch.arange(1, BINS, dtype=torch.float64, device=device) / BINS

    def add(self, logits: Tensor, y: Tensor) -> None:
        """Add a batch: logits (B, classes) of images with labels y, (B,)."""
        logits = logits.float()
        hits = (logits.topk(min(5, logits.shape[1])).indices == y[:, None]).double()
        losses = functional.cross_entropy(logits, y, reduction="none").double()
        is_finite = logits.isfinite().all(1).double()
        self.whole += torch.stack([losses.sum(), hits.sum(), (1 - is_finite).sum()])
        right, confidence = hits[:, 0], logits.softmax(1).amax(1).double()
        bins = functional.one_hot(torch.bucketize(confidence, self.edges), BINS).double()
        self.bins += bins.T @ torch.stack([right, confidence], 1)
        self.classes.index_add_(0, y, torch.stack([torch.ones_like(right), right], 1))

    def over(self, peers: Peers) -> _Sums:
        """Add up what all processes have, in place; returns the same sums."""
        peers.all_reduce_sum([self.whole, self.bins, self.classes])
        return self

    def accuracy(self, expected: int) -> Accuracy:
        """Return the accuracy. Raises RecordError if none of the `expected` images was decoded, or outputs are not finite."""
        class_images, class_right = ([round(each) for each in column] for column in self.classes.T.tolist())
        if not (images := sum(class_images)):
            raise RecordError(f"none of {expected} images could be decoded: give image files that are whole")
        right, confidences = self.bins.unbind(1)
        loss, top5, not_finite = self.whole.tolist()
        if not_finite:
            raise RecordError(
                f"the network's output is NaN or infinite for {round(not_finite):,} of {images:,} images: its weights are of a "
                "training that diverged, or damaged; give others, or train with a smaller rate"
            )
        _warn_of_broken(expected - images, expected)
        return Accuracy(
            top1_percent=100 * sum(class_right) / images,
            top5_percent=100 * round(top5) / images,
            loss=loss / images,
            images=images,
            calibration_error_percent=100 * float((right - confidences).abs().sum()) / images,
            class_images=tuple(class_images),
            class_right=tuple(class_right),
        )


def measure_speed(
    model: nn.Module,
    shape: tuple[int, int, int],
    recipe: Recipe,
    device: torch.device,
    batch: int,
    seconds: float = 1.5,
) -> Speed:
    """Measure how fast the model classifies random images of a shape (C, H, W) that are on the device already.

    Takes about `seconds` for one image and again for a batch. The batch is doubled from one image up to `batch`, as long as a
    round of it fits into that time several times; the batch reached is reported. Leaves the model as `evaluate` does.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.randn((batch, *shape), generator=generator).to(device, memory_format=memory_format(recipe))
    with _in_evaluation(to_device(model, recipe, device)), torch.inference_mode():

        def run(size: int) -> float:
            return _seconds(lambda: model(images[:size]), recipe, device)

        alone = _rounds(lambda: run(1), seconds)
        size, needed = 1, float(alone.median())
        while size < batch and 4 * needed < seconds:
            size = min(2 * size, batch)
            run(size)  # the first time a size is met, memory is allocated and kernels are chosen
            needed = run(size)
        together = _rounds(lambda: run(size), seconds)
    return Speed(
        images_per_second=size / float(together.median()),
        batch=size,
        latency_milliseconds=1000 * float(alone.median()),
        latency_p90_milliseconds=1000 * float(alone.quantile(0.9)),
    )


def _rounds(run: Callable[[], float], seconds: float) -> Tensor:
    """Run until the time is over, once at least, after warming up for a tenth of it; returns the seconds of each round."""
    for share in (0.1, 0.9):
        started, needed = perf_counter(), [run()]
        while perf_counter() - started < share * seconds:
            needed.append(run())
    return torch.tensor(needed, dtype=torch.float64)


def _seconds(run: Callable[[], object], recipe: Recipe, device: torch.device) -> float:
    """Return how long a run takes until the device has finished it."""
    synchronise = torch.cuda.synchronize if device.type == "cuda" else lambda device: None
    synchronise(device)
    started = perf_counter()
    with autocast(recipe, device):
        run()
    synchronise(device)
    return perf_counter() - started
