"""The training loop on real scans: it learns, resumes bit for bit, and its parts do what the papers say."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, final

import pytest
import torch
from torch import Tensor, nn

import nas.training
from nas.building import build
from nas.data import Augmentation, Digits, Images, MovingDigits, Split, split
from nas.notation import parse
from nas.operations.drop_path import DropPath
from nas.plain import from_plain
from nas.records import RecordError, to_plain
from nas.space import one_of, sample
from nas.training import (
    Accuracy,
    Diverged,
    Epoch,
    Execution,
    Recipe,
    Underway,
    autocast,
    evaluate,
    in_batches,
    learning_rate,
    load_weights,
    loss_of,
    make_optimizer,
    memory_format,
    mixed_seed,
    save_weights,
    seeded,
    stream,
    train,
)
from nas.training.optimizers import Adam, AdamW, Optimizer, Sgd
from nas.training.schedules import ConstantRate, CosineDecay, LinearDecay, StepDecay

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
EACH_EPOCH, EACH_STEP = Execution(checkpoint_seconds=0), Execution(checkpoint_seconds=0, report_seconds=0)
SHORT = Recipe(epochs=4, batch=64, lr=0.1, drop_path=0.3, augmentation=Augmentation(crop_pad=1, cutout=2))


@final
class Net(nn.Module):
    """A small network with all that a run must restore: batch norm, drop path, dropout, an auxiliary classifier."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), DropPath()
        )
        self.auxiliary = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))
        self.head = nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(0.1), nn.Linear(16 * width, 10))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = self.stem(x)
        logits: Tensor = self.head(x + self.body(x))
        return (logits, self.auxiliary(x)) if self.training else logits


def net(width: int = 16, seed: int = 0) -> Net:
    with seeded(seed):
        return Net(width)


def digits(train: int | None = 300) -> Split:
    return split(Digits(), 0.25, 0, train=train)


def run(model: nn.Module, recipe: Recipe = SHORT, seed: int = 0, checkpoint: Path | None = None) -> list[Epoch]:
    return epochs_of(train(model, digits(), recipe, seed=seed, checkpoint=checkpoint, device=CPU, execution=EACH_EPOCH))


def epochs_of(reports: Iterable[Epoch | Underway]) -> list[Epoch]:
    return [report for report in reports if isinstance(report, Epoch)]


def drained(reports: Any) -> tuple[list[Epoch], nn.Module]:
    """Return all reports of a training, and what it returns."""
    found: list[Epoch] = []
    while True:
        try:
            found += epochs_of([next(reports)])
        except StopIteration as end:
            return found, end.value


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def told(reports: list[Epoch]) -> list[tuple[float | None, ...]]:
    """Return what does not depend on the clock."""
    return [(each.epoch, each.loss, each.train_top1_percent, each.validation_top1_percent) for each in reports]


# --------------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize(("optimizer", "lr"), [(Sgd(), 0.05), (AdamW(), 3e-3)], ids=["Sgd", "AdamW"])
def test_a_small_network_learns_the_digits(optimizer: Optimizer, lr: float) -> None:
    recipe = Recipe(
        epochs=6,
        batch=32,
        optimizer=optimizer,
        lr=lr,
        augmentation=Augmentation(crop_pad=1),
    )
    model = net()
    reports = epochs_of(train(model, digits(None), recipe, seed=0, device=CPU))
    assert [each.epoch for each in reports] == [1, 2, 3, 4, 5, 6]
    assert reports[-1].validation_top1_percent is not None
    assert reports[-1].validation_top1_percent > 90
    assert reports[-1].loss < reports[0].loss * 0.6
    assert reports[-1].images_per_second > 0
    measured = evaluate(model, digits(None).validation, digits(None), recipe, CPU)
    assert measured.top1_percent == reports[-1].validation_top1_percent
    assert measured.top5_percent > 98


def test_kernels_of_clips_are_trained_beside_those_of_images() -> None:
    model = build(parse("space_time_conv3-2(frames=4) conv3-8 classifier(classes=16)"), (4, 12, 12))
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    recipe = Recipe(epochs=1, batch=50, lr=0.1, drop_path=0.0, augmentation=Augmentation())
    for _ in train(model, split(MovingDigits(4, 12), 0.1, 0, train=200), recipe, seed=0, device=torch.device("cpu")):
        pass
    assert all(not torch.equal(weight, before[name]) for name, weight in model.named_parameters())
    (kernel,) = (weight for weight in model.parameters() if weight.dim() == 4)
    assert kernel.is_contiguous(memory_format=torch.channels_last)


def test_a_run_that_is_cut_and_resumed_is_the_run_that_was_not(tmp_path: Path) -> None:
    straight, cut, resumed = net(), net(), net(seed=99)
    whole = run(straight)
    running = train(cut, digits(), SHORT, seed=0, checkpoint=tmp_path / "run.pt", device=CPU, execution=EACH_EPOCH)
    first = [next(running), next(running)]
    del running, cut
    torch.manual_seed(1234)
    rest = run(resumed, checkpoint=tmp_path / "run.pt")
    assert told(first + rest) == told(whole)
    assert same(straight, resumed)
    assert list(tmp_path.iterdir()) == [tmp_path / "run.pt"]


@pytest.mark.parametrize("steps", [1, 7])
def test_a_run_that_is_cut_in_mid_epoch_and_resumed_is_the_run_that_was_not(tmp_path: Path, steps: int) -> None:
    recipe = replace(SHORT, ema=0.9, mixup=0.2, optimizer=Sgd(0.8))
    straight, cut, resumed = net(), net(), net(seed=99)
    whole, average = drained(train(straight, digits(), recipe, seed=0, device=CPU))
    running = train(cut, digits(), recipe, seed=0, checkpoint=tmp_path / "run.pt", device=CPU, execution=EACH_STEP)
    first = [next(running) for _ in range(steps)]
    assert isinstance(first[-1], Underway), "the cut is within an epoch"
    running.close()
    rest, average_of_rest = drained(
        train(resumed, digits(), recipe, seed=0, checkpoint=tmp_path / "run.pt", device=CPU, execution=EACH_STEP)
    )
    epochs = epochs_of([*first, *rest])
    assert told(epochs) == told(whole)
    assert same(straight, resumed)
    assert same(average, average_of_rest)
    assert epochs[-1].total_seconds == pytest.approx(sum(epoch.seconds for epoch in epochs))


def test_long_epochs_are_reported_on_their_way() -> None:
    reports = list(train(net(), digits(), SHORT, seed=0, device=CPU, execution=EACH_STEP))
    within = [each for each in reports if isinstance(each, Underway)]
    assert [each.epochs_done for each in within[:5]] == [0.2, 0.4, 0.6, 0.8, 1.2]
    assert all(each.loss > 0 and each.images_per_second > 0 and 0 <= each.waiting_percent <= 100 for each in within)
    assert len(reports) == 4 * 5


def test_a_finished_run_reports_its_last_epoch_again(tmp_path: Path) -> None:
    finished, again = net(), net(seed=5)
    reports = run(finished, checkpoint=tmp_path / "run.pt")
    assert run(again, checkpoint=tmp_path / "run.pt") == reports[-1:]
    assert same(finished, again)


@pytest.mark.parametrize("other", ["recipe", "seed", "data", "network"])
def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path, other: str) -> None:
    file = tmp_path / "run.pt"
    next(train(net(), digits(), SHORT, seed=0, checkpoint=file, device=CPU, execution=EACH_EPOCH))
    recipe = Recipe(epochs=5) if other == "recipe" else SHORT
    data, model = digits(200 if other == "data" else 300), net(8 if other == "network" else 16)
    with pytest.raises(RecordError, match=r"is of another run, .* give another path, or delete it to start again"):
        next(train(model, data, recipe, seed=int(other == "seed"), checkpoint=file, device=CPU, execution=EACH_EPOCH))


def test_a_broken_checkpoint_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.pt"
    next(train(net(), digits(), SHORT, seed=0, checkpoint=file, device=CPU, execution=EACH_EPOCH))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(RecordError, match=r"run.pt is no checkpoint, or broken \(.*\): delete it to start again"):
        run(net(), checkpoint=file)
    file.write_bytes(pickle.dumps(Recipe, 2))
    with pytest.raises(RecordError, match="is no checkpoint, or broken"):
        run(net(), checkpoint=file)


def test_checkpoints_can_be_rare_and_the_last_is_always_written(tmp_path: Path) -> None:
    file = tmp_path / "run.pt"
    running = train(
        net(), digits(), SHORT, seed=0, checkpoint=file, device=CPU, execution=Execution(checkpoint_seconds=3600)
    )
    assert [file.exists() for _ in running] == [False, False, False, True]


def test_the_callers_random_state_is_neither_read_nor_changed() -> None:
    first, second = net(), net()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    reports = run(first)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    repeated = []
    for report in train(second, digits(), SHORT, seed=0, device=CPU):
        repeated.append(report)
        torch.rand(7)
    assert told(repeated) == told(reports)
    assert same(first, second)


def test_the_caller_may_leave_the_model_in_evaluation_mode() -> None:
    first, second = net(), net()
    reports = run(first)
    running = train(second, digits(), SHORT, seed=0, device=CPU)
    assert told([report for report in running if second.eval()]) == told(reports)
    assert same(first, second)


@final
class Watching(nn.Module):
    """Remembers the sum of each image that it is given to train on."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.seen = nn.Linear(64, 10), list[float]()

    def forward(self, x: Tensor) -> Tensor:
        self.seen += x.sum((1, 2, 3)).tolist() if self.training else []
        logits: Tensor = self.net(x.flatten(1))
        return logits


def test_each_epoch_has_every_image_in_an_order_of_its_own() -> None:
    model = Watching()
    run(model, Recipe(epochs=2, batch=50, augmentation=Augmentation()))
    first, second = model.seen[:300], model.seen[300:]
    assert sorted(first) == sorted(second)
    assert first != second


def test_each_epoch_varies_the_images_anew() -> None:
    same_images = digits().train.at(torch.zeros(300, dtype=torch.int64))
    model, data = Watching(), Split("", Digits(), same_images, same_images, tuple("0123456789"), (0.0,), (1.0,))
    epochs_of(
        train(
            model,
            data,
            Recipe(epochs=2, augmentation=Augmentation(crop_pad=1, flip=True, cutout=3)),
            seed=0,
            device=CPU,
        )
    )
    assert len(set(model.seen)) > 10
    assert model.seen[:300] != model.seen[300:]


def test_another_seed_is_another_run() -> None:
    assert told(run(net(), seed=0)) != told(run(net(), seed=1))


@pytest.mark.slow
def test_a_run_is_the_same_in_every_process(capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import torch; from nas.data import Augmentation, Digits, split; from nas.training import Epoch, Recipe, seeded, train\n"
        "with seeded(3): model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(64, 10))\n"
        "recipe, cpu = Recipe(epochs=2, augmentation=Augmentation(cutout=2), channels_last=False), torch.device('cpu')\n"
        "reports = train(model, split(Digits(), 0.5, 1), recipe, seed=7, device=cpu)\n"
        "print([each.loss for each in reports if isinstance(each, Epoch)])"
    )
    exec(code, {})
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == capsys.readouterr().out
    assert done.stdout.startswith("[")


@final
class Broken(nn.Module):
    """Gives NaN from the third step of the second epoch on."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.net, self.left = nn.Linear(64, 10), steps + 2

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x.flatten(1))
        self.left -= self.training
        return logits * math.nan if self.left < 0 else logits


def test_a_loss_that_is_no_number_ends_the_run() -> None:
    with pytest.raises(Diverged) as error:
        run(Broken(steps=5))
    assert (error.value.epoch, error.value.step) == (2, 3)
    assert str(error.value) == "the loss is not finite at epoch 2, step 3: lower lr, or clip the gradient"
    copy = pickle.loads(pickle.dumps(error.value))
    assert (type(copy), copy.epoch, copy.step) == (Diverged, 2, 3)


def test_validation_is_measured_when_asked_for_and_after_the_last_epoch() -> None:
    recipe = Recipe(epochs=5, batch=300, validate_every=3, augmentation=Augmentation(crop_pad=4, flip=True))
    measured = [each.validation_top1_percent is not None for each in run(net(4), recipe)]
    assert measured == [False, False, True, False, True]
    everything = split(Digits(), 0, 0, train=100)
    reports = epochs_of(
        train(
            net(4), everything, Recipe(epochs=1, augmentation=Augmentation(crop_pad=4, flip=True)), seed=0, device=CPU
        )
    )
    assert reports[0].validation_top1_percent is None


def test_the_reports_tell_what_was_trained() -> None:
    reports = run(net(4), Recipe(epochs=2, batch=301, lr=0.0, drop_path=0, auxiliary=0, augmentation=Augmentation()))
    assert [each.lr for each in reports] == [0.0, 0.0]
    assert from_plain(to_plain(reports[0]), Epoch) == reports[0]
    assert 0 <= reports[0].train_top1_percent <= 100


def test_drop_path_rises_linearly_over_the_epochs() -> None:
    model = net(4)
    running = train(model, digits(), Recipe(epochs=4, batch=300, drop_path=0.2), seed=0, device=CPU)
    assert [model.body[3].probability for _ in running] == pytest.approx([0.0, 0.05, 0.1, 0.15])


# ------------------------------------------------------------------------------------------------------- evaluation


@final
class Fixed(nn.Module):
    """Gives logits by the first pixel; in any mode a pair, as the released DARTS code does."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return self.table[(x[:, 0, 0, 0] * 255).round().long()], None


def test_evaluation_counts_as_defined() -> None:
    table = torch.randn(40, 10, generator=torch.Generator().manual_seed(0))
    x = torch.arange(40, dtype=torch.uint8).view(40, 1, 1, 1)
    y = torch.randint(10, (40,), generator=torch.Generator().manual_seed(1))
    plain = Split("", Digits(), Images(x, y), Images(x, y), tuple("0123456789"), (0.0,), (1.0,))
    model = Fixed(table)
    measured = evaluate(model, plain.validation, plain, Recipe(batch=6), CPU)
    ranks = (table > table.gather(1, y[:, None])).sum(1)
    expected = (2.5 * (ranks == 0).sum().item(), 2.5 * (ranks < 5).sum().item())
    assert (measured.top1_percent, measured.top5_percent) == pytest.approx(expected)
    assert measured.loss == pytest.approx(nn.functional.cross_entropy(table, y).item(), rel=1e-5)
    assert model.training
    two = evaluate(Fixed(table[:, :2]), Images(x, y.clamp(max=1)), plain, Recipe(), CPU)
    assert isinstance(two, Accuracy)
    assert two.top5_percent == 100
    with pytest.raises(RecordError, match="there are no images to evaluate on: give the split a validation part"):
        evaluate(model, plain.train.at(slice(0, 0)), plain, Recipe(), CPU)


# ------------------------------------------------------------------------------------------------- recipe, schedules


def test_the_defaults_are_the_published_evaluation_of_darts() -> None:
    recipe = Recipe()
    assert (recipe.epochs, recipe.batch, recipe.lr) == (600, 96, 0.025)
    assert (recipe.schedule, recipe.optimizer) == (CosineDecay(0.0), Sgd(0.9))
    assert (recipe.weight_decay, recipe.drop_path, recipe.auxiliary, recipe.clip) == (3e-4, 0.2, 0.4, 5.0)
    assert (recipe.augmentation.crop_pad, recipe.augmentation.flip, recipe.augmentation.cutout) == (4, True, 16)
    assert to_plain(Recipe(epochs=25)) == {"Recipe": {"epochs": 25}}
    plain = {
        "epochs": 25,
        "lr": 0.1,
        "optimizer": {"nesterov": True},
        "clip": None,
        "channels_last": False,
        "weight_decay": "5e-4",
    }
    read = from_plain(plain, Recipe)
    assert read == Recipe(
        epochs=25, lr=0.1, clip=None, channels_last=False, weight_decay=5e-4, optimizer=Sgd(nesterov=True)
    )


def test_the_cosine_is_that_of_torch() -> None:
    recipe = Recipe(epochs=10, lr=0.025, schedule=CosineDecay(final_lr=0.001))
    optimizer = make_optimizer([nn.Parameter(torch.zeros(1))], recipe)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10, 0.001)
    for epoch in range(10):
        assert learning_rate(recipe, epoch) == pytest.approx(schedule.get_last_lr()[0], rel=1e-6)
        optimizer.step()
        schedule.step()
    assert learning_rate(recipe, 0) == 0.025
    assert learning_rate(recipe, 10) == pytest.approx(0.001)


def test_the_other_schedules() -> None:
    linear = Recipe(epochs=250, lr=0.5, warmup_epochs=5, schedule=LinearDecay())
    expected = [0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5 * 244 / 245]
    assert [learning_rate(linear, epoch) for epoch in range(7)] == pytest.approx(expected)
    step = Recipe(lr=0.1, schedule=StepDecay(factor=0.97, every_epochs=2))
    assert [learning_rate(step, epoch) for epoch in range(5)] == pytest.approx([0.1, 0.1, 0.097, 0.097, 0.09409])
    assert learning_rate(Recipe(schedule=ConstantRate()), 599) == 0.025


def test_the_rate_is_set_by_epoch_or_by_step() -> None:
    rates: dict[str, list[float]] = {}
    for by in ("epoch", "step"):
        recipe = Recipe(
            epochs=2,
            batch=100,
            lr=0.1,
            schedule_by=by,
            schedule=LinearDecay(),
            augmentation=Augmentation(crop_pad=4, flip=True),
        )
        rates[by] = list(_rates(recipe))
    assert rates["epoch"] == pytest.approx([0.1] * 3 + [0.05] * 3)
    assert rates["step"] == pytest.approx([0.1 * (6 - step) / 6 for step in range(6)])


def _rates(recipe: Recipe) -> Iterator[float]:
    """Yield the rate of each step, read off weights whose gradient is one: plain descent moves them by the rate."""

    @final
    class Ones(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.seen = nn.Parameter(torch.zeros(())), list[float]()

        def forward(self, x: Tensor) -> Tensor:
            self.seen.append(self.weight.item())
            return x.flatten(1)[:, :10] * 0 + (self.weight - self.weight.detach())

    model = Ones()
    model.weight.register_hook(torch.ones_like)
    plain = {"momentum": 0.0, "weight_decay": 0.0, "clip": None, "validate_every": 99}
    whole = from_plain({**to_plain(recipe)["Recipe"], **plain}, Recipe)
    epochs_of(train(model, split(Digits(), 0, 0, train=300), whole, seed=0, device=CPU))
    weights = [*model.seen, model.weight.item()]
    yield from (before - after for before, after in pairwise(weights))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs is 0: give a number of at least 1"),
        ({"clip": -1.0}, "clip is -1.0: give a number of at least 0"),
        ({"epochs": 5, "warmup_epochs": 5}, "Recipe.warmup_epochs is 5, epochs 5: give fewer epochs of warm-up"),
        (
            {"optimizer": {"Adam": {"nesterov": True}}},
            "optimizer.Adam.nesterov: no such key; known are beta1, beta2",
        ),
        ({"schedule": "CosinDecay"}, "schedule names no Schedule: did you mean 'CosineDecay'?"),
        ({"learning_rate": 1}, "learning_rate: no such key"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError) as error:
        from_plain(wrong, Recipe)
    assert str(error.value).startswith(message)


def test_a_field_of_the_recipe_can_be_searched() -> None:
    import random

    space = Recipe(epochs=one_of("epochs", (5, 10)), lr=one_of("lr", (0.1, 0.01)), warmup_epochs=5 - 1)
    assert sample(space, random.Random(0)).lr in (0.1, 0.01)


# ------------------------------------------------------------------------------------------------------- step parts


def test_label_smoothing_and_the_auxiliary_loss_are_as_published() -> None:
    draw = torch.Generator().manual_seed(0)
    logits, other = torch.randn(2, 8, 10, generator=draw)
    y = torch.arange(8)
    smooth = torch.full((8, 10), 0.1 / 10)
    smooth[y, y] += 0.9

    def reference(z: Tensor) -> Tensor:
        return -(smooth * z.log_softmax(1)).sum(1).mean()

    recipe = Recipe(label_smoothing=0.1, auxiliary=0.4)
    torch.testing.assert_close(loss_of(logits, y, recipe)[0], reference(logits))
    both, given = loss_of((logits, other), y, recipe)
    torch.testing.assert_close(both, reference(logits) + 0.4 * reference(other))
    assert given is logits


def test_the_gradient_is_clipped_by_its_norm() -> None:
    plain = Recipe(
        epochs=1,
        batch=300,
        lr=1.0,
        weight_decay=0,
        clip=0.01,
        optimizer=Sgd(momentum=0),
        schedule=ConstantRate(),
        augmentation=Augmentation(crop_pad=4, flip=True),
    )
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    before = [weight.detach().clone() for weight in model.parameters()]
    run(model, plain)
    moved = torch.cat([(a - b).flatten() for a, b in zip(before, model.parameters(), strict=True)])
    assert moved.norm().item() == pytest.approx(0.01, rel=1e-3)


def test_an_epoch_is_every_image_once_but_no_single_image_alone() -> None:
    parts = in_batches(torch.randperm(100, generator=torch.Generator().manual_seed(0)), 32)
    assert [len(part) for part in parts] == [32, 32, 32, 4]
    assert sorted(torch.cat(parts).tolist()) == list(range(100))
    assert [len(part) for part in in_batches(torch.randperm(97), 32)] == [32, 32, 32]
    assert [len(part) for part in in_batches(torch.randperm(96), 96)] == [96]
    assert [len(part) for part in in_batches(torch.randperm(1), 96)] == [1]


def test_optimizers_are_those_of_the_recipe() -> None:
    weight = [nn.Parameter(torch.zeros(1))]
    sgd = make_optimizer(weight, Recipe(optimizer=Sgd(nesterov=True))).defaults
    assert (sgd["lr"], sgd["momentum"], sgd["nesterov"], sgd["weight_decay"]) == (0.025, 0.9, True, 3e-4)
    adam = make_optimizer(weight, Recipe(optimizer=Adam(beta1=0.5)))
    assert type(adam) is torch.optim.Adam
    assert adam.defaults["betas"] == (0.5, 0.999)
    assert type(make_optimizer(weight, Recipe(optimizer=AdamW()))) is torch.optim.AdamW


def test_precision_and_layout_follow_the_hardware() -> None:
    with autocast(Recipe(), CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    with autocast(Recipe(precision="bfloat16"), CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    assert memory_format(Recipe()) == memory_format(Recipe(channels_last=True)) == torch.channels_last
    assert memory_format(Recipe(channels_last=False)) == torch.contiguous_format
    report = run(net(4), Recipe(epochs=1, precision="bfloat16", augmentation=Augmentation(crop_pad=4, flip=True)))[0]
    assert math.isfinite(report.loss)


# -------------------------------------------------------------------------------------------------------- drop path


def test_drop_path_drops_whole_samples_and_keeps_the_mean() -> None:
    layer, x = DropPath(0.3), torch.ones(20_000, 2, 3, 3)
    with seeded(0):
        y = layer(x)
    kept = y[:, 0, 0, 0]
    assert torch.equal(y, kept.view(-1, 1, 1, 1).expand_as(y))
    assert kept.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert y.mean().item() == pytest.approx(1, abs=0.02)
    assert layer.eval()(x) is x
    assert DropPath()(x) is x


# ---------------------------------------------------------------------------------------------- randomness, weights


def test_each_purpose_has_its_own_random_numbers() -> None:
    seeds = {mixed_seed(seed, name, epoch) for seed in range(3) for name in ("order", "layers") for epoch in range(3)}
    assert len(seeds) == 18
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert mixed_seed(7, "order", 3) == 929583480629082613
    first, again = (torch.rand(3, generator=stream(7, "order", 3)) for _ in range(2))
    assert torch.equal(first, again)


def test_weights_are_kept_as_safetensors(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "best.safetensors"
    trained, other = net().to(memory_format=torch.channels_last), net(seed=1)
    save_weights(trained, file)
    assert list(file.parent.iterdir()) == [file]
    load_weights(other, file)
    assert same(trained, other)
    with pytest.raises(RecordError) as error:
        load_weights(net(8), file)
    assert "does not fit the network: 13 tensors differ, the first 'auxiliary.2.weight', (10, 16) in" in str(
        error.value
    )
    file.write_bytes(b"no weights")
    with pytest.raises(RecordError, match="cannot be read as safetensors"):
        load_weights(other, file)
    with pytest.raises(RecordError, match="cannot be read as safetensors"):
        load_weights(other, tmp_path / "absent")


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "run.pt"
    file.write_text("old")

    def fail(beside: Path) -> None:
        beside.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        nas.training.checkpoint.write_atomically(file, fail)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("run.pt", "old")]
