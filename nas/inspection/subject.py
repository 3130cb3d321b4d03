"""Subject: the trained network that is inspected, with test images and what it answers to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.data import Images, normalise
from nas.data.base import stratified_order
from nas.data.encoded import Encoded
from nas.data.feed import load_batches
from nas.records import RecordError

# Shapes: N images, C channels, H and W height and width, K classes.

BATCH = 64
"""The number of images in one forward pass."""

SAMPLES = 4
"""The number of images that the methods about single images show."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A network in evaluation mode, its images, their numbers in the test set, and its logits, (N, K).

    `samples` are the places, among the images, of those that the methods about single images show.
    """

    model: nn.Module
    images: Images
    numbers: tuple[int, ...]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    logits: Tensor
    samples: tuple[int, ...]

    @property
    def predicted(self) -> Tensor:
        """The predicted class of each image, (N,)."""
        return self.logits.argmax(1)

    @property
    def probabilities(self) -> Tensor:
        """The probability of each class, (N, K)."""
        return self.logits.softmax(1)

    def inputs(self, places: Sequence[int] | slice) -> Tensor:
        """Return normalised images (B, C, H, W) on the network's device."""
        x = self.images.x[places if isinstance(places, slice) else list(places)]
        return normalise(x, self.mean, self.std).to(device_of(self.model))

    def batches(self) -> Iterator[Tensor]:
        """Yield all images, normalised, in batches."""
        for start in range(0, len(self.images), BATCH):
            yield self.inputs(slice(start, start + BATCH))

    def picture(self, place: int) -> Tensor:
        """Return an image as its reader sees it: (C, H, W) from 0 to 1, with 1 or 3 channels; others are averaged."""
        return visible(self.images.x[place].float() / 255)

    def denormalised(self, x: Tensor) -> Tensor:
        """Return a normalised image (C, H, W) as its reader sees it, cut off at 0 and 1."""
        mean, std = (torch.tensor(each, device=x.device).view(-1, 1, 1) for each in (self.mean, self.std))
        return visible((x * std + mean).clamp(0, 1).cpu())

    def described(self, place: int) -> str:
        """Return in words what the network takes an image for, and what it is."""
        label, predicted = int(self.images.y[place]), int(self.predicted[place])
        sure = f"{100 * float(self.probabilities[place, predicted]):.0f} %"
        if label == predicted:
            return f"{self.classes[label]}, {sure}"
        return f"{self.classes[predicted]}, {sure}; is {self.classes[label]}"


def visible(image: Tensor) -> Tensor:
    """Return an image (C, H, W) with 1 or 3 channels; those of another number are averaged."""
    return image if image.shape[0] in (1, 3) else image.mean(0, keepdim=True)


def device_of(model: nn.Module) -> torch.device:
    """Return the device of a network's weights."""
    return next((each.device for each in model.parameters()), torch.device("cpu"))


def make_subject(
    model: nn.Module,
    test: Images | Encoded,
    classes: tuple[str, ...],
    statistics: tuple[tuple[float, ...], tuple[float, ...]],
    count: int,
    sample: int | None = None,
) -> Subject:
    """Return the subject of a network and `count` test images, in which the classes have their proportions.

    `statistics` are the mean and standard deviation to normalise with. The network is put into evaluation mode, and its
    weights need no gradient any more. The samples are correctly classified images of different classes; or image `sample` of
    the test set alone. Raises RecordError where there is no such image.
    """
    if not len(test):
        raise RecordError("there are no test images to inspect the network with: give some by --on")
    if sample is not None and not 0 <= sample < len(test):
        raise RecordError(f"there is no test image {sample}: give 0 to {len(test) - 1}")
    model.eval().requires_grad_(False)
    order = stratified_order(test.y.cpu(), 0)[:count].sort().values.tolist()
    numbers = order if sample is None or sample in order else sorted([*order, sample])
    images, numbers = _loaded(test, numbers)
    if sample is not None and sample not in numbers:
        raise RecordError(f"test image {sample} cannot be decoded: give another")
    blank = Subject(model, images, tuple(numbers), classes, *statistics, torch.empty(0), ())
    with torch.no_grad():
        logits = torch.cat([model(batch).float().cpu() for batch in blank.batches()])
    if not logits.isfinite().all():
        raise RecordError("the network's output is NaN or infinite: its weights are damaged, or its training diverged")
    samples = _samples(logits, images.y) if sample is None else (numbers.index(sample),)
    return Subject(model, images, tuple(numbers), classes, *statistics, logits, samples)


def _loaded(test: Images | Encoded, numbers: list[int]) -> tuple[Images, list[int]]:
    """Return the test images at some numbers, in memory, and the numbers of those that could be decoded."""
    cpu = torch.device("cpu")
    if isinstance(test, Images):
        return test.at(torch.tensor(numbers)).to(cpu), numbers
    found, kept = [], []
    for number in numbers:  # one by one: a batch does not say which of its images were left out as broken
        for image in load_batches(test.at(torch.tensor([number])), [torch.tensor([0])], cpu, None, 0):
            found.append(image)
            kept.append(number)
    if not found:
        raise RecordError(f"none of {len(numbers)} images could be decoded: give intact image files")
    return Images(torch.cat([each.x for each in found]), torch.cat([each.y for each in found])), kept


def _samples(logits: Tensor, y: Tensor) -> tuple[int, ...]:
    """Return the first correctly classified image of each of some classes; any images where there are too few."""
    right = (logits.argmax(1) == y).nonzero().flatten().tolist()
    first = {int(y[place]): place for place in reversed(right)}
    chosen = [first[label] for label in sorted(first)]
    spread = [chosen[i * len(chosen) // min(SAMPLES, len(chosen))] for i in range(min(SAMPLES, len(chosen)))]
    others = [place for place in range(len(y)) if place not in spread]
    return (*spread, *others[: max(0, SAMPLES - len(spread))])


def depths(model: nn.Module, most: int | None = None) -> dict[str, nn.Module]:
    """Return the parts of a network from its input to its head, by name; of more than `most`, an even selection."""
    layers = getattr(model, "layers", None)
    if isinstance(layers, nn.ModuleList) and isinstance(getattr(model, "stem", None), nn.Module):
        known = {"stem": model.get_submodule("stem"), **{f"layers.{i}": each for i, each in enumerate(layers)}}
    else:
        known = dict(model.named_children()) or {"": model}
    names = list(known)
    if most is not None and len(names) > most:
        names = [names[round(i * (len(names) - 1) / (most - 1))] for i in range(most)]
    return {name: known[name] for name in names}


@contextmanager
def watched(parts: dict[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Yield a dictionary in which each forward pass leaves the map (B, C, H, W) of each part; other outputs are left out.

    The parts hand on a copy, so that a later operation in place does not change what is seen, nor its gradient.
    """
    maps: dict[str, Tensor] = {}

    def keep(name: str, output: object) -> object:
        if not isinstance(output, Tensor) or output.dim() != 4:
            return output
        maps[name] = output
        return output.clone()

    hooks = [
        part.register_forward_hook(lambda _, __, output, name=name: keep(name, output)) for name, part in parts.items()
    ]
    try:
        yield maps
    finally:
        for hook in hooks:
            hook.remove()


def maps_of(subject: Subject, x: Tensor, most: int | None = None) -> dict[str, Tensor]:
    """Return the maps (B, C, H, W) of the parts of a network for normalised images, by name, without gradients."""
    with torch.no_grad(), watched(depths(subject.model, most)) as maps:
        subject.model(x)
    return dict(maps)
