"""Encoded images: decoding, crops, feeding by worker processes, and the data sets that are read when needed; real files."""

from __future__ import annotations

import io
import math
import multiprocessing
import os
import pickle
import signal
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from nas.data import (
    Encoded,
    HubImages,
    ImageFiles,
    Images,
    RandomCrop,
    WebDataset,
    decoder_name,
    load_batches,
    split,
)
from nas.data.crops import Cut, central_cut
from nas.data.decode import Undecodable, decode, has_simplejpeg
from nas.plain import from_plain
from nas.records import RecordError, to_plain

CPU = torch.device("cpu")
SIZE = 32
CROP = RandomCrop((0.08, 1.0), 7)
DECODERS = [False, pytest.param(True, marks=pytest.mark.skipif(not has_simplejpeg(), reason="simplejpeg is absent"))]


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    """Return a real photograph, 640 pixels wide and 427 high, of those that come with scikit-learn, which is not loaded."""
    spec = find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    return Image.open(Path(spec.origin).parent / "datasets" / "images" / "china.jpg").convert("RGB")


def jpeg(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(photograph: Image.Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of JPEG files with the parts train and val and the classes a, b and c: 36 and 6 images."""
    root = tmp_path_factory.mktemp("images")
    for i in range(42):
        width, height = 60 + 3 * (i % 7), 90 - 2 * (i % 11)
        part = photograph.crop((5 * i, 3 * i, 5 * i + 2 * width, 3 * i + 2 * height)).resize((width, height))
        file = root / ("train" if i < 36 else "val") / "abc"[i % 3] / f"{i:03}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(jpeg(part))
    return root


def encoded(data: ImageFiles | HubImages | WebDataset) -> tuple[Encoded, Encoded]:
    loaded = data.load()
    assert isinstance(loaded.train, Encoded)
    assert isinstance(loaded.test, Encoded)
    return loaded.train, loaded.test


@pytest.fixture
def images(folder: Path) -> Encoded:
    return encoded(ImageFiles(str(folder), size=SIZE))[0]


def batches(images: Encoded, crop: RandomCrop | None = CROP, processes: int = 0, batch: int = 8) -> list[Images]:
    return list(load_batches(images, torch.arange(len(images)).split(batch), CPU, crop, processes))


def joined(found: list[Images]) -> Tensor:
    return torch.cat([batch.x for batch in found])


def children() -> set[str]:
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = status.read_text()
        except OSError:
            continue
        if text.rpartition(")")[2].split()[1] == str(os.getpid()):
            found.add(status.parent.name)
    return found


# --------------------------------------------------------------------------------------------------------- decoding


def torchvision_crop(image: Image.Image, box: tuple[int, int, int, int], size: int) -> np.ndarray:
    return np.asarray(image.crop(box).resize((size, size), Image.Resampling.BILINEAR)).astype(int)


@pytest.mark.parametrize("fast", DECODERS)
def test_a_crop_is_cut_out_and_scaled_as_pillow_would(photograph: Image.Image, fast: bool) -> None:
    data = jpeg(photograph)
    plain = Image.open(io.BytesIO(data)).convert("RGB")
    for number in range(12):
        cut = CROP.cut(number, 640, 427, 224)
        x = decode(data, lambda w, h, i=number: CROP.cut(i, w, h, 224), 224, fast)
        assert x.shape == (3, 224, 224)
        difference = np.abs(x.permute(1, 2, 0).numpy() - torchvision_crop(plain, cut.box, 224))
        assert difference.max() <= 1


@pytest.mark.parametrize("fast", DECODERS)
@pytest.mark.parametrize("size", [(50, 38), (38, 50), (500, 375), (30, 30), (91, 20)])
def test_the_central_crop_is_resize_and_centre_crop(photograph: Image.Image, size: tuple[int, int], fast: bool) -> None:
    data = jpeg(photograph.resize(size))
    plain = Image.open(io.BytesIO(data)).convert("RGB")
    width, height = plain.size
    scale = 64 / min(width, height)  # 56 of 64
    scaled = plain.resize(
        (max(64, int(width * scale + 1e-9)), max(64, int(height * scale + 1e-9))), Image.Resampling.BILINEAR
    )
    left, top = round((scaled.width - 56) / 2), round((scaled.height - 56) / 2)
    wanted = np.asarray(scaled.crop((left, top, left + 56, top + 56))).astype(int)
    x = decode(data, lambda w, h: central_cut(w, h, 56, 0.875), 56, fast)
    assert np.abs(x.permute(1, 2, 0).numpy() - wanted).max() <= (1 if min(size) < 4 * 56 else 20)


@pytest.mark.parametrize("fast", DECODERS)
def test_a_large_jpeg_is_shrunk_while_it_is_decoded(photograph: Image.Image, fast: bool) -> None:
    data = jpeg(photograph.resize((1283, 859)))
    for number in range(6):
        cut = CROP.cut(number, 1283, 859, 64)
        assert cut.shrink > 1
        x = decode(data, lambda w, h, i=number: CROP.cut(i, w, h, 64), 64, fast)
        wanted = torchvision_crop(Image.open(io.BytesIO(data)), cut.box, 64)
        difference = torch.from_numpy(x.permute(1, 2, 0).numpy() - wanted).double()
        blocks = difference.view(8, 8, 8, 8, 3).mean((1, 3))  # in which half a pixel is little
        assert blocks.abs().max() < 12


@pytest.mark.parametrize("fast", DECODERS)
@pytest.mark.parametrize("turned", range(1, 9))
def test_images_are_turned_upright(photograph: Image.Image, turned: int, fast: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    data = jpeg(photograph.resize((64, 43)), exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    asked: list[tuple[int, int]] = []

    def choose(width: int, height: int) -> Cut:
        asked.append((width, height))
        return CROP.cut(0, width, height, 24)

    x = decode(data, choose, 24, fast)
    assert asked[-1] == upright.size
    wanted = torchvision_crop(upright, CROP.cut(0, *upright.size, 24).box, 24)
    assert np.abs(x.permute(1, 2, 0).numpy() - wanted).max() <= 1


@pytest.mark.parametrize("fast", DECODERS)
@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("L", "JPEG"),
        ("CMYK", "JPEG"),
        ("P", "PNG"),
        ("RGBA", "PNG"),
        ("L", "PNG"),
        ("RGB", "WEBP"),
        ("1", "PNG"),
        ("P", "GIF"),
    ],
)
def test_any_image_becomes_rgb(photograph: Image.Image, mode: str, kind: str, fast: bool) -> None:
    file = io.BytesIO()
    photograph.resize((40, 30)).convert(mode).save(file, kind)
    wanted = np.asarray(Image.open(io.BytesIO(file.getvalue())).convert("RGB")).astype(int)
    x = decode(file.getvalue(), lambda w, h: RandomCrop((1.0, 1.0), 0).cut(0, w, h, 30), 30, fast)
    cut = RandomCrop((1.0, 1.0), 0).cut(0, 40, 30, 30)
    scaled = torchvision_crop(Image.fromarray(wanted.astype(np.uint8)), cut.box, 30)
    assert np.abs(x.permute(1, 2, 0).numpy() - scaled).max() <= 1


@pytest.mark.parametrize("fast", DECODERS)
def test_broken_bytes_are_refused_with_the_reason(photograph: Image.Image, fast: bool) -> None:
    whole = jpeg(photograph.resize((99, 66)))
    for broken in (b"", b"no image", whole[: len(whole) // 2], whole[:30]):
        with pytest.raises(Undecodable, match=r".+: .+"):
            decode(broken, lambda w, h: CROP.cut(0, w, h, 8), 8, fast)


def test_the_decoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    assert not has_simplejpeg()
    assert decoder_name() == f"Pillow {Image.__version__}"


# ------------------------------------------------------------------------------------------------------------ crops


def test_random_crops_have_the_published_distribution() -> None:
    """The definition's moments, where every crop fits: an area of 0.1 to 0.2, and a ratio between 3/4 and 4/3."""
    crop, size = RandomCrop((0.1, 0.2), 1), (2000, 1500)
    boxes = torch.tensor([crop.cut(i, *size, 8).box for i in range(4000)], dtype=torch.float64)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    share, log_ratio = width * height / 3e6, (width / height).log()
    left, top = boxes[:, 0] / (2000 - width), boxes[:, 1] / (1500 - height)
    bound = math.log(4 / 3)
    for values, low, high in ((share, 0.1, 0.2), (log_ratio, -bound, bound), (left, 0, 1), (top, 0, 1)):
        uniform = ((values - low) / (high - low)).sort().values
        assert (uniform - torch.linspace(0, 1, 4000)).abs().max() < 0.03  # Kolmogorov and Smirnov: 0.026 at 1 %


def test_a_crop_that_never_fits_is_the_largest_central_one() -> None:
    crop = RandomCrop((1.0, 1.0), 0)
    assert crop.cut(0, 400, 100, 8).box == (133, 0, 266, 100)
    assert crop.cut(0, 100, 400, 8).box == (0, 133, 100, 266)


def test_a_crop_is_a_function_of_seed_and_number() -> None:
    boxes = [RandomCrop((0.08, 1.0), seed).cut(number, 500, 375, 8).box for seed in range(3) for number in range(20)]
    assert len(set(boxes)) == 60
    assert boxes[0] == (212, 100, 500, 358)  # the same in every process, and for whoever goes on with an old run


# ------------------------------------------------------------------------------------------------------------- feed


def test_batches_do_not_depend_on_the_number_of_processes(images: Encoded) -> None:
    state = torch.get_rng_state()
    alone = batches(images)
    assert [batch.x.shape for batch in alone] == [(8, 3, SIZE, SIZE)] * 4 + [(4, 3, SIZE, SIZE)]
    assert torch.equal(torch.cat([batch.y for batch in alone]), images.y)
    for processes in (1, 2):
        assert torch.equal(joined(alone), joined(batches(images, processes=processes)))
    assert torch.equal(state, torch.get_rng_state())


def test_an_epoch_goes_on_where_it_was_cut_off(images: Encoded) -> None:
    parts = images.order(torch.Generator().manual_seed(0)).split(5)
    whole, rest = (list(load_batches(images, each, CPU, CROP, 0)) for each in (parts, parts[4:]))
    assert torch.equal(joined(whole[4:]), joined(rest))
    assert torch.equal(whole[0].y, images.y[parts[0]])


def test_images_in_memory_are_fed_too() -> None:
    x = torch.arange(5 * 3 * 4, dtype=torch.uint8).view(5, 3, 2, 2)
    held = Images(x, torch.arange(5))
    coming = load_batches(held, [torch.tensor([3, 1]), torch.tensor([0])], CPU)
    assert [batch.y.tolist() for batch in coming] == [[3, 1], [0]]
    assert coming.broken == 0
    assert torch.equal(held.order(torch.Generator().manual_seed(0)).sort().values, torch.arange(5))


@pytest.mark.parametrize("way", ["close", "let go"])
def test_a_feed_that_is_left_ends_its_processes(images: Encoded, way: str) -> None:
    before = children()
    coming = load_batches(images, torch.arange(36).split(4), CPU, CROP, 2)
    next(coming)
    assert len(children() - before) == 2
    if way == "close":
        coming.close()
        assert list(coming) == []
    else:
        del coming
    assert not children() - before


def test_workers_die_with_the_process_that_feeds(images: Encoded) -> None:
    context = multiprocessing.get_context("fork")
    told, tell = context.Pipe(duplex=False)

    def feed_and_die() -> None:
        coming = load_batches(images, torch.arange(36).split(2), CPU, CROP, 2)
        next(coming)
        tell.send([each.pid for each in multiprocessing.active_children()])
        os.kill(os.getpid(), signal.SIGKILL)

    feeding = context.Process(target=feed_and_die)
    feeding.start()
    assert told.poll(60)
    workers = told.recv()
    feeding.join()
    assert (len(workers), feeding.exitcode) == (2, -signal.SIGKILL)
    until = time.monotonic() + 3  # less than the 5 s after which torch's workers look for their parent
    while any(map(_runs, workers)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not [each for each in workers if _runs(each)]


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# ------------------------------------------------------------------------------------------------------ broken images


@pytest.fixture
def damaged(images: Encoded, tmp_path: Path) -> Callable[..., Encoded]:
    """Return a function that copies the images, cuts some files short, and tolerates a share of broken ones."""

    def damage(*numbers: int, tolerated: float = 0.1) -> Encoded:
        for number, label in enumerate(images.y.tolist()):
            data = images.source.read(number)
            file = tmp_path / "abc"[label] / f"{number:03}.jpg"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(data[:-200] if number in numbers else data)
        whole = encoded(ImageFiles(str(tmp_path), size=SIZE, test=0.5, tolerated=tolerated))[0]
        return replace(whole, numbers=torch.arange(36), y=images.y)

    return damage


@pytest.mark.parametrize("processes", [0, 2])
def test_in_training_the_next_sound_image_takes_the_place(
    images: Encoded, damaged: Callable[..., Encoded], processes: int
) -> None:
    sound, some = joined(batches(images)), damaged(6, 7, 21)
    coming = load_batches(some, torch.arange(36).split(8), CPU, CROP, processes)
    with pytest.warns(UserWarning, match="cannot be decoded") as warned:
        found = list(coming)
    places = torch.arange(36)
    places[[6, 7, 21]] = torch.tensor([0, 0, 22])  # after the last of a batch comes its first
    assert torch.equal(joined(found), sound[places])
    assert torch.equal(torch.cat([batch.y for batch in found]), images.y[places])
    assert coming.broken == 3
    named = [str(each.message).split(" cannot be decoded (")[0] for each in warned]
    assert named == [some.source.name(number) for number in (6, 7, 21)]


def test_in_evaluation_a_broken_image_is_left_out(images: Encoded, damaged: Callable[..., Encoded]) -> None:
    sound, some = joined(batches(images, None)), damaged(0, 1, 20)
    coming = load_batches(some, torch.arange(36).split(2), CPU, None, 0)
    with pytest.warns(UserWarning, match="repair or remove it"):
        found = list(coming)
    kept = torch.tensor([i for i in range(36) if i not in (0, 1, 20)])
    assert len(found) == 17
    assert torch.equal(joined(found), sound[kept])
    assert torch.equal(torch.cat([batch.y for batch in found]), images.y[kept])
    assert coming.broken == 3


@pytest.mark.parametrize("numbers", [(3,), (3, 4, 5)])
def test_a_few_broken_images_of_few_are_no_error(damaged: Callable[..., Encoded], numbers: tuple[int, ...]) -> None:
    coming = load_batches(damaged(*numbers, tolerated=0.01), torch.arange(36).split(12), CPU, CROP, 0)
    with pytest.warns(UserWarning, match="cannot be decoded"):
        list(coming)
    assert coming.broken == len(numbers)
    with pytest.raises(RecordError, match=r"1 of 36 images cannot be decoded, and 0\.00% are tolerated"):
        list(load_batches(damaged(3, tolerated=0.0), torch.arange(36).split(12), CPU, CROP, 0))


def test_too_many_broken_images_are_an_error_that_names_some(damaged: Callable[..., Encoded]) -> None:
    some, before = damaged(*range(1, 36, 2)), children()
    coming = load_batches(some, torch.arange(36).split(12), CPU, CROP, 1)
    with pytest.warns(UserWarning, match="cannot be decoded"), pytest.raises(RecordError) as error:
        list(coming)
    named = ", ".join(some.source.name(number) for number in (3, 5, 7))
    message = str(error.value)
    assert message.startswith(f"4 of 36 images cannot be decoded, and 10.00% are tolerated; the last: {named} (")
    assert message.endswith("): repair or remove them, or raise `tolerated`")
    assert not children() - before


def test_a_batch_without_a_sound_image_is_an_error(damaged: Callable[..., Encoded]) -> None:
    some = damaged(0, 1, tolerated=1.0)
    coming = load_batches(some, torch.arange(36).split(2), CPU, CROP, 0)
    with (
        pytest.warns(UserWarning, match="repair"),
        pytest.raises(RecordError, match="all 2 images of a batch cannot be decoded"),
    ):
        list(coming)


def test_a_file_that_is_gone_is_a_broken_image(images: Encoded, damaged: Callable[..., Encoded]) -> None:
    some = damaged()
    Path(some.source.name(5)).unlink()
    with pytest.warns(UserWarning, match="No such file"):
        assert len(joined(batches(some, None))) == 35


# --------------------------------------------------------------------------------------------------------- data sets


def write_tar(
    path: Path, files: list[tuple[str, Path, int]], form: int = tarfile.USTAR_FORMAT, label: str = "cls"
) -> None:
    with tarfile.open(path, "w", format=form) as tar:
        for key, file, number in files:
            for name, data in ((f"{key}.jpg", file.read_bytes()), (f"{key}.{label}", str(number).encode())):
                member = tarfile.TarInfo(name)
                member.size, member.mtime = len(data), 1.5 if form == tarfile.PAX_FORMAT else 1
                tar.addfile(member, io.BytesIO(data))


def listed(folder: Path, part: str) -> list[tuple[str, Path, int]]:
    return [(f"x/{f.stem}", f, "abc".index(f.parent.name)) for f in sorted((folder / part).rglob("*.jpg"))]


@pytest.fixture(scope="module")
def shards(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shards")
    files = listed(folder, "train")
    forms = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    for i in range(9):
        long = [(f"{key}{'-long' * 30}" if i == 1 or i == 2 else key, *rest) for key, *rest in files[4 * i : 4 * i + 4]]
        write_tar(root / f"train-{i + 2:03}.tar", long, forms[i % 3])
    write_tar(root / "val-0.tar", listed(folder, "val"))
    return root


@pytest.fixture(scope="module")
def parquet(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubImages]:
    import datasets

    root, cache = (tmp_path_factory.mktemp(name) for name in ("parquet", "cache"))
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list("abc"))})
    for part, name in (("train", "train"), ("val", "validation")):
        rows = [{"image": {"bytes": f.read_bytes(), "path": None}, "label": y} for _, f, y in listed(folder, part)]
        datasets.Dataset.from_list(rows, features=kinds).to_parquet(root / f"{name}-0.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
        yield HubImages(str(root), size=SIZE)


def test_folder_parquet_and_tar_hold_the_same(folder: Path, shards: Path, parquet: HubImages) -> None:
    tar = WebDataset(f"{shards}/train-{{002..010}}.tar", f"{shards}/val-*.tar", classes=tuple("abc"), size=SIZE)
    sets = [ImageFiles(str(folder), size=SIZE), parquet, tar]
    for data in sets:
        assert from_plain(to_plain(data), type(data)) == data
    loaded = [data.load() for data in sets]
    for each in loaded[1:]:
        assert (each.classes, each.mean, each.std) == (tuple("abc"), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        assert each.classes == loaded[0].classes
        for part in ("train", "test"):
            ours, theirs = getattr(loaded[0], part), getattr(each, part)
            assert torch.equal(ours.y, theirs.y)
            copied = replace(theirs, source=pickle.loads(pickle.dumps(theirs.source)))
            for crop, source in ((CROP, theirs), (None, copied)):
                assert torch.equal(joined(batches(ours, crop)), joined(batches(source, crop)))
    names = [each.train.source.name(5) for each in loaded]
    file = listed(folder, "train")[5][1]
    assert names == [str(file), f"{parquet.name}, row 5", names[2]]
    assert names[2].startswith(f"x/{file.stem}")
    assert names[2].endswith("train-003.tar")


def test_a_folder_is_listed_and_split_as_one_in_memory(folder: Path, images: Encoded) -> None:
    assert [images.source.name(i) for i in range(36)] == [str(file) for _, file, _ in listed(folder, "train")]
    assert (len(images), images.shape) == (36, (3, SIZE, SIZE))
    parts = split(ImageFiles(str(folder), size=SIZE), 0.25, 0)
    assert isinstance(parts.train, Encoded)
    assert sorted([*parts.train.numbers.tolist(), *parts.validation.numbers.tolist()]) == list(range(36))
    assert torch.equal(images.y[parts.train.numbers], parts.train.y)
    assert len(parts.open_test()) == 6
    train, test = encoded(ImageFiles(str(folder / "train"), test=0.25))
    assert test.y.bincount().tolist() == [3, 3, 3]
    assert not set(train.numbers.tolist()) & set(test.numbers.tolist())


def test_shards_are_read_nearly_in_sequence(shards: Path) -> None:
    train, _ = encoded(WebDataset(f"{shards}/train-{{002..010}}.tar", f"{shards}/val-0.tar"))
    order, again = (train.order(torch.Generator().manual_seed(0)) for _ in range(2))
    assert torch.equal(order, again)
    assert torch.equal(order.sort().values, torch.arange(36))
    shard = (order // 4).tolist()
    begun, ended = ([shard.index(each) for each in range(9)], [35 - shard[::-1].index(each) for each in range(9)])
    opened = [sum(first <= i <= last for first, last in zip(begun, ended, strict=True)) for i in range(36)]
    assert 2 <= max(opened) <= 4
    assert begun != sorted(begun)
    part = train.at(torch.arange(0, 36, 2))
    assert torch.equal(part.order(torch.Generator().manual_seed(1)).sort().values, torch.arange(18))
    other = train.order(torch.Generator().manual_seed(2))
    assert not torch.equal(order, other)


# ------------------------------------------------------------------------------------------------------------ errors


def refusal(data: ImageFiles | HubImages | WebDataset) -> str:
    with pytest.raises(RecordError) as error:
        data.load()
    message = str(error.value)
    assert "\n" not in message
    return message


def test_a_folder_that_cannot_be_used_says_why(folder: Path, tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    assert refusal(ImageFiles(str(absent))).startswith(
        f"folder {absent} does not exist: give a folder with a subfolder"
    )
    assert "has no images in subfolders: give" in refusal(ImageFiles(str(tmp_path)))
    (tmp_path / "a").symlink_to(folder / "train" / "a")
    assert "has one class, 'a': give" in refusal(ImageFiles(str(tmp_path)))
    for part, classes in (("train", "ab"), ("val", "ac")):
        (tmp_path / "other" / part).mkdir(parents=True)
        for name in classes:
            (tmp_path / "other" / part / name).symlink_to(folder / "train" / name)
    assert "val has the classes 'c', and the training images have 'a', 'b'" in refusal(
        ImageFiles(str(tmp_path / "other"))
    )
    assert "the test set has 0 of 36 images" in refusal(ImageFiles(str(folder / "train"), test=0.0))


def test_a_data_set_that_cannot_be_fetched_or_lacks_a_column_says_so(parquet: HubImages, tmp_path: Path) -> None:
    message = refusal(replace(parquet, image="imag"))
    assert message.endswith("has no column 'imag': did you mean 'image'? it has image, label; give `image` and `label`")
    assert "has no split 'test': did you mean 'train'? it has train, validation" in refusal(
        replace(parquet, test="test")
    )
    assert "column 'image' of" in (message := refusal(replace(parquet, label="image")))
    assert message.endswith("holds no integers: give another `label`")
    assert f"{tmp_path} cannot be fetched (" in refusal(HubImages(str(tmp_path)))


def test_shards_that_cannot_be_used_say_why(folder: Path, shards: Path, tmp_path: Path) -> None:
    val = f"{shards}/val-0.tar"
    message = refusal(WebDataset(f"{shards}/train-{{002..012}}.tar", val))
    assert message.startswith(
        f"{shards}/train-{{002..012}}.tar: 2 of 11 shards are missing, the first {shards}/train-011.tar"
    )
    assert "no shard matches: give existing files" in refusal(WebDataset(f"{shards}/none-*.tar", val))
    assert "4 of 4 images without a label, the first x/" in refusal(
        WebDataset(f"{shards}/train-002.tar", val, label="txt")
    )
    assert "has the labels 0 to 2, and the classes are 0 to 1: give" in refusal(
        WebDataset(val, val, classes=("a", "b"))
    )
    files = listed(folder, "val")
    write_tar(tmp_path / "one.tar", files[:2])
    assert "has training images of one class, 0: give at least two" in refusal(
        WebDataset(str(tmp_path / "one.tar"), val)
    )
    write_tar(tmp_path / "none.tar", [])
    assert "has no training images" in refusal(WebDataset(str(tmp_path / "none.tar"), val))
    torn = tmp_path / "torn.tar"
    torn.write_bytes(Path(val).read_bytes()[:3000])
    assert f"{torn} is truncated at 3000 bytes" in refusal(WebDataset(str(torn), val))
    torn.write_bytes(b"x" * 3000)
    assert f"{torn} is not a tar archive" in refusal(WebDataset(str(torn), val))
    write_tar(torn, [(key, file, "cat") for key, file, _ in files])  # type: ignore[misc]
    assert "holds b'cat': give the number of a class" in refusal(WebDataset(str(torn), val))
