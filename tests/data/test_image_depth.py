"""Images of every depth and number of channels, as files hold them; both readers see the same levels."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from nas.data import Augmentation, Encoded, ImageFiles, ImageFolder, Images, RandomCrop, augment, load_batches
from nas.data.batch_random import BatchRandom
from nas.data.crops import central_cut
from nas.data.decode import decode, fit, has_simplejpeg
from nas.data.pixels import Pixels, Undecodable
from nas.records import RecordError

SIZE = 16
RAMP = np.linspace(0, 1, SIZE * SIZE).reshape(SIZE, SIZE)
"""Grey from black to white."""

LEVELS = np.round(RAMP * 255)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def deep(most: int = 65535) -> NDArray[np.uint16]:
    return np.round(RAMP * most).astype(np.uint16)


def tiff(samples: bytes, bits: int, photometric: int = 1, sample_format: int = 1) -> bytes:
    """Write a grey TIFF of one uncompressed strip by hand, as Pillow writes no such depths."""
    short = {256: SIZE, 257: SIZE, 258: bits, 259: 1, 262: photometric, 277: 1, 278: SIZE, 339: sample_format}
    tags = [(tag, 3, struct.pack("<HH", value, 0)) for tag, value in short.items()]
    tags += [(273, 4, struct.pack("<I", 8)), (279, 4, struct.pack("<I", len(samples)))]
    entries = b"".join(struct.pack("<HHI", tag, kind, 1) + value for tag, kind, value in sorted(tags))
    return b"II*\0" + struct.pack("<I", 8 + len(samples)) + samples + struct.pack("<H", len(tags)) + entries + bytes(4)


def packed_12_bits() -> bytes:
    """Two samples in three bytes, as TIFF packs them."""
    pairs = deep(4095).reshape(-1, 2)
    return b"".join(int(first << 12 | second).to_bytes(3, "big") for first, second in pairs.astype(int))


def read(data: bytes, form: Pixels, fast: bool = False) -> NDArray[np.int64]:
    """Read an image by both readers, which must see the same, uint8 (channels, h, w)."""
    decoded = decode(data, lambda width, height: central_cut(width, height, SIZE, 1.0), SIZE, fast, form)
    fitted = fit(data, SIZE, form)
    assert torch.equal(decoded, fitted)
    return fitted.numpy().astype(int)


GREY: dict[str, Callable[[], bytes]] = {
    "PNG of 16 bits": lambda: saved(Image.fromarray(deep()), "PNG"),
    "TIFF of 16 bits": lambda: saved(Image.fromarray(deep()), "TIFF"),
    "TIFF of 16 bits, big-endian": lambda: saved(
        Image.frombytes("I;16B", (SIZE, SIZE), deep().byteswap().tobytes()), "TIFF"
    ),
    "TIFF of 16 bits, white first": lambda: tiff((65535 - deep()).tobytes(), 16, photometric=0),
    "TIFF of 12 bits": lambda: tiff(packed_12_bits(), 12),
    "PGM of 16 bits": lambda: b"P5\n16 16\n65535\n" + deep().byteswap().tobytes(),
    "PGM of 12 bits": lambda: b"P5\n16 16\n4095\n" + deep(4095).byteswap().tobytes(),
    "JPEG 2000 of 16 bits": lambda: saved(Image.fromarray(deep()), "JPEG2000", irreversible=False),
    "PNG of 8 bits": lambda: saved(Image.fromarray(LEVELS.astype(np.uint8)), "PNG"),
    "PNG with alpha": lambda: saved(Image.fromarray(LEVELS.astype(np.uint8)).convert("LA"), "PNG"),
    "array of 16 bits": lambda: array(deep()),
    "array of 8 bits": lambda: array(LEVELS.astype(np.uint8)[:, :, None]),
}


def array(values: NDArray[np.generic]) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", GREY)
def test_grey_of_every_depth_goes_from_black_to_white(name: str, channels: int) -> None:
    found = read(GREY[name](), Pixels(channels))
    assert found.shape == (channels, SIZE, SIZE)
    assert np.abs(found - LEVELS).max() <= 1


def test_samples_of_12_bits_in_files_of_16_are_scaled_where_that_is_said() -> None:
    data = saved(Image.fromarray(deep(4095)), "PNG")
    assert np.abs(read(data, Pixels(1, bits=12)) - LEVELS).max() <= 1
    assert read(data, Pixels(1)).max() == 16
    with pytest.raises(Undecodable, match="it holds values from 0 to 65535, and its depth goes to 4095"):
        read(saved(Image.fromarray(deep()), "PNG"), Pixels(1, bits=12))


COLOURS: dict[str, Callable[[], bytes]] = {
    "RGB of 16 bits": lambda: (
        b"P6\n16 16\n65535\n" + np.stack([deep(), deep()[::-1], deep() * 0], 2).byteswap().tobytes()
    ),
    "RGBA": lambda: saved(colours().convert("RGBA"), "PNG"),
    "half transparent": lambda: saved(half_transparent(), "PNG"),
    "RGB TIFF": lambda: saved(colours(), "TIFF"),
    "array, channels first": lambda: array(np.array(colours()).transpose(2, 0, 1)),
    "array of 16 bits": lambda: array(np.array(colours()).astype(np.uint16) * 257),
}


def colours() -> Image.Image:
    levels = LEVELS.astype(np.uint8)
    return Image.fromarray(np.stack([levels, levels[::-1], levels * 0], 2))


def half_transparent() -> Image.Image:
    image = colours()
    image.putalpha(128)
    return image


@pytest.mark.parametrize("name", COLOURS)
def test_colours_of_every_depth_are_the_same_colours(name: str) -> None:
    wanted = np.array(colours()).transpose(2, 0, 1).astype(int)
    assert np.abs(read(COLOURS[name](), Pixels()) - wanted).max() <= 1


def test_palettes_black_and_white_and_cmyk_are_read_as_before() -> None:
    palette = colours().quantize(8)
    transparent = saved(palette, "PNG", transparency=0)
    assert np.array_equal(read(transparent, Pixels()), np.array(palette.convert("RGB")).transpose(2, 0, 1))
    assert np.array_equal(read(transparent, Pixels(1))[0], np.array(palette.convert("L")))
    black_and_white = Image.fromarray(LEVELS.astype(np.uint8)).convert("1")
    for form in ("PNG", "TIFF", "PPM"):
        assert np.unique(read(saved(black_and_white, form), Pixels(1))).tolist() == [0, 255]
    cmyk = saved(colours().convert("CMYK"), "JPEG", quality=100)
    assert np.abs(read(cmyk, Pixels()) - np.array(colours()).transpose(2, 0, 1)).max() <= 40  # lossy, in small squares


@pytest.mark.skipif(not has_simplejpeg(), reason="simplejpeg is absent")
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_read_as_grey_is_the_same_by_both_decoders(mode: str) -> None:
    data = saved(Image.effect_noise((SIZE, SIZE), 60).convert(mode), "JPEG", quality=95)
    assert np.array_equal(read(data, Pixels(1), fast=True), read(data, Pixels(1), fast=False))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            lambda: saved(Image.fromarray(RAMP.astype(np.float32)), "TIFF"),
            "floating-point, signed or 32-bit numbers, whose range",
        ),
        (lambda: saved(Image.fromarray(deep().astype(np.int32)), "TIFF"), "floating-point, signed or 32-bit numbers"),
        (lambda: tiff(deep().tobytes(), 16, sample_format=2), "floating-point, signed or 32-bit numbers"),
        (lambda: array(RAMP), "it holds float64, whose range is not known: save uint8 or uint16"),
        (lambda: array(np.array([{}], object)), "Object arrays cannot be loaded"),
        (lambda: array(np.zeros((2, 3, 4, 5), np.uint8)), r"it is an array of shape \(2, 3, 4, 5\): give"),
        (lambda: array(np.zeros((8, 8, 5), np.uint8)), "it has 5 channels, and 3 are expected: set channels: 5"),
        (lambda: array(LEVELS.astype(np.uint8))[:150], "ValueError|EOFError"),
    ],
)
def test_numbers_without_a_known_range_are_refused_by_name(data: Callable[[], bytes], reason: str) -> None:
    for reader in (lambda: fit(data(), SIZE, Pixels()), lambda: read(data(), Pixels())):
        with pytest.raises(Undecodable, match=reason):
            reader()


# --------------------------------------------------------------------------------------------------------- channels


def five_bands() -> NDArray[np.uint8]:
    return np.stack([np.roll(LEVELS, 40 * band) for band in range(5)], 2).astype(np.uint8)


BANDS: dict[str, Callable[[], bytes]] = {
    "array": lambda: array(five_bands()),
    "array, channels first": lambda: array(five_bands().transpose(2, 0, 1)),
    "array of 16 bits": lambda: array(five_bands().astype(np.uint16) * 257),
    "TIFF with a page for each": lambda: pages(five_bands()),
    "TIFF with a page of 16 bits for each": lambda: pages(five_bands().astype(np.uint16) * 257),
}


def pages(bands: NDArray[np.generic]) -> bytes:
    first, *others = (Image.fromarray(np.ascontiguousarray(band)) for band in bands.transpose(2, 0, 1))
    return saved(first, "TIFF", save_all=True, append_images=others)


@pytest.mark.parametrize("name", BANDS)
def test_images_of_five_bands_are_read_as_they_are(name: str) -> None:
    assert np.array_equal(read(BANDS[name](), Pixels(5)), five_bands().transpose(2, 0, 1))


def test_a_tiff_of_five_bands_in_one_page_is_read_by_tifffile() -> None:
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    tifffile.imwrite(file, five_bands(), photometric="minisblack", planarconfig="contig")
    assert np.array_equal(read(file.getvalue(), Pixels(5)), five_bands().transpose(2, 0, 1))


def test_two_and_four_channels_of_pictures_are_kept() -> None:
    assert np.array_equal(read(saved(half_transparent(), "PNG"), Pixels(4))[3], np.full((SIZE, SIZE), 128))
    grey = Image.fromarray(LEVELS.astype(np.uint8)).convert("LA")
    assert np.array_equal(read(saved(grey, "PNG"), Pixels(2))[1], np.full((SIZE, SIZE), 255))
    with pytest.raises(Undecodable, match="it has 3 channels, and 5 are expected: set channels: 3"):
        read(saved(colours(), "PNG"), Pixels(5))


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[str, Callable[[], bytes]], str]:
    def write(suffix: str, data: Callable[[], bytes]) -> str:
        for part in ("train", "test"):
            for name in ("a", "b"):
                (tmp_path / part / name).mkdir(parents=True)
                for number in range(4):
                    (tmp_path / part / name / f"{number}{suffix}").write_bytes(data())
        return str(tmp_path)

    return write


@pytest.mark.parametrize(("channels", "suffix", "name"), [(1, ".png", "PNG of 16 bits"), (5, ".npy", "array")])
def test_a_folder_of_other_channels_is_read_and_normalised_by_its_own_statistics(
    folder: Callable[..., str], channels: int, suffix: str, name: str
) -> None:
    path = folder(suffix, {**GREY, **BANDS}[name])
    held = ImageFolder(path, SIZE, channels=channels).load()
    listed = ImageFiles(path, SIZE, channels=channels).load()
    assert isinstance(held.train, Images)
    assert isinstance(listed.train, Encoded)
    assert held.train.shape == listed.train.shape == (channels, SIZE, SIZE)
    for loaded in (held, listed):
        assert (len(loaded.mean), len(loaded.std)) == (channels, channels)
    assert held.mean == pytest.approx((0.5,) * channels, abs=0.02)
    (whole,) = load_batches(listed.train, [torch.arange(8)], torch.device("cpu"), RandomCrop((0.3, 1.0), 0), 0)
    everything = Augmentation(2, True, 4, (0.2, 0.2, 0.2, 0.1), 2, 5.0, 1.0)
    varied = augment(whole.x, everything, listed.mean, listed.std, BatchRandom(torch.Generator().manual_seed(0), 8))
    assert varied.shape == (8, channels, SIZE, SIZE)
    assert varied.isfinite().all()


def test_own_statistics_must_be_one_for_each_channel(folder: Callable[..., str]) -> None:
    path = folder(".png", GREY["PNG of 8 bits"])
    assert ImageFiles(path, SIZE, channels=1, mean=(0.4,), std=(0.2,)).load().mean == (0.4,)
    with pytest.raises(RecordError, match="mean has 2 values and std 1, for 1 channels: give 1 each"):
        ImageFiles(path, SIZE, channels=1, mean=(0.4, 0.4), std=(0.2,)).load()


@pytest.mark.parametrize("reader", [ImageFolder, ImageFiles])
def test_a_folder_of_other_channels_than_are_asked_for_says_how_many(
    folder: Callable[..., str], reader: type[ImageFolder]
) -> None:
    path = folder(".npy", BANDS["array"])
    with pytest.raises(RecordError, match="it has 5 channels, and 3 are expected: set channels: 5"):
        reader(path, SIZE).load()


def test_a_folder_of_12_bits_in_files_of_16_is_warned_of(folder: Callable[..., str]) -> None:
    path = folder(".png", lambda: saved(Image.fromarray(deep(4095)), "PNG"))
    warning = r"0.png, are nearly black, 1\d of 255 at the brightest: set bits: 12 if their samples have 12"
    for reader in (ImageFolder, ImageFiles):
        with pytest.warns(UserWarning, match=warning):
            reader(path, SIZE).load()
    assert ImageFolder(path, SIZE, bits=12).load().mean == pytest.approx((0.5,) * 3, abs=0.02)
