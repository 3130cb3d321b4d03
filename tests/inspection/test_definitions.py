"""Inspections against their definitions, on networks of a few weights, where each can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from inspected import network_subject, subject_of
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from nas.data import Images
from nas.inspection.attribution import class_scores
from nas.inspection.methods.class_images import ClassImages
from nas.inspection.methods.confident_mistakes import ConfidentMistakes
from nas.inspection.methods.confusion import confusion
from nas.inspection.methods.feature_maps import FeatureMaps
from nas.inspection.methods.first_filters import FirstFilters
from nas.inspection.methods.grad_cam import grad_cam
from nas.inspection.methods.guided_backpropagation import guided, guided_gradient
from nas.inspection.methods.linear_probes import pooled_features, probe_accuracy
from nas.inspection.methods.occlusion import occlusion
from nas.inspection.methods.receptive_field import effective_fields, frame
from nas.inspection.methods.reliability import Reliability
from nas.inspection.methods.saliency import saliency
from nas.inspection.methods.shifts import KINDS, distances
from nas.inspection.methods.top_patches import patch, strongest
from nas.inspection.reaches import reaches_of
from nas.inspection.subject import Subject, make_subject, watched
from nas.training import Recipe
from nas.training.measure import evaluate

pytestmark = pytest.mark.usefixtures("one_thread")


def convolutional(*layers: nn.Module, channels: int = 4) -> nn.Sequential:
    """Return convolutions followed by a linear classifier of the pooled map, with random weights."""
    torch.manual_seed(0)
    for part in layers:
        if isinstance(part, nn.Conv2d):
            nn.init.normal_(part.weight)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 3))
    return nn.Sequential(nn.Sequential(*layers), head)


def small() -> Subject:
    return subject_of(convolutional(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(inplace=True)), (2, 8, 8))


# ------------------------------------------------------------------------------------------------- what it looks at


def test_saliency_is_the_largest_absolute_gradient_over_the_channels() -> None:
    subject = small()
    x = subject.inputs([3]).double()
    model = subject.model.double()
    label, step = int(subject.predicted[3]), 1e-6
    gradient = torch.zeros(2, 8, 8)
    for place in np.ndindex(2, 8, 8):  # by finite differences
        up, down = x.clone(), x.clone()
        up[0][place] += step
        down[0][place] -= step
        gradient[place] = (model(up)[0, label] - model(down)[0, label]) / (2 * step)
    model.float()
    torch.testing.assert_close(saliency(subject, (3,))[0], gradient.abs().amax(0), atol=1e-4, rtol=1e-3)


def test_the_gradient_of_an_image_is_its_own() -> None:
    subject = small()
    torch.testing.assert_close(saliency(subject, (1, 2, 3))[1], saliency(subject, (2,))[0])


@pytest.mark.parametrize("rectifier", [nn.ReLU(), nn.ReLU(inplace=True), nn.SiLU(), nn.GELU()])
def test_guided_backpropagation_passes_where_input_and_gradient_are_positive(rectifier: nn.Module) -> None:
    x = torch.tensor([-2.0, -1.0, 1.0, 2.0, 3.0], requires_grad=True)
    above = torch.tensor([1.0, -1.0, 1.0, -1.0, 2.0])
    model = nn.Sequential(nn.Identity(), rectifier)
    with guided(model):
        (found,) = torch.autograd.grad((model(x * 1) * above).sum(), x)
    (slope,) = torch.autograd.grad(model(x * 1).sum(), x)
    torch.testing.assert_close(found, torch.where((x > 0) & (above > 0), above * slope, 0.0))
    assert not model[1]._forward_pre_hooks


def test_guided_backpropagation_of_two_layers_by_hand() -> None:
    model = convolutional(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU())
    subject = subject_of(model, (2, 8, 8))
    first, _, second, _ = model[0]
    x, label = subject.inputs([5]), int(subject.predicted[5])
    before = first(x)
    middle = second(before.relu())
    gradient = (model[1][2].weight[label] / 64)[None, :, None, None].expand_as(middle)
    gradient = gradient.clamp(min=0) * (middle > 0)
    gradient = nn.functional.conv_transpose2d(gradient, second.weight)
    gradient = gradient.clamp(min=0) * (before > 0)
    expected = nn.functional.conv_transpose2d(gradient, first.weight, padding=1)
    torch.testing.assert_close(guided_gradient(subject, (5,)), expected)


def test_occlusion_is_the_fall_of_the_probability_where_a_square_is_grey() -> None:
    subject = small()
    x, label = subject.inputs([4]), int(subject.predicted[4])
    whole = subject.model(x).softmax(1)[0, label]
    falls = torch.zeros(2, 2)
    for row, column in np.ndindex(2, 2):
        covered = x.clone()
        covered[0, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 0
        falls[row, column] = whole - subject.model(covered).softmax(1)[0, label]
    expected = falls.repeat_interleave(4, 0).repeat_interleave(4, 1)
    torch.testing.assert_close(occlusion(subject, 4, side=4, step=4), expected)
    assert occlusion(subject, 4, side=3, step=2).shape == (8, 8), "the last squares end at the edge"


def test_grad_cam_weighs_each_channel_by_its_mean_gradient() -> None:
    model = convolutional(nn.Conv2d(2, 4, 3, padding=1, stride=2), nn.ReLU())
    subject = subject_of(model, (2, 8, 8))
    label = int(subject.predicted[6])
    values = model[0](subject.inputs([6]))
    weights = model[1][2].weight[label] / 16  # of a mean over 4 x 4 pixels
    expected = (weights[None, :, None, None] * values).sum(1).relu()
    torch.testing.assert_close(grad_cam(subject, (6,), "0"), expected)


def test_grad_cam_is_zero_where_the_channels_speak_against_the_class() -> None:
    model = convolutional(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU())
    with torch.no_grad():
        model[1][2].weight.copy_(-model[1][2].weight.abs())  # every channel is against every class
        model[1][2].bias.copy_(torch.tensor([0.0, 9.0, 0.0]))
    subject = subject_of(model, (2, 8, 8))
    assert model[0](subject.inputs([0])).max() > 0
    assert grad_cam(subject, (0, 1), "0").eq(0).all()


def test_a_map_is_seen_before_a_later_operation_in_place() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(inplace=True))
    x = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), watched({"conv": model[0]}) as maps:
        model(x)
        torch.testing.assert_close(maps["conv"], model[0](x))


# -------------------------------------------------------------------------------------------- what units respond to


@pytest.mark.parametrize("channels", [1, 3])
def test_first_filters_are_the_kernels_on_their_own_scales(channels: int) -> None:
    model = convolutional(nn.Conv2d(channels, 4, 3, padding=1))
    found = FirstFilters().inspect(subject_of(model, (channels, 8, 8)))
    weights = model[0][0].weight.detach().numpy()
    assert found.numbers["norms"] == pytest.approx([np.sqrt((each**2).sum()) for each in weights])
    for picture, kernel in zip(found.figures[0].pictures, weights, strict=True):  # type: ignore[union-attr]
        scaled = kernel / np.abs(kernel).max()
        np.testing.assert_allclose(picture.values, scaled / 2 + 0.5 if channels == 3 else scaled[0], atol=1e-6)


def test_a_top_patch_is_all_that_the_unit_needs() -> None:
    model = convolutional(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2, padding=1))
    subject = subject_of(model, (2, 16, 16))
    (name, found), *_ = strongest(subject, ["0"]).items()
    reach = reaches_of(subject)[name]
    assert reach.field == (5, 5)
    values = torch.cat([model[0](batch) for batch in subject.batches()])
    torch.testing.assert_close(found.largest, values.amax((2, 3)))
    image, unit = divmod(int(found.largest.argmax()), 4)
    row, column = found.at(image, unit)
    assert values[image, unit, row, column] == values.max()
    x = subject.inputs([image])
    beyond = torch.zeros_like(x)
    top, left = max(0, 2 * row - 2), max(0, 2 * column - 2)
    window = (..., slice(top, 2 * row + 3), slice(left, 2 * column + 3))
    beyond[window] = x[window]
    torch.testing.assert_close(model[0](beyond)[0, unit, row, column], values[image, unit, row, column])
    assert patch(subject, image, reach, (row, column)).shape[1:] == (5, 5)


def test_a_patch_beyond_the_image_has_the_mean_colour() -> None:
    subject = subject_of(convolutional(nn.Conv2d(3, 4, 5, padding=2)), (3, 16, 16))
    found = patch(subject, 0, reaches_of(subject)["0"], (0, 0))
    torch.testing.assert_close(found[:, 2:, 2:], subject.picture(0)[:, :3, :3])
    assert (found[:, :2] == 0.5).all()
    assert (found[:, :, :2] == 0.5).all()


def test_class_images_reach_the_optimum_of_a_linear_network() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    subject = subject_of(model, (1, 2, 2))
    # the optimum of w x - decay |x|^2 is w / (2 decay)
    x, logits = ClassImages(steps=400, size=0.05, decay=0.5).ascend(subject, torch.tensor([0, 1]))
    torch.testing.assert_close(x.flatten(1), model[1].weight, atol=2e-3, rtol=0)
    torch.testing.assert_close(logits, model(x).detach())


# ----------------------------------------------------------------------------------------------- from layer to layer


def test_the_frame_of_a_unit_is_its_receptive_field_and_the_gradient_lies_in_it() -> None:
    model = convolutional(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2, padding=1))
    subject = subject_of(model, (2, 16, 16))
    reach = reaches_of(subject)["0"]
    values, shape = effective_fields(subject, ["0"])["0"]
    label, left, top, right, bottom = frame("0", reach, shape)
    # the unit at 4 of 8 reads the pixels 7 to 9 of the map before, which read 6 to 10
    assert (label, left, top, right, bottom) == ("0, 5 x 5", 6, 6, 11, 11)
    seen = values > 0
    assert seen[6:11, 6:11].any()
    seen[6:11, 6:11] = False
    assert not seen.any()


def test_feature_maps_are_those_of_the_channels_that_vary_most() -> None:
    subject = small()
    found = FeatureMaps(channels=2).inspect(subject)
    values = subject.model[0](subject.inputs([subject.samples[0]]))[0].numpy()  # type: ignore[index, operator]
    most = sorted(np.argsort(-values.reshape(4, -1).std(1))[:2].tolist())
    (layer,) = found.numbers["layers"]
    assert (layer["shape"], layer["shown"]) == ([4, 8, 8], most)
    shown = found.figures[1].pictures  # type: ignore[union-attr]
    np.testing.assert_allclose(np.stack([each.values.numpy() for each in shown]), values[most], atol=1e-6)


def circular(stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(2, 4, 3, padding=1, stride=stride, padding_mode="circular")


def test_a_circular_convolution_is_equivariant_and_its_mean_invariant() -> None:
    model = convolutional(circular(), nn.ReLU(), nn.Conv2d(4, 4, 1))
    subject = subject_of(model, (2, 8, 8))
    x = subject.inputs(slice(None))
    found = distances(subject, x, 3, {"0": 1})["0"]
    assert found[KINDS[0]] > 50
    assert found[KINDS[1]] == pytest.approx(0, abs=1e-3)
    assert found[KINDS[2]] == pytest.approx(0, abs=1e-3)


def test_pooling_is_equivariant_to_moves_of_its_stride_alone_and_forgets_smaller_ones_in_part() -> None:
    pooled = convolutional(circular(), nn.ReLU(), nn.MaxPool2d(2))
    subject = subject_of(pooled, (2, 8, 8))
    x = subject.inputs(slice(None))
    assert distances(subject, x, 2, {"0": 2})["0"][KINDS[1]] == pytest.approx(0, abs=1e-3)
    before, after = pooled[0](x), pooled[0](x.roll(1, 3))
    assert not torch.allclose(after, before.roll(1, 3))
    fine = pooled[0][:2](x)

    def change(new: Tensor, old: Tensor) -> float:
        return float((new - old).norm() / (old - old.mean(0)).norm())

    assert change(after, before) < change(pooled[0][:2](x.roll(1, 3)), fine), "pooling makes small moves matter less"


def test_zero_padding_breaks_equivariance_at_the_border() -> None:
    subject = subject_of(convolutional(nn.Conv2d(2, 4, 3, padding=1)), (2, 8, 8))
    assert distances(subject, subject.inputs(slice(None)), 3, {"0": 1})["0"][KINDS[1]] > 1


def test_a_probe_is_a_logistic_regression_tested_on_the_other_half() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = generator.normal(size=(60, 5)).astype(np.float32)
    features[:, 0] += 2 * labels
    found = probe_accuracy(features, labels)
    halves = []
    from sklearn.model_selection import StratifiedKFold

    for fitted, tested in StratifiedKFold(2, shuffle=True, random_state=0).split(features, labels):
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(features[fitted], labels[fitted])
        halves.append((probe.predict(features[tested]) == labels[tested]).mean())
    assert found == pytest.approx(100 * np.mean(halves))
    assert probe_accuracy(np.eye(3, dtype=np.float32)[labels], labels) == 100


def test_features_of_a_probe_are_averaged_over_the_map() -> None:
    subject = small()
    torch.testing.assert_close(
        pooled_features(subject, 8)["0"], subject.model[0](subject.inputs(slice(None))).mean((2, 3))
    )  # type: ignore[operator, index]


# --------------------------------------------------------------------------------------------------- right and wrong


def test_the_calibration_error_is_that_of_the_test() -> None:
    subject = network_subject("cells")
    found = Reliability().inspect(subject).numbers
    split = subject  # classes, mean and std are all that the test reads
    measured = evaluate(subject.model, subject.images, split, Recipe(batch=8, precision="float32"))  # type: ignore[arg-type]
    assert found["calibration_error_percent"] == pytest.approx(measured.calibration_error_percent, abs=1e-4)
    assert sum(each["images"] for each in found["bins"]) == len(subject.images)


def answering(logits: Tensor, y: list[int]) -> Subject:
    """Return a subject whose network has these logits, (N, K), for images with labels y."""

    class Table(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return logits[(x[:, 0, 0, 0] * 255).round().long()]

    x = torch.arange(len(y), dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
    names = tuple("abc"[: logits.shape[1]])
    return make_subject(Table(), Images(x, torch.tensor(y)), names, ((0.0,), (1.0,)), len(y))


def test_the_confusion_matrix_counts_classes_by_what_they_are_taken_for() -> None:
    logits = torch.eye(3)[[0, 1, 1, 2, 0]] * 5
    subject = answering(logits, [0, 0, 1, 2, 2])
    assert confusion(subject).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]


def test_mistakes_are_in_the_order_of_their_confidence() -> None:
    logits = torch.tensor([[3.0, 0, 0], [0, 1.0, 0], [0, 4.0, 0], [0, 0, 9.0]])
    found = ConfidentMistakes().inspect(answering(logits, [1, 0, 0, 2])).numbers["mistakes"]
    assert [each["image"] for each in found] == [2, 0, 1]
    assert [(each["class"], each["taken_for"]) for each in found] == [("a", "b"), ("b", "a"), ("a", "b")]
    assert found[0]["probability"] == pytest.approx(float(logits[2].softmax(0).max()))


def test_the_samples_are_right_and_of_different_classes() -> None:
    logits = torch.eye(3)[[0, 1, 1, 2, 0]] * 5
    subject = answering(logits, [0, 0, 1, 2, 2])
    assert subject.samples == (0, 2, 3, 1), "the first right one of each class, then any"
    x = subject.inputs([0]).requires_grad_()
    assert class_scores(subject, x, [0]).item() == 5
