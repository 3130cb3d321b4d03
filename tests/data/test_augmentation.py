"""Augmentation and mixing against their definitions: Pillow, colorsys, and one image after the other."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from nas.data import Augmentation, augment
from nas.data.base import Images
from nas.data.batch_random import BatchRandom
from nas.data.color_noise import color_axes
from nas.data.mixing import mix
from nas.data.rand_augment import (
    CHANGES,
    change_brightness,
    change_contrast,
    change_saturation,
    change_sharpness,
    rand_augment,
    turn_hue,
)
from nas.plain import from_plain
from nas.records import RecordError, to_plain

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
PLAIN = ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))
"""Statistics that leave grey levels as they are."""

EVERYTHING = Augmentation(2, True, 3, (0.4, 0.4, 0.4, 0.2), 2, 9.0, 0.5)


def images_of(batch: int, height: int = 9, width: int = 12) -> Tensor:
    shape = (batch, 3, height, width)
    return torch.randint(1, 256, shape, generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def seeded(seed: int, images: int, own: Tensor | None = None) -> BatchRandom:
    return BatchRandom(torch.Generator().manual_seed(seed), images, own)


@cache
def photographs() -> Tensor:
    """Return four parts, (4, 3, 48, 64), of a photograph that scikit-learn has, one of them dim, one of noise."""
    spec = find_spec("sklearn")  # it is not imported, which takes a second
    assert spec is not None
    assert spec.origin is not None
    photograph = tensor(Image.open(Path(spec.origin).parent / "datasets" / "images" / "china.jpg"))
    parts = [photograph[:, y : y + 48, x : x + 64] for y, x in ((40, 60), (250, 300), (330, 500))]
    return torch.stack([parts[0], parts[1], parts[2] // 2 + 40, images_of(1, 48, 64)[0]])


def pillow(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def changed(change: Callable[[Tensor, Tensor], Tensor], x: Tensor, amounts: list[float]) -> Tensor:
    return change(x.float(), torch.tensor(amounts).view(-1, 1, 1, 1)).round()


# ------------------------------------------------------------------------------------------- crop, flip and cutout


def slow_augment(x: Tensor, how: Augmentation, seed: int) -> Tensor:
    """One image after the other, as the published code, with the draws in the batched function's order."""
    generator, batch, (height, width), pad = torch.Generator().manual_seed(seed), len(x), x.shape[2:], how.crop_pad

    def draw(n: int, shape: tuple[int, ...]) -> Tensor:
        return torch.randint(n, shape, generator=generator)

    flips = draw(2, (batch,)) if how.flip else torch.zeros(batch)
    tops, lefts = draw(2 * pad + 1, (2, batch)) if pad else torch.zeros(2, batch, dtype=torch.int64)
    cropped = []
    for image, flip, top, left in zip(x, flips, tops, lefts, strict=True):
        padded = torch.nn.functional.pad(image, (pad, pad, pad, pad))
        crop = padded[:, top : top + height, left : left + width]
        cropped.append(crop.flip(2) if flip else crop)
    images = torch.stack(cropped).float() / 255
    images = (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    if how.cutout:
        rows, columns = draw(height, (batch,)).tolist(), draw(width, (batch,)).tolist()
        for image, row, column in zip(images, rows, columns, strict=True):
            top, left = row - how.cutout // 2, column - how.cutout // 2
            image[:, max(top, 0) : max(top + how.cutout, 0), max(left, 0) : max(left + how.cutout, 0)] = 0
    return images


@pytest.mark.parametrize(
    "how",
    [
        Augmentation(),
        Augmentation(crop_pad=4),
        Augmentation(flip=True),
        Augmentation(cutout=4),
        Augmentation(cutout=5),
        Augmentation(crop_pad=20, flip=True, cutout=40),
        Augmentation(crop_pad=2, flip=True, cutout=6),
    ],
)
def test_augmentation_is_the_published_one(how: Augmentation) -> None:
    x = images_of(200)
    before = x.clone()
    ours = augment(x, how, MEAN, STD, seeded(7, 200))
    torch.testing.assert_close(ours, slow_augment(x, how, 7), rtol=0, atol=1e-5)
    assert torch.equal(x, before)


def test_crops_flips_and_squares_are_uniform() -> None:
    x = torch.zeros(20_000, 1, 7, 7, dtype=torch.uint8)
    x[:, :, 3, 2] = 255
    draws = seeded(0, 20_000)
    spots = augment(x, Augmentation(crop_pad=1, flip=True), (0.0,), (1.0,), draws).flatten(1).argmax(1)
    found = spots.bincount(minlength=49).view(7, 7)[2:5].double() / 20_000
    row = torch.tensor([0, 1, 1, 2, 1, 1, 0]) / 18  # column 2 goes to 1..3, mirrored to 3..5
    torch.testing.assert_close(found, row.double().expand(3, 7), rtol=0, atol=0.01)
    cut = augment(x, Augmentation(cutout=1), (0.5,), (1.0,), draws)[:, 0] == 0
    expected = torch.full((7, 7), 1 / 49, dtype=torch.float64)
    torch.testing.assert_close(cut.double().mean(0), expected, rtol=0, atol=0.005)


# ------------------------------------------------------------------------------------------------------------ draws


@pytest.mark.parametrize("own", [[0, 3, 6, 9], [8, 1], [5]])
def test_an_image_is_varied_alike_whoever_does_it(own: list[int]) -> None:
    x = images_of(10, 20, 24)
    whole = augment(x, EVERYTHING, MEAN, STD, seeded(3, 10))
    part = augment(x[own], EVERYTHING, MEAN, STD, seeded(3, 10, torch.tensor(own)))
    torch.testing.assert_close(part, whole[own], rtol=0, atol=1e-5)


def test_the_generator_alone_decides() -> None:
    x = images_of(10, 20, 24)
    before = x.clone()
    torch.manual_seed(1)
    first = augment(x, EVERYTHING, MEAN, STD, seeded(3, 10))
    state = torch.random.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(augment(x, EVERYTHING, MEAN, STD, seeded(3, 10)), first)
    assert not torch.equal(augment(x, EVERYTHING, MEAN, STD, seeded(4, 10)), first)
    torch.manual_seed(1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(x, before)
    assert (first.dtype, first.shape) == (torch.float32, x.shape)


@pytest.mark.parametrize("channels", [1, 2])
def test_images_that_have_no_colour_are_varied_too(channels: int) -> None:
    x = images_of(40)[:, :channels]
    out = augment(x, EVERYTHING, MEAN[:channels], STD[:channels], seeded(0, 40))
    assert out.shape == x.shape
    assert out.isfinite().all()
    bounds = Augmentation(color_jitter=(0.0, 0.0, 0.5 if channels == 1 else 0.0, 0.5))
    same = augment(x, bounds, (0.0,) * channels, (1 / 255,) * channels, seeded(0, 40))
    torch.testing.assert_close(same, x.float(), rtol=0, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_nothing_waits_for_the_device() -> None:
    device = torch.device("cuda")
    x, draws = images_of(10, 20, 24).to(device), BatchRandom(torch.Generator(device).manual_seed(0), 10)
    torch.cuda.set_sync_debug_mode("error")
    try:
        first, second = (augment(x, EVERYTHING, MEAN, STD, draws) for _ in range(2))
        mixed, _ = mix(first, torch.zeros(10, dtype=torch.int64, device=device), 0.0, 1.0, Random(0))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert not torch.equal(first, second)
    assert torch.equal(first, augment(x, EVERYTHING, MEAN, STD, BatchRandom(draws.generator.manual_seed(0), 10)))
    assert mixed.device == first.device


# ----------------------------------------------------------------------------------------------------------- colour


@pytest.mark.parametrize(
    ("change", "enhance"),
    [
        (change_brightness, ImageEnhance.Brightness),
        (change_contrast, ImageEnhance.Contrast),
        (change_saturation, ImageEnhance.Color),
        (change_sharpness, ImageEnhance.Sharpness),
    ],
)
@pytest.mark.parametrize("factors", [[0.1, 0.6, 1.3, 1.9], [1.7, 1.0, 0.0, 0.4]])
def test_colours_change_as_in_pillow(
    change: Callable[[Tensor, Tensor], Tensor],
    enhance: Callable[[Image.Image], ImageEnhance._Enhance],
    factors: list[float],
) -> None:
    ours = changed(change, photographs(), factors)
    theirs = [tensor(enhance(pillow(x)).enhance(f)) for x, f in zip(photographs(), factors, strict=True)]
    torch.testing.assert_close(ours, torch.stack(theirs).float(), rtol=0, atol=1)


def test_hues_turn_as_in_hsv() -> None:
    steps = (0.0, 51.0, 128.0, 255.0)
    colours = [(r, g, b) for r in steps for g in steps for b in steps]
    turns = [-0.5, -0.2, 0.0, 0.1, 1 / 3, 0.5]
    x = torch.tensor(colours).T.reshape(1, 3, 8, 8).expand(len(turns), 3, 8, 8)
    ours = turn_hue(x, torch.tensor(turns).view(-1, 1, 1, 1))
    for image, turn in zip(ours, turns, strict=True):
        theirs = []
        for colour in colours:
            hue, saturation, value = colorsys.rgb_to_hsv(*colour)
            theirs.append(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value))
        torch.testing.assert_close(image.flatten(1).T, torch.tensor(theirs), rtol=0, atol=1e-2)


def test_color_jitter_draws_uniform_factors_for_each_image() -> None:
    def jittered(pixels: list[list[int]], bounds: tuple[float, float, float, float]) -> Tensor:
        x = torch.tensor(pixels, dtype=torch.uint8).T.reshape(1, 3, 1, -1).expand(20_000, -1, -1, -1)
        return augment(x, Augmentation(color_jitter=bounds), *PLAIN, seeded(0, 20_000))[:, 0, 0, 0]

    grey = [[100] * 3]
    found = {
        "brightness": (jittered(grey, (0.4, 0.0, 0.0, 0.0)), 60, 140),
        "bounded below": (jittered(grey, (1.5, 0.0, 0.0, 0.0)), 0, 250),
        "contrast": (jittered([[200] * 3, [0] * 3], (0.0, 0.4, 0.0, 0.0)), 160, 240),
        "saturation": (jittered([[100, 0, 0]], (0.0, 0.0, 0.8, 0.0)), 43.9, 156.1),  # its grey is 29.9
        "hue": (jittered([[120, 0, 0]], (0.0, 0.0, 0.0, 0.5)), 0, 120),
    }
    hues = found.pop("hue")[0]
    for name, (values, low, high) in found.items():
        assert values.min() == pytest.approx(low, abs=1), name
        assert values.max() == pytest.approx(high, abs=1), name
        assert values.mean().item() == pytest.approx((low + high) / 2, abs=1), name
        assert values.std().item() == pytest.approx((high - low) / math.sqrt(12), abs=1), name
    # Of red, at a turn uniform over the circle: all of it a third of the time, none for another, a ramp in between.
    assert [(hues == level).double().mean().item() for level in (120, 0)] == pytest.approx([1 / 3, 1 / 3], abs=0.02)


def test_color_jitter_changes_in_a_drawn_order() -> None:
    x, bounds = photographs(), (0.4, 0.3, 0.2, 0.1)
    changes = (change_brightness, change_contrast, change_saturation, turn_hue)
    orders = set()
    for seed in range(6):
        ours = augment(x, Augmentation(color_jitter=bounds), *PLAIN, seeded(seed, 4))
        draws, levels = seeded(seed, 4), x.float()
        order = draws.order(4)
        for number in order:
            centre = 0 if number == 3 else 1
            levels = changes[number](levels, draws.uniform(centre - bounds[number], centre + bounds[number], 1, 1, 1))
        torch.testing.assert_close(ours, levels.round(), rtol=0, atol=1e-3)
        orders.add(tuple(order))
    assert len(orders) > 2
    drawn = seeded(0, 4)
    assert len({tuple(drawn.order(4)) for _ in range(300)}) == 24


# ------------------------------------------------------------------------------------------------------ RandAugment

Made = Callable[[Image.Image, float], Image.Image]


def moved(*matrix: Callable[[float], float]) -> Made:
    def apply(image: Image.Image, amount: float) -> Image.Image:
        numbers = tuple(each(amount) for each in matrix)
        return image.transform(image.size, Image.Transform.AFFINE, numbers, Image.Resampling.BILINEAR)

    return apply


def constant(number: float) -> Callable[[float], float]:
    return lambda _: number


NO, YES = constant(0), constant(1)
GEOMETRY: dict[str, Made] = {
    "_shear_x": moved(YES, lambda a: 0.3 * a, NO, NO, YES, NO),
    "_shear_y": moved(YES, NO, NO, lambda a: 0.3 * a, YES, NO),
    "_translate_x": moved(YES, NO, lambda a: int(150 / 331 * 64 * a), NO, YES, NO),
    "_translate_y": moved(YES, NO, NO, NO, YES, lambda a: int(150 / 331 * 48 * a)),
    "_rotate": lambda image, a: image.rotate(30 * a, Image.Resampling.BILINEAR),
}
COLOURS: dict[str, Made] = {
    "_brightness": lambda image, a: ImageEnhance.Brightness(image).enhance(1 + 0.9 * a),
    "_color": lambda image, a: ImageEnhance.Color(image).enhance(1 + 0.9 * a),
    "_contrast": lambda image, a: ImageEnhance.Contrast(image).enhance(1 + 0.9 * a),
    "_sharpness": lambda image, a: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * a),
    "_posterize": lambda image, a: ImageOps.posterize(image, 8 - round(4 * abs(a))),
    "_solarize": lambda image, a: ImageOps.solarize(image, 256 * (1 - abs(a))),
    "_autocontrast": lambda image, a: ImageOps.autocontrast(image),
    "_equalize": lambda image, a: ImageOps.equalize(image),
}
BY_NAME = {change.__name__: change for change in CHANGES}
AMOUNTS = ([-1.0, -0.45, 0.3, 0.9], [0.0, 0.2, -0.6, 1.0])


def test_every_operation_has_its_counterpart() -> None:
    assert BY_NAME.keys() == GEOMETRY.keys() | COLOURS.keys()


@pytest.mark.parametrize("name", COLOURS)
@pytest.mark.parametrize("amounts", AMOUNTS)
def test_levels_change_as_in_pillow(name: str, amounts: list[float]) -> None:
    ours = changed(BY_NAME[name], photographs(), amounts)
    theirs = [tensor(COLOURS[name](pillow(x), a)) for x, a in zip(photographs(), amounts, strict=True)]
    exact = name in ("_posterize", "_solarize", "_equalize")
    torch.testing.assert_close(ours, torch.stack(theirs).float(), rtol=0, atol=0 if exact else 1)


@pytest.mark.parametrize("name", GEOMETRY)
@pytest.mark.parametrize("amounts", AMOUNTS)
def test_images_move_as_in_pillow(name: str, amounts: list[float]) -> None:
    """Pillow repeats the pixels at the border where it reads half beyond it, and we read black: that is left out."""
    ours = changed(BY_NAME[name], photographs(), amounts)
    covered = changed(BY_NAME[name], torch.full_like(photographs(), 255), amounts)
    theirs = [tensor(GEOMETRY[name](pillow(x), a)) for x, a in zip(photographs(), amounts, strict=True)]
    expected = torch.stack(theirs).float()
    inside = covered == 255
    assert inside.double().mean((1, 2, 3)).min() > 0.5
    assert ((covered > 0) & (covered < 255)).double().mean() < 0.05
    torch.testing.assert_close(ours[inside], expected[inside], rtol=0, atol=1)
    assert not expected[covered == 0].any()
    assert not ours[covered == 0].any()


@pytest.mark.parametrize("name", sorted(BY_NAME.keys() - {"_autocontrast", "_equalize"}))
def test_at_magnitude_0_nothing_changes(name: str) -> None:
    assert torch.equal(changed(BY_NAME[name], photographs(), [0.0] * 4), photographs().float())


def test_a_channel_of_one_level_stays() -> None:
    x = torch.full((1, 3, 5, 5), 77.0)
    for name in ("_autocontrast", "_equalize"):
        assert torch.equal(changed(BY_NAME[name], x, [0.9]), x)


def outcomes(x: Tensor, magnitude: float) -> dict[bytes, str]:
    """Return by its pixels what each operation makes of an image (1, C, H, W), by both signs."""
    made = {x.numpy().tobytes(): "identity"}
    for name, change in BY_NAME.items():
        for sign in (-1, 1):
            made[changed(change, x, [sign * magnitude / 10]).byte().numpy().tobytes()] = f"{name} {sign}"
    return made


def test_each_image_draws_each_operation_and_sign_alike_often() -> None:
    one, images = photographs()[:1, :, 10:26, 10:26], 7000
    known = outcomes(one, 7.0)
    assert len(known) == 1 + 2 * 9 + 4, "the image must tell all outcomes apart"
    varied = rand_augment(one.expand(images, -1, -1, -1), 1, 7.0, seeded(0, images))
    found = [known[image.numpy().tobytes()] for image in varied]
    for name in ("identity", *BY_NAME):
        drawn = [each for each in found if each.split()[0] == name]
        assert len(drawn) == pytest.approx(images / 14, abs=5 * math.sqrt(images / 14)), name
        signs = len({each for each in known.values() if each.split()[0] == name})
        for outcome in set(drawn):
            assert drawn.count(outcome) == pytest.approx(len(drawn) / signs, abs=60), outcome
    assert sum(a == b for a, b in pairwise(found)) < images / 10


def test_operations_follow_each_other() -> None:
    draws = seeded(5, 4)
    one_by_one = rand_augment(rand_augment(photographs(), 1, 9.0, draws), 1, 9.0, draws)
    assert torch.equal(rand_augment(photographs(), 2, 9.0, seeded(5, 4)), one_by_one)
    assert torch.equal(rand_augment(photographs(), 0, 9.0, draws), photographs())


# ---------------------------------------------------------------------------------------------------------- erasing


def rectangles(images: Tensor) -> Iterator[tuple[int, int, int, int]]:
    """Yield the top, left, height and width of the zeros in each of (B, H, W) that has some, which fill it."""
    for image in images:
        rows, columns = ((image == 0).any(axis).nonzero()[:, 0] for axis in (1, 0))
        if len(rows):
            top, bottom, left, right = (int(edge) for edge in (rows[0], rows[-1], columns[0], columns[-1]))
            assert (image[top : bottom + 1, left : right + 1] == 0).all()
            yield top, left, bottom + 1 - top, right + 1 - left


def slow_rectangle(height: int, width: int, rng: Random) -> tuple[int, int, int, int]:
    """Draw as torchvision's RandomErasing."""
    while True:
        area = height * width * rng.uniform(0.02, 0.33)
        ratio = math.exp(rng.uniform(math.log(0.3), math.log(3.3)))
        h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if h < height and w < width:
            return rng.randint(0, height - h), rng.randint(0, width - w), h, w


def test_rectangles_are_erased_as_by_torchvision() -> None:
    x = torch.full((4000, 1, 40, 64), 255, dtype=torch.uint8)
    out = augment(x, Augmentation(erasing=0.75), (0.0,), (1.0,), seeded(0, 4000))
    ours, rng = list(rectangles(out[:, 0])), Random(0)
    assert len(ours) == pytest.approx(3000, abs=140)
    theirs = [slow_rectangle(40, 64, rng) for _ in range(20_000)]
    for number, name in enumerate(("top", "left", "height", "width")):
        for quantile in (0.1, 0.5, 0.9):
            both = [np.quantile([each[number] for each in drawn], quantile) for drawn in (ours, theirs)]
            assert both[0] == pytest.approx(both[1], abs=2), (name, quantile)
    areas, ratios = np.array([h * w / (40 * 64) for *_, h, w in ours]), np.array([h / w for *_, h, w in ours])
    assert 0.015 < areas.min() < 0.03
    assert 0.32 < areas.max() < 0.34
    assert 0.25 < ratios.min() < ratios.max() < 3.7


def test_all_channels_are_erased_after_normalising() -> None:
    out = augment(images_of(50), Augmentation(erasing=1.0), MEAN, STD, seeded(0, 50))
    erased = out == 0
    assert erased.all(1).flatten(1).any(1).all()
    assert torch.equal(erased.all(1), erased.any(1))
    kept = augment(images_of(50), Augmentation(), MEAN, STD, seeded(0, 50))
    assert torch.equal(out[~erased], kept[~erased])


def test_where_no_rectangle_fits_nothing_is_erased() -> None:
    flat = images_of(50, 2, 200)  # the least is 1.5 pixels high, which is rounded to 2
    out = augment(flat, Augmentation(erasing=1.0), *PLAIN, seeded(0, 50))
    torch.testing.assert_close(out, flat.float(), rtol=0, atol=1e-4)


# ----------------------------------------------------------------------------------------------------------- mixing


def labelled(batch: int, height: int = 9, width: int = 12) -> tuple[Tensor, Tensor]:
    return images_of(batch, height, width).float() / 255, torch.arange(batch)


def test_mixup_blends_each_image_with_the_one_before_it() -> None:
    x, y = labelled(5)
    before = x.clone()
    mixed, labels = mix(x, y, 0.7, 0.0, Random(3))
    share = Random(3).betavariate(0.7, 0.7)
    assert labels.share.item() == pytest.approx(share)
    assert (labels.share.shape, labels.share.dtype) == ((), torch.float32)
    assert labels.y.tolist() == [0, 1, 2, 3, 4]
    assert labels.other.tolist() == [4, 0, 1, 2, 3]
    for i in range(5):
        torch.testing.assert_close(mixed[i], share * x[i] + (1 - share) * x[i - 1])
    assert torch.equal(x, before)


def test_cutmix_pastes_a_rectangle_and_shares_by_its_area() -> None:
    x, y = labelled(3, 20, 30)
    before, rng, clipped, shares = x.clone(), Random(1), 0, []
    for _ in range(200):
        state = rng.getstate()
        mixed, labels = mix(x, y, 0.0, 1.0, rng)
        pasted = (mixed != x).any(1)
        for i in range(3):
            assert torch.equal(mixed[i], torch.where(pasted[i], x[i - 1], x[i]))
        assert torch.equal(pasted[0], pasted[1])
        assert labels.share.item() == pytest.approx(1 - pasted[0].double().mean().item(), abs=1e-6)
        again = Random()
        again.setstate(state)
        drawn = again.betavariate(1.0, 1.0)
        sides = [int(size * math.sqrt(1 - drawn)) for size in (20, 30)]
        box = next(rectangles(1 - pasted[:1].int()), (0, 0, 0, 0))
        assert box[2] <= sides[0]
        assert box[3] <= sides[1]
        clipped += [*box[2:]] != sides
        shares.append((drawn, labels.share.item()))
    assert 50 < clipped < 200
    assert all(share >= drawn - 1e-6 for drawn, share in shares)
    assert torch.equal(x, before)


def test_a_rectangle_s_centre_is_uniform() -> None:
    x, y = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 9, 9), torch.arange(2)
    rng = Random(0)
    found = torch.stack([mix(x, y, 0.0, 1.0, rng)[0][0, 0] for _ in range(4000)]).mean(0)
    torch.testing.assert_close(found, found.flip(0), rtol=0, atol=0.05)
    torch.testing.assert_close(found, found.T, rtol=0, atol=0.05)
    assert found[4, 4] > found[0, 4] > found[0, 0] > 0


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_the_share_is_beta_distributed(alpha: float) -> None:
    x, y = torch.zeros(2, 1, 1, 1), torch.arange(2)
    rng = Random(0)
    shares = torch.stack([mix(x, y, alpha, 0.0, rng)[1].share for _ in range(4000)])
    assert shares.mean().item() == pytest.approx(0.5, abs=0.03)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_a_batch_takes_one_of_both() -> None:
    x, y = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 8, 8), torch.arange(2)
    rng = Random(0)
    blended = [len(mix(x, y, 1.0, 1.0, rng)[0][0].unique()) == 1 for _ in range(1000)]
    assert sum(blended) / 1000 == pytest.approx(0.5 + 1 / 128, abs=0.05)  # a rectangle of no pixel passes for a blend


def test_without_alphas_nothing_is_mixed() -> None:
    x, y = labelled(4)
    mixed, labels = mix(x, y, 0.0, 0.0, Random(0))
    assert torch.equal(mixed, x)
    assert labels.share == 1


# ----------------------------------------------------------------------------------------------------------- record


def test_an_augmentation_is_a_record_with_bounds() -> None:
    assert from_plain(to_plain(EVERYTHING), Augmentation) == EVERYTHING
    for name, number in {"rand_augment": -1, "rand_augment_magnitude": 11.0, "erasing": 1.5}.items():
        with pytest.raises(RecordError, match=f"{name} is {number}: give a number"):
            from_plain({"Augmentation": {name: number}}, Augmentation)


# ------------------------------------------------------------------------------------------------------ colour noise


def test_the_axes_of_colours_are_the_eigenvectors_of_the_training_pixels() -> None:
    x = photographs()
    axes = color_axes(Images(x, torch.zeros(len(x), dtype=torch.int64))).double().numpy()
    pixels = x.permute(1, 0, 2, 3).flatten(1).double().numpy() / 255
    covariance = np.cov(pixels, bias=True)
    np.testing.assert_allclose(axes @ axes.T, covariance, atol=1e-6)
    lengths = np.sqrt(np.linalg.eigvalsh(covariance))
    np.testing.assert_allclose(np.linalg.norm(axes, axis=0), lengths, atol=1e-6)
    np.testing.assert_allclose(axes.T @ axes, np.diag(lengths**2), atol=1e-6)


def test_colour_noise_shifts_all_pixels_of_an_image_alike_and_as_the_pixels_vary() -> None:
    axes = color_axes(Images(photographs(), torch.zeros(4, dtype=torch.int64)))
    x, how = images_of(4000, 2, 2), Augmentation(color_noise=0.1)
    plain = augment(x, Augmentation(), MEAN, STD, seeded(0, 4000))
    shift = (augment(x, how, MEAN, STD, seeded(0, 4000), axes) - plain) * torch.tensor(STD).view(3, 1, 1)
    torch.testing.assert_close(shift, shift[:, :, :1, :1].expand_as(shift), rtol=0, atol=1e-5)
    expected = torch.randn((4000, 3), generator=torch.Generator().manual_seed(0)) * 0.1 @ axes.T
    torch.testing.assert_close(shift[:, :, 0, 0], expected, rtol=0, atol=1e-5)
    covariance = 0.01 * axes @ axes.T
    assert (shift[:, :, 0, 0].T.cov() - covariance).abs().max() < 0.05 * covariance.abs().max()
