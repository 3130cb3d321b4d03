"""What a recipe may choose of training: each optimizer, schedule, loss and initialisation by its definition."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.data import Augmentation, Digits, Images, Split, split
from nas.plain import from_plain
from nas.records import RecordError, record_classes, to_plain
from nas.supernets.recipe import WeightsRecipe
from nas.training import Epoch, Execution, Recipe, learning_rate, loss_of, seeded, train
from nas.training.distillation import Distillation
from nas.training.initialisation import He, Initialisation, Normal, TruncatedNormal, Xavier, initialise
from nas.training.losses import CrossEntropy, FocalLoss, Loss, LpLoss
from nas.training.optimizers import Optimizer, RmsProp, RmsPropTf
from nas.training.schedules import MultiStepDecay, Plateau, Schedule, StepDecay
from nas.training.views import averaging

CPU = torch.device("cpu")
OFTEN = Execution(report_seconds=0, checkpoint_seconds=0)
SHORT = Recipe(epochs=6, batch=64, lr=0.1, drop_path=0.0, augmentation=Augmentation(crop_pad=1))

pytestmark = pytest.mark.usefixtures("one_thread")


def digits(validation: float = 0.25) -> Split:
    return split(Digits(), validation, 0, train=200)


def net() -> nn.Module:
    with seeded(0):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10))


def gradients(steps: int = 5) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    return (rng.normal(size=4) for _ in range(steps))


@pytest.mark.parametrize("kind", [Optimizer, Schedule, Loss, Initialisation])
def test_every_kind_is_written_and_read(kind: type) -> None:
    for cls in record_classes(kind).values():
        assert from_plain(to_plain(cls()), kind) == cls()


# ------------------------------------------------------------------------------------------------------- optimizers


def stepped(made: torch.optim.Optimizer, weight: nn.Parameter, rates: list[float]) -> np.ndarray:
    for gradient, rate in zip(gradients(), rates, strict=True):
        made.param_groups[0]["lr"] = rate
        weight.grad = torch.tensor(gradient)
        made.step()
    return weight.detach().numpy()


RATES = [0.1, 0.1, 0.1, 0.02, 0.02]


def test_rmsprop_is_that_of_torch_by_definition() -> None:
    weight = nn.Parameter(torch.ones(4, dtype=torch.float64))
    found = stepped(RmsProp(0.9, 0.5, 1e-3).make([weight], 0.1, 0.01), weight, RATES)
    w, s, m = np.ones(4), np.zeros(4), np.zeros(4)
    for g, rate in zip(gradients(), RATES, strict=True):
        g = g + 0.01 * w
        s = 0.9 * s + 0.1 * g**2
        m = 0.5 * m + g / (np.sqrt(s) + 1e-3)
        w = w - rate * m
    np.testing.assert_allclose(found, w, rtol=1e-12)


def test_rmsprop_of_tensorflow_has_epsilon_inside_the_root_and_begins_at_one() -> None:
    weight = nn.Parameter(torch.ones(4, dtype=torch.float64))
    found = stepped(RmsPropTf(0.9, 0.5, 1.0).make([weight], 0.1, 0.01), weight, RATES)
    w, s, m = np.ones(4), np.ones(4), np.zeros(4)
    for g, rate in zip(gradients(), RATES, strict=True):
        g = g + 0.01 * w
        s = 0.9 * s + 0.1 * g**2
        m = 0.5 * m + rate * g / np.sqrt(s + 1.0)
        w = w - m
    np.testing.assert_allclose(found, w, rtol=1e-12)


def test_a_training_by_rmsprop_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    recipe = replace(SHORT, optimizer=RmsPropTf(), lr=0.01)
    assert_resumed(recipe, tmp_path, 9)


def assert_resumed(recipe: Recipe, folder: Path, reports: int) -> list[Epoch]:
    """Train straight, and cut after some reports and resumed; both must be one. Returns the epochs."""
    straight, cut = net(), net()
    whole = [each for each in train(straight, digits(), recipe, seed=0, device=CPU) if isinstance(each, Epoch)]
    running = train(cut, digits(), recipe, seed=0, device=CPU, checkpoint=folder / "run.pt", execution=OFTEN)
    first = [next(running) for _ in range(reports)]
    running.close()
    resumed = net()
    rest = train(resumed, digits(), recipe, seed=0, device=CPU, checkpoint=folder / "run.pt", execution=OFTEN)
    epochs = [each for each in [*first, *rest] if isinstance(each, Epoch)]
    assert [(each.loss, each.lr) for each in epochs] == [(each.loss, each.lr) for each in whole]
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), resumed.parameters(), strict=True))
    return epochs


# -------------------------------------------------------------------------------------------------------- schedules


def test_a_plateau_divides_as_torch_does() -> None:
    rng = np.random.default_rng(1)
    weight = [nn.Parameter(torch.zeros(1))]
    recipe = Recipe(lr=0.5, schedule=Plateau(0.1, 2))
    optimizer = torch.optim.SGD(weight, 0.5)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", 0.1, 2, threshold=0)
    accuracies: list[float] = []
    for epoch in range(40):
        assert learning_rate(recipe, epoch, accuracies) == pytest.approx(optimizer.param_groups[0]["lr"])
        accuracies.append(round(10 * math.sqrt(epoch) + 8 * rng.random()))
        theirs.step(accuracies[-1])
    assert optimizer.param_groups[0]["lr"] < 0.5 * 0.1**2 * 1.1, "it has stalled twice at least"


def test_a_plateau_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    recipe = replace(SHORT, epochs=8, lr=1.0, schedule=Plateau(0.5, 0), warmup_epochs=1)
    rates = [each.lr for each in assert_resumed(recipe, tmp_path, 21)]
    assert len(set(rates)) > 2
    assert all(math.log2(rate) % 1 == 0 for rate in rates)


def test_a_validation_out_of_turn_is_not_counted(tmp_path: Path) -> None:
    recipe = replace(SHORT, epochs=8, lr=1.0, schedule=Plateau(0.5, 0), validate_every=3)
    whole = [each.lr for each in train(net(), digits(), recipe, seed=0, device=CPU) if isinstance(each, Epoch)]
    model, found = net(), []
    for until in (4, 8):  # the fourth epoch is validated, as the last before a pause
        reports = train(model, digits(), recipe, seed=0, device=CPU, checkpoint=tmp_path / "run.pt", until=until)
        found += [each.lr for each in reports if isinstance(each, Epoch)]
    assert found == whole


def test_a_plateau_needs_validation_images() -> None:
    recipe = Recipe(epochs=2, schedule=Plateau())
    with pytest.raises(
        RecordError, match="Plateau watches the validation accuracy, and there are no validation images"
    ):
        next(train(net(), digits(0.0), recipe, seed=0, device=CPU))
    with pytest.raises(RecordError, match="Plateau watches a validation accuracy, and a supernet has none"):
        WeightsRecipe(schedule=Plateau())


def test_steps_at_epochs_and_after_fractions_of_them() -> None:
    recipe = Recipe(epochs=164, lr=0.1, schedule=MultiStepDecay(0.1, (82, 123)))
    rates = [learning_rate(recipe, epoch) for epoch in (0, 81, 82, 122, 123, 163)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    with pytest.raises(RecordError, match=r"MultiStepDecay.at_epochs is \(5, 5\): give rising numbers"):
        MultiStepDecay(at_epochs=(5, 5))
    by_step = Recipe(lr=1.0, schedule=StepDecay(0.5, 2.4))
    assert [learning_rate(by_step, each) for each in (2.3, 2.5, 4.7, 4.9)] == [1, 0.5, 0.5, 0.25]


# ----------------------------------------------------------------------------------------------------------- losses


def drawn() -> tuple[Tensor, Tensor, np.ndarray, np.ndarray]:
    """Return logits and labels, and by hand their softmax and smoothed targets, of smoothing 0.1."""
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.tensor([0, 1, 2, 3, 0, 1])
    powers = np.exp(logits.numpy())
    targets = np.full((6, 4), 0.1 / 4)
    targets[np.arange(6), y.numpy()] += 0.9
    return logits.float(), y, powers / powers.sum(1, keepdims=True), targets


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (CrossEntropy(), lambda p, q: -(q * np.log(p)).sum(1).mean()),
        (FocalLoss(2.0), lambda p, q: -(q * (1 - p) ** 2 * np.log(p)).sum(1).mean()),
        (FocalLoss(0.0), lambda p, q: -(q * np.log(p)).sum(1).mean()),
        (LpLoss(1.0), lambda p, q: np.abs(p - q).mean()),
        (LpLoss(2.0), lambda p, q: ((p - q) ** 2).mean()),
    ],
)
def test_a_loss_is_its_definition(loss: Loss, expected: Any) -> None:
    logits, y, p, q = drawn()
    recipe = Recipe(loss=loss, label_smoothing=0.1)
    assert loss_of(logits, y, recipe)[0].item() == pytest.approx(expected(p, q), rel=1e-5)


def test_losses_of_certain_images_have_finite_gradients() -> None:
    for cls in record_classes(Loss).values():
        logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
        torch.autograd.backward(cls().mean(logits, torch.tensor([0, 0]), 0.0))
        assert logits.grad is not None
        assert logits.grad.isfinite().all(), cls


# --------------------------------------------------------------------------------------------------- initialisation


@pytest.mark.parametrize(
    ("how", "std"),
    [
        (He("out"), math.sqrt(2 / (64 * 9))),
        (He("in"), math.sqrt(2 / (32 * 9))),
        (Xavier(), math.sqrt(2 / (32 * 9 + 64 * 9))),
        (Normal(0.01), 0.01),
        (TruncatedNormal(0.1), 0.1 * 0.8796),  # the deviation of what is left of a normal within two deviations
    ],
)
def test_initial_weights_have_the_deviation_of_their_definition(how: Initialisation, std: float) -> None:
    conv, norm, gate = nn.Conv2d(32, 64, 3), nn.BatchNorm2d(64), nn.Conv2d(64, 2, 1)
    assert conv.bias is not None
    assert gate.bias is not None
    nn.init.constant_(gate.bias, -2.0)
    with seeded(0):
        initialise(nn.Sequential(conv, norm, gate), how)
    weight = conv.weight.detach()
    assert weight.std().item() == pytest.approx(std, rel=0.02)
    assert abs(weight.mean().item()) < 0.02 * std + 1e-3
    assert not conv.bias.any()
    assert (gate.bias == -2).all(), "set by its layer"
    assert (norm.weight == 1).all()
    if isinstance(how, TruncatedNormal):
        assert weight.abs().max() <= 0.2


# ----------------------------------------------------------------------------------------------------- distillation


def test_distillation_is_its_definition() -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(2, 5, 3))
    how, loss = Distillation("none", temperature=3.0, alpha=0.7), torch.tensor(1.25)
    found = how.combined(loss, torch.tensor(student), torch.tensor(teacher)).item()
    soft = [np.exp(each / 3) / np.exp(each / 3).sum(1, keepdims=True) for each in (student, teacher)]
    divergence = (soft[1] * np.log(soft[1] / soft[0])).sum(1).mean()
    assert found == pytest.approx(0.3 * 1.25 + 0.7 * 9 * divergence, rel=1e-5)


def test_a_student_learns_from_its_teacher_alone() -> None:
    recipe = replace(SHORT, epochs=20, distillation=Distillation("none", temperature=2.0, alpha=1.0))
    teacher, student = net(), net()
    for _ in train(teacher, digits(), replace(recipe, distillation=None), seed=0, device=CPU):
        pass
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    data = digits()
    assert isinstance(data.train, Images)
    wrong = replace(data, train=Images(data.train.x, (data.train.y + 1) % 10))  # labels that must not matter
    reports = list(train(student, wrong, recipe, seed=1, device=CPU, teacher=teacher))
    last = reports[-1]
    assert isinstance(last, Epoch)
    assert last.validation_top1_percent is not None
    assert last.validation_top1_percent > 50, "from the labels it would be below 10"
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())
    with pytest.raises(RecordError, match=r"recipe.distillation and a teacher belong together"):
        next(train(student, data, recipe, seed=0, device=CPU))


# ------------------------------------------------------------------------------------------------------------ views


def test_ten_crops_are_the_corners_the_centre_and_their_mirror_images() -> None:
    x = torch.randint(256, (3, 1, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with seeded(0):
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 5))
    averaged, seen = averaging(model, Images(x, torch.zeros(3, dtype=torch.int64)), "ten_crop", 2)
    assert isinstance(seen, Images)
    padded = nn.functional.pad(x, (2, 2, 2, 2))
    assert torch.equal(seen.x, padded)
    crops = [padded[:, :, top : top + 4, left : left + 4] for top, left in ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))]
    views = [view.float() / 255 for crop in crops for view in (crop, crop.flip(3))]
    expected = torch.stack([model(view).softmax(1) for view in views]).mean(0)
    torch.testing.assert_close(averaged(padded.float() / 255).softmax(1), expected)


def test_mirror_images_are_averaged_and_one_view_is_the_model() -> None:
    images = Images(torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64))
    with seeded(0):
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 5))
    assert averaging(model, images, "centre", 2) == (model, images)
    averaged, seen = averaging(model, images, "flip", 2)
    assert seen is images
    x = torch.randn(3, 1, 4, 4)
    torch.testing.assert_close(averaged(x).softmax(1), (model(x).softmax(1) + model(x.flip(3)).softmax(1)) / 2)
