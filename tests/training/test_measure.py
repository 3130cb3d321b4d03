"""Measuring a network: each number by its definition, the same from several processes as from one, and nothing left changed."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import torch
from torch import Tensor, distributed, nn

from nas.data import Digits, Images, Split
from nas.data.encoded import Encoded, Source
from nas.plain import read, write
from nas.records import RecordError
from nas.training import measure
from nas.training.measure import Accuracy, Speed, evaluate, measure_speed
from nas.training.measure import TestResult as Measured
from nas.training.peers import Peers
from nas.training.recipe import Recipe

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
Answer = tuple[Sequence[Sequence[float]], Sequence[int]]


@final
class Table(nn.Module):
    """Gives each image the logits of the row that its first pixel names, and notes which rows were asked for."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits, self.seen = nn.Parameter(logits), list[int]()

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        assert len(x) > 0
        rows = (x[:, 0, 0, 0] * 255).round().long()
        self.seen += rows.tolist()
        return self.logits[rows], None


def numbered(labels: Sequence[int], classes: int) -> Split:
    """Return images whose one pixel is their number."""
    x = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1)
    images = Images(x, torch.tensor(labels))
    return Split("", Digits(), images, images, tuple(map(str, range(classes))), (0.0,), (1.0,))


def measured(logits: Tensor, labels: Sequence[int], batch: int = 3, peers: Peers = Peers()) -> Accuracy:  # noqa: B008
    given = numbered(labels, logits.shape[1])
    return evaluate(Table(logits), given.validation, given, Recipe(batch=batch), CPU, None, peers)


def drawn(images: int, classes: int, seed: int = 0) -> tuple[Tensor, list[int]]:
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (images,), generator=rng).tolist()
    return 2 * torch.randn(images, classes, generator=rng), labels


def of_confidence(*confidences: float) -> Tensor:
    """Return logits of two classes that give the first of them these probabilities."""
    return torch.tensor([[np.log(each), np.log(1 - each)] for each in confidences], dtype=torch.float32)


# -------------------------------------------------------------------------------------------------------- definitions


def by_definition(logits: Tensor, labels: Sequence[int]) -> dict[str, float]:
    """Compute image by image what `evaluate` adds up."""
    right = among_five = loss = 0.0
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(15)]
    for row, label in zip(logits.double().numpy(), labels, strict=True):
        probabilities = np.exp(row) / np.exp(row).sum()
        order = list(np.argsort(-row))
        right += order[0] == label
        among_five += label in order[:5]
        loss -= float(np.log(probabilities[label]))
        top = probabilities[order[0]]
        (place,) = (m for m in range(15) if m / 15 < top <= (m + 1) / 15)
        bins[place].append((top, order[0] == label))
    error = 0.0
    for held in filter(None, bins):
        confidence, accuracy = np.mean([top for top, _ in held]), np.mean([hit for _, hit in held])
        error += len(held) / len(labels) * abs(float(accuracy - confidence))
    return {
        "top1_percent": 100 * right / len(labels),
        "top5_percent": 100 * among_five / len(labels),
        "loss": loss / len(labels),
        "calibration_error_percent": 100 * error,
    }


@pytest.mark.parametrize(("images", "classes"), [(200, 10), (1, 10), (50, 2), (120, 7)])
def test_each_number_is_what_its_definition_says(images: int, classes: int) -> None:
    logits, labels = drawn(images, classes)
    found = measured(logits, labels)
    expected = by_definition(logits, labels)
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected, rel=1e-5)
    assert found.images == images
    assert found.class_images == tuple(labels.count(each) for each in range(classes))
    guesses = logits.argmax(1).tolist()
    hits = [label for label, guess in zip(labels, guesses, strict=True) if label == guess]
    assert found.class_right == tuple(hits.count(each) for each in range(classes))


def test_confidence_that_is_as_often_right_as_it_says_is_calibrated() -> None:
    found = measured(of_confidence(*[0.75] * 8, *[0.9] * 10), [0] * 6 + [1] * 2 + [0] * 9 + [1])
    assert found.calibration_error_percent == pytest.approx(0, abs=1e-4)
    assert found.top1_percent == pytest.approx(100 * 15 / 18)


def test_being_sure_and_wrong_is_the_largest_error() -> None:
    found = measured(torch.tensor([[100.0, 0.0]] * 5), [1] * 5)
    assert (found.calibration_error_percent, found.top1_percent, found.loss) == (100, 0, 100)
    found = measured(torch.tensor([[100.0, 0.0]] * 5), [0] * 5)
    assert (found.calibration_error_percent, found.top1_percent, found.loss) == (0, 100, 0)


def test_errors_cancel_within_a_bin_and_not_between_bins() -> None:
    assert measured(of_confidence(0.75, 0.75), [0, 1]).calibration_error_percent == pytest.approx(25)
    # 0.55 lies in the ninth bin, 0.95 in the fifteenth: one is too modest by 0.45, the other too bold by 0.95.
    assert measured(of_confidence(0.55, 0.95), [0, 1]).calibration_error_percent == pytest.approx(70)
    # 0.81 and 0.86 share the thirteenth bin: 1.67 was promised, 1 is right.
    assert measured(of_confidence(0.81, 0.86), [0, 1]).calibration_error_percent == pytest.approx(33.5)


def test_with_fewer_than_five_classes_one_of_five_is_always_right() -> None:
    assert measured(*drawn(20, 4)).top5_percent == 100
    assert measured(-torch.eye(6), range(6)).top5_percent == 0
    assert measured(-torch.eye(6), range(6)).top1_percent == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_diverged_are_an_error_and_no_accuracy(value: float) -> None:
    logits, labels = drawn(6, 3)
    logits[1], logits[4, 2] = value, value
    with pytest.raises(
        RecordError, match="the network's output is NaN or infinite for 2 of 6 images: its weights are damaged"
    ):
        measured(logits, labels)


@pytest.mark.parametrize("batch", [1, 4, 1000])
def test_the_size_of_a_batch_changes_nothing(batch: int) -> None:
    logits, labels = drawn(30, 6)
    first, other = measured(logits, labels, 3), measured(logits, labels, batch)
    assert first.class_right == other.class_right
    assert (first.loss, first.calibration_error_percent) == pytest.approx((other.loss, other.calibration_error_percent))


# ------------------------------------------------------------------------------------------------- what may go wrong


@final
@dataclass(frozen=True, slots=True)
class Files(Source):
    """Images in files of a folder that are called by their numbers."""

    folder: Path

    def read(self, number: int) -> bytes:
        return self.folder.joinpath(self.name(number)).read_bytes()

    def name(self, number: int) -> str:
        return f"{number}.jpg"


def grey_files(folder: Path, labels: Sequence[int], broken: Collection[int]) -> Encoded:
    """Write JPEG files of one grey each, by their numbers; those `broken` end after their header."""
    image = pytest.importorskip("PIL.Image")
    for number in range(len(labels)):
        path = folder / f"{number}.jpg"
        image.new("RGB", (12, 9), (10 * number,) * 3).save(path, quality=100)
        if number in broken:
            path.write_bytes(path.read_bytes()[:20])
    return Encoded(Files(folder), torch.arange(len(labels)), torch.tensor(labels), size=8)


@pytest.mark.parametrize("processes", [0, 2])
def test_files_that_are_broken_count_nowhere(processes: int, tmp_path: Path) -> None:
    logits, labels = drawn(20, 6)
    broken = {0, 7, 12, 13, 14, 15, 16, 17}  # the third batch is broken altogether
    given, files = numbered(labels, 6), grey_files(tmp_path, labels, broken)
    model = Table(logits.repeat_interleave(10, 0).roll(-5, 0))  # rows by the tens of a grey, as a JPEG is not exact
    with (
        pytest.warns(UserWarning, match=r"\d+.jpg cannot be decoded"),
        pytest.warns(UserWarning, match="8 of 20 images cannot be decoded: the results are those of the other 12"),
    ):
        found = evaluate(model, files, given, Recipe(batch=3), CPU, processes)
    left = [i for i in range(20) if i not in broken]
    expected = by_definition(logits[left], [labels[i] for i in left])
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected, rel=1e-5)
    assert found.images == sum(found.class_images) == 12


@pytest.mark.filterwarnings("ignore:.* cannot be decoded")
def test_no_images_are_an_error(tmp_path: Path) -> None:
    logits, labels = drawn(4, 3)
    given, files = numbered(labels, 3), grey_files(tmp_path, labels, range(4))
    with pytest.raises(RecordError, match="there are no images to evaluate on: give the split a validation part"):
        evaluate(Table(logits), given.train.at(slice(0, 0)), given, Recipe(), CPU)
    with pytest.raises(RecordError, match="none of 4 images could be decoded: give intact image files"):
        evaluate(Table(logits), files, given, Recipe(), CPU, 0)


@final
class Watching(nn.Module):
    """Notes in what state it is called."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.frozen = nn.BatchNorm2d(channels)
        self.net = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(64 * channels, 10))
        self.notes: list[dict[str, Any]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.notes.append(
            {
                "training": any(module.training for module in self.modules()),
                "lowered": torch.is_autocast_enabled("cpu"),
                "channels_last": x.stride()[1] == 1,
                "gradients": torch.is_grad_enabled(),
                "inference": torch.is_inference_mode_enabled(),
            }
        )
        logits: Tensor = self.net(self.frozen(x))
        return logits


def noise(channels: int = 1) -> Split:
    x = torch.randint(256, (30, channels, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = Images(x, torch.arange(30) % 10)
    return Split("", Digits(), images, images, tuple("0123456789"), (0.5,) * channels, (0.3,) * channels)


def modes(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


def test_each_part_of_the_model_has_its_own_mode_again(monkeypatch: pytest.MonkeyPatch) -> None:
    given, model = noise(), Watching().train()
    model.frozen.eval()  # as where a part of a network is transferred and does not learn
    before = modes(model)
    assert len(set(before)) == 2
    first, second = (evaluate(model, given.validation, given, Recipe(), CPU) for _ in range(2))
    assert modes(model) == before
    assert first == second
    assert not any(note["training"] or note["gradients"] for note in model.notes)
    monkeypatch.setattr(measure, "normalise", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluate(model, given.validation, given, Recipe(), CPU)
    assert modes(model) == before


@pytest.mark.parametrize(("precision", "channels_last"), [("bfloat16", True), ("float32", False)])
def test_precision_and_layout_are_the_recipes(precision: Any, channels_last: bool) -> None:
    recipe, model, given = (
        Recipe(precision=precision, channels_last=channels_last),
        Watching(channels=2),
        noise(channels=2),
    )
    evaluate(model, given.validation, given, recipe, CPU)
    measure_speed(model, (2, 8, 8), recipe, CPU, batch=2, seconds=0.0)
    states = {(note["lowered"], note["channels_last"]) for note in model.notes}
    assert states == {(precision == "bfloat16", channels_last)}


# ------------------------------------------------------------------------------------------------- several processes


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[Peers], Any]], list[Any]]:
    """Return a function that calls another as each of several peers; they exchange by Gloo, but are threads of this process."""
    own = threading.local()
    monkeypatch.setattr(distributed, "all_reduce", lambda tensor: own.group.allreduce([tensor]).wait())

    def run(size: int, work: Callable[[Peers], Any]) -> list[Any]:
        store = distributed.HashStore()

        def one(rank: int) -> Any:
            own.group = distributed.ProcessGroupGloo(store, rank, size, timedelta(seconds=20))
            return work(Peers(rank, size))

        with ThreadPoolExecutor(size) as threads:
            return list(threads.map(one, range(size)))

    return run


@pytest.mark.parametrize(("size", "images"), [(2, 40), (2, 7), (3, 50), (3, 2)])
def test_several_processes_measure_each_image_once_and_agree(size: int, images: int, together: Any) -> None:
    logits, labels = drawn(images, 6)
    given = numbered(labels, 6)
    models = [Table(logits) for _ in range(size)]

    def work(peers: Peers) -> Accuracy:
        return evaluate(models[peers.rank], given.validation, given, Recipe(batch=4), CPU, None, peers)

    found = together(size, work)
    assert all(each == found[0] for each in found)
    assert sorted(row for model in models for row in model.seen) == list(range(images))
    alone = measured(logits, labels)
    assert found[0].class_images == alone.class_images
    assert found[0].class_right == alone.class_right
    for name in ("top1_percent", "top5_percent", "loss", "calibration_error_percent"):
        assert getattr(found[0], name) == pytest.approx(getattr(alone, name), rel=1e-6)


def test_a_process_takes_its_part_of_a_batch() -> None:
    sizes = [[len(part) for part in measure._parts(100, 12, Peers(rank, 3))] for rank in range(3)]
    assert sizes == [[8, 8, 8, 8, 2], [8, 8, 8, 8, 1], [8, 8, 8, 8, 1]]
    assert [len(part) for part in measure._parts(3, 1, Peers(0, 8))] == [1]
    assert measure._parts(3, 1, Peers(7, 8)) == []


# ------------------------------------------------------------------------------------------------------------- speed


@final
class Clocked(nn.Module):
    """Has a clock of its own, on which a call takes the time that `seconds` says by how many came before, and how many images."""

    def __init__(self, seconds: Callable[[int, int], float]) -> None:
        super().__init__()
        self.seconds, self.now, self.sizes = seconds, 0.0, list[int]()

    def forward(self, x: Tensor) -> Tensor:
        self.now += self.seconds(len(self.sizes), len(x))
        self.sizes.append(len(x))
        return x


def timed(model: Clocked, batch: int, monkeypatch: pytest.MonkeyPatch) -> Speed:
    monkeypatch.setattr(measure, "perf_counter", lambda: model.now)
    return measure_speed(model, (1, 2, 2), Recipe(), CPU, batch, seconds=1.0)


def test_speed_is_that_of_the_batch_and_of_one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    found = timed(Clocked(lambda _, images: 0.002 + 0.0005 * images), 96, monkeypatch)
    assert found.batch == 96
    assert found.images_per_second == pytest.approx(96 / 0.05)
    assert found.latency_milliseconds == pytest.approx(2.5)
    assert found.latency_p90_milliseconds == pytest.approx(2.5)


def test_a_slow_network_is_measured_at_the_batch_that_time_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Clocked(lambda _, images: 0.1 * images)
    found = timed(model, 96, monkeypatch)
    assert found.batch == 4
    assert found.images_per_second == pytest.approx(10)
    assert model.now < 6
    endless = Clocked(lambda *_: 60.0)
    assert timed(endless, 96, monkeypatch).batch == 1
    assert endless.sizes == [1] * 4  # a round to warm up and a round that counts, twice


def test_the_slowest_tenth_is_told_and_does_not_move_the_median(monkeypatch: pytest.MonkeyPatch) -> None:
    found = timed(Clocked(lambda number, _: 0.001 if number % 4 else 0.004), 1, monkeypatch)
    assert found.latency_milliseconds == pytest.approx(1)
    assert found.latency_p90_milliseconds == pytest.approx(4)


def test_the_first_rounds_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    met = set[int]()

    def slow_at_first(_: int, images: int) -> float:
        before = len(met)
        met.add(images)
        return 0.001 if len(met) == before else 0.6

    found = timed(Clocked(slow_at_first), 64, monkeypatch)
    assert (found.batch, met) == (64, {1, 2, 4, 8, 16, 32, 64})
    assert found.latency_p90_milliseconds == pytest.approx(1)


def test_measuring_the_speed_leaves_the_model_and_the_random_state() -> None:
    model = Watching().train()
    model.frozen.eval()
    before, state = modes(model), torch.get_rng_state()
    statistics = [each.clone() for each in model.buffers()]
    found = measure_speed(model, (1, 8, 8), Recipe(), CPU, batch=8, seconds=0.02)
    assert found.batch <= 8
    assert found.images_per_second > 0
    assert found.latency_p90_milliseconds >= found.latency_milliseconds > 0
    assert modes(model) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(statistics, model.buffers(), strict=True))
    assert all(note["inference"] and not note["training"] for note in model.notes)
    model(torch.zeros(2, 1, 8, 8)).sum().backward()  # the weights can still be trained


def test_what_was_measured_can_be_written_and_read() -> None:
    accuracy = measured(*drawn(9, 3))
    whole = Measured(("a", "b", "c"), accuracy, accuracy, Speed(10.0, 8, 1.0, 2.0))
    assert read(json.loads(write(whole)), "test.json") == whole
    assert read(json.loads(write(Measured(("a", "b", "c"), accuracy))), "test.json").ema is None
