"""The bubble chart: accuracy on ImageNet against multiply-adds, with parameters as areas, of the networks with a published one.

`make bubbles` writes docs/pictures/imagenet_bubbles.svg. The accuracies and their sources are in tools/imagenet_top1.yaml; the
costs are those of `nas profile`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from nas.drawing.shapes import Box, Figure, Line, Shape, Text
from nas.drawing.svg import to_svg
from nas.family import families
from nas.pareto import fronts
from nas.profiling import profile

ROOT = Path(__file__).resolve().parents[1]

ACCURACIES = ROOT / "tools" / "imagenet_top1.yaml"

PICTURE = ROOT / "docs" / "pictures" / "imagenet_bubbles.svg"

WIDTH, HEIGHT = 860.0, 560.0

MACS = (1.2e7, 8e10)
"""The range of the axis of multiply-adds, which is logarithmic."""

TOP1_PERCENT = (54.0, 89.0)

MEGAPIXELS = 6.0
"""The area of a bubble in pixels for a million parameters."""

ROW = 13.0
"""The height of a label in pixels."""

LANDMARKS = (
    "alexnet:alexnet",
    "squeezenet:squeezenet1_0",
    "vgg:vgg11",
    "vgg:vgg19_bn",
    "resnet:resnet18",
    "googlenet:googlenet",
    "resnet:resnet34",
    "densenet:densenet121",
    "inception:inception_v3",
    "resnet:resnet50",
    "resnet:resnet152",
    "mobilenet:mobilenet_v2",
    "senet:senet154",
    "convnext:convnext_large",
)
"""Networks off the front that are named where there is room; the first ones have the choice."""


@dataclass(frozen=True, slots=True)
class Bubble:
    """A network: its name, its accuracy, and its costs."""

    name: str
    top1_percent: float
    macs: int
    params: int

    @property
    def x(self) -> float:
        low, high = map(math.log, MACS)
        return WIDTH * (math.log(self.macs) - low) / (high - low)

    @property
    def y(self) -> float:
        low, high = TOP1_PERCENT
        return HEIGHT * (high - self.top1_percent) / (high - low)

    @property
    def radius(self) -> float:
        return math.sqrt(self.params / 1e6 * MEGAPIXELS / math.pi)


def published() -> dict[str, float]:
    """Return the published top-1 accuracies, in percent, by the name of the network."""
    listed = yaml.safe_load(ACCURACIES.read_text("utf-8"))
    return {name: each for source in listed.values() for name, each in source["top1_percent"].items()}


def bubbles() -> list[Bubble]:
    """Return every network with a published accuracy. Profiles them, which takes some seconds."""
    found = []
    for name, top1_percent in published().items():
        family, _, member = name.partition(":")
        known = families()[family]
        costs = profile(known.network(known.published[member]), known.input_of(member))
        found.append(Bubble(name, top1_percent, costs.macs, costs.params))
    return found


def front(found: Iterable[Bubble]) -> list[Bubble]:
    """Return the networks to which no other is superior in accuracy and multiply-adds, by their multiply-adds."""
    known = list(found)
    best = fronts([(each.top1_percent, -each.macs) for each in known])[0]
    return sorted((known[i] for i in best), key=lambda each: each.macs)


def picture(found: Sequence[Bubble]) -> str:
    """Return the chart as SVG; the names are those of the networks on the front and, paler, of the landmarks."""
    on_front = front(found)
    rest = [each for each in found if each not in on_front]
    ordered = sorted(rest, key=lambda each: -each.params) + sorted(on_front, key=lambda each: -each.params)
    circles = [_circle(each, "bar" if each in on_front else "frame") for each in ordered]
    key, labels = list(_key()), list(_labels(on_front))
    shapes = [*_axes(), *circles, *labels, *_landmarks(rest, found, [*labels, *key]), *key]
    return to_svg(Figure(WIDTH + 30, HEIGHT + 44, 0, tuple(each.moved(30, 10) for each in shapes)))


def _circle(each: Bubble, role: str) -> Box:
    size = 2 * each.radius
    title = f"{each.name}: {each.top1_percent:.1f} %, {each.macs / 1e9:.2f} G, {each.params / 1e6:.1f} M parameters"
    return Box(each.x - each.radius, each.y - each.radius, size, size, role, each.radius, title=title)


def _labels(on_front: Sequence[Bubble]) -> Iterator[Shape]:
    """Yield a name for each bubble, to its upper left, raised until it overlaps no other; a line joins it to its bubble."""
    taken: list[tuple[float, float, float]] = []
    for each in on_front:
        text = each.name.partition(":")[2]
        label = Text(each.x, each.y - each.radius - ROW, text, "ink", 11, "end")
        while any(abs(y - label.y) < ROW and left < label.x + 4 and label.left < right + 4 for left, right, y in taken):
            label = label.moved(0, -2)
        taken.append((label.left, label.x, label.y))
        yield Line(((each.x, each.y - each.radius), (each.x, label.y + ROW / 2)))
        yield label


def _landmarks(rest: Sequence[Bubble], found: Sequence[Bubble], shapes: Iterable[Shape]) -> Iterator[Text]:
    """Yield the name of each landmark, below its bubble or beside it, where it overlaps no bubble and no label."""
    known = {each.name: each for each in rest}
    labels = [each for each in shapes if isinstance(each, Text)]
    for each in (known[name] for name in LANDMARKS if name in known):
        text, out = each.name.partition(":")[2], each.radius
        below = Text(each.x, each.y + out + ROW * 0.6, text, "pale", 10, "middle")
        right = Text(each.x + out + 4, each.y, text, "pale", 10)
        left = Text(each.x - out - 4, each.y, text, "pale", 10, "end")
        free = (label for label in (below, right, left) if not _is_taken(label, found, labels))
        if (label := next(free, None)) is not None:
            labels.append(label)
            yield label


def _is_taken(label: Text, found: Iterable[Bubble], labels: Iterable[Text]) -> bool:
    """Return whether a label overlaps a bubble or another label, or leaves the chart."""
    right = label.left + label.width
    if right > WIDTH + 20 or any(
        abs(other.y - label.y) < ROW - 2 and other.left < right + 4 and label.left < other.left + other.width + 4
        for other in labels
    ):
        return True
    # the point of the label that is nearest to the middle of a bubble
    nearest = (
        (each, min(max(each.x, label.left), right), min(max(each.y, label.y - 5), label.y + 5)) for each in found
    )
    return any(math.dist((x, y), (each.x, each.y)) < each.radius + 1 for each, x, y in nearest)


def _axes() -> Iterator[Shape]:
    for exponent in range(7, 11):
        for factor in (1, 2, 5):
            macs = factor * 10**exponent
            if MACS[0] <= macs <= MACS[1]:
                x = Bubble("", 0, macs, 0).x
                yield Line(((x, HEIGHT), (x, HEIGHT + 5)))
                yield Text(x, HEIGHT + 14, f"{macs / 1e9:g}", "pale", 11, "middle")
    for percent in range(55, 90, 5):
        y = Bubble("", percent, 1, 0).y
        yield Box(0, y, WIDTH, 1, "track", 0)
        yield Text(-6, y, str(percent), "pale", 11, "end")
    yield Text(-30, -4, "top-1 accuracy on ImageNet, %", "pale", 11)
    yield Text(WIDTH, HEIGHT + 32, "multiply-adds of one image, billions", "pale", 11, "end")


def _key() -> Iterator[Shape]:
    """Yield three bubbles with their numbers of parameters."""
    x = WIDTH - 330
    for millions in (5, 25, 100):
        each = Bubble("", 0, 1, millions * 10**6)
        x += each.radius
        yield Box(x - each.radius, HEIGHT - 40 - each.radius, 2 * each.radius, 2 * each.radius, "frame", each.radius)
        yield Text(x + each.radius + 6, HEIGHT - 40, f"{millions} M", "pale", 11)
        x += each.radius + 50
    yield Text(x, HEIGHT - 40, "parameters", "pale", 11)


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(picture(bubbles()), encoding="utf-8")


if __name__ == "__main__":
    main()
