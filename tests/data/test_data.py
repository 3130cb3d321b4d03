"""Data sets and splits, on real images where there are some."""

from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from cifar import unpacked
from PIL import Image
from torch import Tensor

import nas.data
from nas.data import (
    Cifar10,
    Cifar100,
    Data,
    Digits,
    ImageFiles,
    ImageFolder,
    Images,
    MovingDigits,
    cifar,
    normalise,
    split,
)
from nas.data.base import channel_statistics, stratified_order
from nas.data.python_batches import read_python_batch
from nas.data.shares import hold_out, take
from nas.plain import from_plain
from nas.records import RecordError, record_classes, to_plain

ROOT = Path(__file__).resolve().parents[2]


def rows(images: Images) -> set[bytes]:
    return {image.numpy().tobytes() for image in images.x}


# -------------------------------------------------------------------------------------------------------- data sets


def test_every_data_set_is_a_record_found_by_its_name() -> None:
    known = record_classes(Data)
    assert {"Cifar10", "Cifar100", "Digits", "ImageFolder"} <= known.keys()
    assert from_plain({"ImageFolder": {"path": "/a", "size": 64}}, Data) == ImageFolder("/a", 64)
    assert to_plain(Cifar10()) == {"Cifar10": {}}


def test_a_moving_digit_is_its_scan_moved_around_the_canvas() -> None:
    loaded, digits = MovingDigits(frames=3, size=12, speeds=(1, 2)).load(), Digits().load()
    assert isinstance(loaded.train, Images)
    assert isinstance(digits.train, Images)
    assert (loaded.train.shape, len(loaded.train), len(loaded.test)) == ((3, 12, 12), 1438, 359)
    ways = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}
    for clip, label, scan in zip(loaded.train.x[:64].numpy(), loaded.train.y, digits.train.x, strict=False):
        *words, speed = loaded.classes[int(label)].split()
        step = int(speed) * np.sum([ways[word] for word in words], 0)
        canvas = np.zeros((12, 12), np.uint8)
        canvas[:8, :8] = scan[0].numpy()
        places = [(i, j) for i in range(12) for j in range(12) if (np.roll(canvas, (i, j), (0, 1)) == clip[0]).all()]
        assert places, "the first frame is the scan somewhere"
        for frame in (1, 2):
            np.testing.assert_array_equal(clip[frame], np.roll(clip[0], tuple(frame * step), (0, 1)))


def test_a_frame_of_moving_digits_does_not_say_the_movement() -> None:
    train = MovingDigits().load().train
    assert isinstance(train, Images)
    counts = train.y.bincount()
    assert len(counts) == 16
    assert counts.max() - counts.min() <= 1
    # where the ink is on the canvas has, in each class, the uniform distribution: its mean over clips is that of all
    ink = torch.stack([train.x[train.y == label].double().mean((0, 1)) for label in range(16)])
    assert ((ink.sum((1, 2)) / ink.sum((1, 2)).mean() - 1).abs() < 0.1).all()
    left = ink[:, :, :8].sum((1, 2)) / ink.sum((1, 2))
    assert ((left - 0.5).abs() < 0.1).all(), left


def test_moving_digits_are_those_of_their_seed() -> None:
    digests = [MovingDigits(seed=seed).load().identity().digest for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]
    for wrong, words in (
        ({"speeds": ()}, "give at least one"),
        ({"speeds": (1, 1)}, "each once"),
        ({"size": 12, "speeds": (6,)}, "less than half the size, 12"),
        ({"frames": 1}, "give at least 2 frames of 8 pixels"),
    ):
        with pytest.raises(RecordError, match=words):
            MovingDigits(**wrong)


def test_heavy_libraries_are_loaded_when_used() -> None:
    code = (
        "import sys, nas.data, nas.training; print({'sklearn', 'datasets', 'PIL', 'simplejpeg'} & sys.modules.keys())"
    )
    assert _run(code, "0") == "set()"


def test_digits_are_the_scans_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    loaded = Digits().load()
    assert loaded.train.x.shape == (1438, 1, 8, 8)
    assert loaded.test.x.shape == (359, 1, 8, 8)
    together = torch.cat([loaded.train.x, loaded.test.x]).flatten(1).double().mul(16 / 255).round()
    theirs = torch.from_numpy(load_digits().data)
    assert torch.equal(together.sum(0), theirs.sum(0))
    assert together.max() == 16
    shares = np.bincount(load_digits().target) * 359 / 1797
    assert np.abs(loaded.test.y.bincount().numpy() - shares).max() <= 1


def test_the_statistics_are_exact() -> None:
    x = Digits().load().train.x
    mean, std = channel_statistics(x)
    assert mean[0] == pytest.approx((x.double() / 255).mean().item(), abs=1e-12)
    assert std[0] == pytest.approx((x.double() / 255).std(correction=0).item(), abs=1e-12)
    assert channel_statistics(torch.zeros(2, 1, 2, 2, dtype=torch.uint8)) == ((0.0,), (1 / 255,))


def test_images_of_another_form_are_refused() -> None:
    with pytest.raises(TypeError, match=r"images are torch.float32 \(2, 3, 4, 4\): give uint8 \(N, C, H, W\)"):
        Images(torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"labels are torch.int64 \(3,\): give int64 \(2,\)"):
        Images(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64))


# ----------------------------------------------------------------------------------------------------------- splits


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_split_shares_out_the_training_images_and_no_test_image(seed: int) -> None:
    loaded, parts = Digits().load(), split(Digits(), 0.25, seed)
    assert (len(parts.train), len(parts.validation)) == (1438 - 360, 360)
    assert not rows(parts.train) & rows(parts.validation)
    assert rows(parts.train) | rows(parts.validation) == rows(loaded.train)
    assert not rows(loaded.test) & (rows(parts.train) | rows(parts.validation))
    assert rows(parts.open_test()) == rows(loaded.test)
    assert (parts.shape, len(parts.classes), parts.mean) == ((1, 8, 8), 10, loaded.mean)


def test_the_test_images_are_behind_a_call() -> None:
    parts = split(Digits(), 0.25, 0)
    held = [getattr(parts, name) for name in parts.__slots__]
    assert [len(each) for each in held if isinstance(each, Images)] == [1078, 360]


def test_a_split_keeps_the_proportions_of_the_classes() -> None:
    y = split(Digits(), 300, 0).validation.y
    shares = Digits().load().train.y.bincount() * 300 / 1438
    assert (y.bincount() - shares).abs().max() <= 2


def test_a_rare_class_is_in_every_part() -> None:
    y = torch.cat([torch.zeros(990, dtype=torch.int64), torch.ones(10, dtype=torch.int64)])
    order = stratified_order(y, 3)
    assert sorted(order.tolist()) == list(range(1000))
    assert [int(part.sum()) for part in y[order].split(100)] == [1] * 10


def rare(counts: Sequence[int]) -> Tensor:
    """Return labels of so many images of each class, in a random order."""
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return y[torch.randperm(len(y), generator=torch.Generator().manual_seed(5))]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("counts", [[100, 2, 2], [30, 30, 3, 2], [2, 2, 2, 2], [500, 2], [90, 5, 5, 1]])
@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
def test_each_class_with_two_images_is_in_both_parts(counts: list[int], share: float, seed: int) -> None:
    y = rare(counts)
    count = min(max(round(share * len(y)), len(counts)), len(y) - len(counts))
    held, rest = hold_out(y, count, seed)
    assert sorted([*held.tolist(), *rest.tolist()]) == list(range(len(y)))
    assert len(held) == count
    assert set(y[rest].tolist()) == set(y.tolist())
    assert set(y[held].tolist()) == {label for label, images in enumerate(counts) if images > 1}


def test_a_part_that_has_every_class_is_held_out_as_the_seed_says() -> None:
    y = Digits().load().train.y
    held, rest = hold_out(y, 300, 3)
    assert torch.equal(torch.cat([held, rest]), stratified_order(y, 3))


def test_few_training_images_have_every_class_and_are_part_of_more() -> None:
    y = rare([100, 40, 2, 2])
    order = stratified_order(y, 0)
    taken = [set(take(y, order, count).tolist()) for count in range(1, len(y) + 1)]
    assert all(fewer < more for fewer, more in itertools.pairwise(taken))
    assert [len({int(y[i]) for i in each}) for each in taken[3:]] == [4] * (len(y) - 3)


def test_parts_that_miss_classes_are_warned_of_with_their_names() -> None:
    missing = "'[0-9]', '[0-9]', '[0-9]', '[0-9]', '[0-9]' and 2 more: give"
    with pytest.warns(UserWarning, match=f"the 3 validation images lack the classes {missing} a larger `validation`"):
        split(Digits(), 3, 77)
    with pytest.warns(UserWarning, match=f"the 3 training images lack the classes {missing} more of them"):
        split(Digits(), 0, 77, train=3)


@pytest.mark.parametrize("kind", [ImageFolder, ImageFiles])
def test_a_small_test_set_of_a_folder_has_every_class(tmp_path: Path, kind: type[ImageFolder]) -> None:
    for name, count in (("common", 40), ("rare", 2), ("seldom", 3)):
        write_images(tmp_path / name, count, (0, 0, 0))
    loaded = kind(str(tmp_path), size=8, test=0.1).load()
    assert loaded.test.y.bincount().tolist() == [2, 1, 1]
    assert loaded.train.y.bincount().tolist() == [38, 1, 2]


def test_fewer_training_images_are_part_of_more_and_leave_the_validation_alone() -> None:
    few, some, all_of_them = (split(Digits(), 0.5, 4, train=train) for train in (100, 200, None))
    assert (len(few.train), len(some.train), len(all_of_them.train)) == (100, 200, 719)
    assert rows(few.train) < rows(some.train) < rows(all_of_them.train)
    assert torch.equal(few.validation.x, all_of_them.validation.x)


def test_splits_are_cached_and_named_by_their_arguments() -> None:
    parts = split(Digits(), 0.5, 0)
    assert split(Digits(), 0.5, 0) is parts
    assert len({parts.name, split(Digits(), 0.5, 1).name, split(Digits(), 0.4, 0).name}) == 3
    assert len(split(Digits(), 0, 0).validation) == 0
    assert len(split(Digits(), 10, 0).validation) == 10


@pytest.mark.parametrize("validation", [1.0, -0.1, 1438, -1])
def test_a_validation_part_that_cannot_be_is_refused(validation: float) -> None:
    with pytest.raises(RecordError) as error:
        split(Digits(), validation, 0)
    wanted = "give a fraction below 1, or a number of images below 1438"
    assert str(error.value) == f"validation is {validation}: {wanted}"


def test_more_training_images_than_there_are_are_refused() -> None:
    with pytest.raises(RecordError) as error:
        split(Digits(), 438, 0, train=2000)
    assert str(error.value) == "train is 2000, and 1000 of 1438 images are left after validation: give 1 to 1000"


@pytest.mark.slow
def test_a_split_is_the_same_in_every_process(capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import hashlib; from nas.data import Digits, split; s = split(Digits(), 0.3, 5);"
        "print(s.name, hashlib.sha256(s.train.x.numpy().tobytes() + s.validation.y.numpy().tobytes()).hexdigest())"
    )
    exec(code, {})
    assert _run(code, "1") == capsys.readouterr().out.strip()


def _run(code: str, hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


# ------------------------------------------------------------------------------------------------------------ CIFAR


@pytest.fixture(scope="session")
def cifar_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with both published forms of CIFAR-10, their md5 sums checked."""
    source = Path(os.environ.get("NAS_SHARED_DATA", ROOT.parent / "shared" / "data")) / "load_cifar.py"
    if not source.is_file():
        pytest.skip(f"{source} is absent: set NAS_SHARED_DATA to the folder of the real data")
    return unpacked(source.parent, tmp_path_factory.mktemp("cifar"))


@pytest.mark.slow
def test_both_published_forms_of_cifar10_hold_the_same(cifar_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_DATA", str(cifar_folder))
    loaded, python = Cifar10().load(), Cifar10(str(cifar_folder / "cifar-10-batches-py")).load()
    for ours, theirs in ((loaded.train, python.train), (loaded.test, python.test)):
        assert torch.equal(ours.x, theirs.x)
        assert torch.equal(ours.y, theirs.y)
    assert loaded.train.x.shape == (50_000, 3, 32, 32)
    assert loaded.test.y.bincount().tolist() == [1000] * 10
    assert [loaded.classes[y] for y in loaded.train.y[:4]] == ["frog", "truck", "truck", "deer"]
    mean, std = channel_statistics(loaded.train.x)
    assert mean == pytest.approx(loaded.mean, abs=1e-4)
    assert std == pytest.approx(loaded.std, abs=1e-4)


@pytest.mark.slow
def test_the_binary_form_is_preferred_and_a_torn_file_named(cifar_folder: Path, tmp_path: Path) -> None:
    for name in ("cifar-10-batches-bin", "cifar-10-batches-py"):
        (tmp_path / name).mkdir()
        for file in (cifar_folder / name).iterdir():
            (tmp_path / name / file.name).symlink_to(file)
    torn = tmp_path / "cifar-10-batches-bin" / "data_batch_3.bin"
    torn.unlink()
    with pytest.raises(RecordError) as error:
        Cifar10(str(tmp_path)).load()
    wanted = "and should have 30,730,000 bytes: download it again"
    assert str(error.value) == f"{torn} is missing, {wanted}"
    torn.write_bytes(b"x" * 100)
    with pytest.raises(RecordError) as error:
        Cifar10(str(tmp_path)).load()
    assert str(error.value) == f"{torn} has 100 bytes, {wanted}"


def test_a_torn_python_batch_is_named(cifar_folder: Path, tmp_path: Path) -> None:
    torn = tmp_path / "data_batch_1"
    torn.write_bytes((cifar_folder / "cifar-10-batches-py" / "data_batch_1").read_bytes()[:1_000_000])
    with pytest.raises(
        RecordError, match=r"data_batch_1 is not a batch of CIFAR, or is truncated: .*; download it again"
    ):
        read_python_batch(torn.read_bytes(), b"labels", str(torn))


@pytest.mark.parametrize("form", ["python", "binary"])
@pytest.mark.parametrize("given", ["its folder", "the archive"])
def test_an_archive_as_torchvision_leaves_it_is_read(
    small_cifar100: tuple[np.ndarray, ...], tmp_path: Path, form: str, given: str
) -> None:
    write_cifar100(tmp_path / "whole", small_cifar100)
    archive = tmp_path / f"cifar-100-{form}.tar.gz"
    folder = "cifar-100-python" if form == "python" else "cifar-100-binary"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "whole" / folder, folder)
    loaded = Cifar100(str(archive if given == "the archive" else tmp_path)).load()
    assert loaded.train.y.tolist() + loaded.test.y.tolist() == small_cifar100[2].tolist()
    assert sorted(each.name for each in tmp_path.iterdir()) == [archive.name, "whole"]
    archive.write_bytes(archive.read_bytes()[:5000])
    with pytest.raises(
        RecordError, match=rf"{archive.name} is not a tar archive, or is truncated \(.*: download it again"
    ):
        Cifar100(str(tmp_path)).load()


def test_an_archive_that_would_run_code_is_refused(small_cifar100: tuple[np.ndarray, ...], tmp_path: Path) -> None:
    write_cifar100(tmp_path / "whole", small_cifar100)
    folder, touched = tmp_path / "whole" / "cifar-100-python", tmp_path / "touched"
    (folder / "test").write_bytes(pickle.dumps({b"data": Malicious(touched), b"fine_labels": []}))
    with tarfile.open(tmp_path / "cifar-100-python.tar.gz", "w:gz") as tar:
        tar.add(folder, "cifar-100-python")
    with pytest.raises(
        RecordError, match=r"cifar-100-python.tar.gz/test is not a batch of CIFAR.*which no batch needs"
    ):
        Cifar100(str(tmp_path)).load()
    assert not touched.exists()


def test_an_archive_that_lacks_a_file_names_it(small_cifar100: tuple[np.ndarray, ...], tmp_path: Path) -> None:
    write_cifar100(tmp_path / "whole", small_cifar100)
    with tarfile.open(tmp_path / "cifar-100-python.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "whole" / "cifar-100-python" / "test", "cifar-100-python/test")
    with pytest.raises(RecordError, match=r"cifar-100-python.tar.gz/train is missing, and should have 60 images"):
        Cifar100(str(tmp_path)).load()


def test_a_folder_without_cifar_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(RecordError) as error:
        Cifar10(str(tmp_path)).load()
    assert str(error.value) == (
        f"folder {tmp_path} has no CIFAR-10: give the folder that holds cifar-10-batches-bin or cifar-10-batches-py, "
        "or set NAS_DATA to it"
    )


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_batch_that_calls_something_is_refused(tmp_path: Path, protocol: int) -> None:
    file, touched = tmp_path / "data_batch_1", tmp_path / "touched"
    file.write_bytes(pickle.dumps({b"data": Malicious(touched), b"labels": []}, protocol))
    pickle.loads(file.read_bytes())
    assert touched.exists(), "the batch must be one that the plain unpickler obeys"
    touched.unlink()
    with pytest.raises(RecordError, match="which no batch needs"):
        read_python_batch(file.read_bytes(), b"labels", str(file))
    assert not touched.exists()


@pytest.mark.parametrize("kind", ["O", "i2", "f8"])
def test_an_array_of_anything_but_bytes_is_refused(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "data_batch_1"
    file.write_bytes(pickle.dumps({b"data": np.ones((1, 2), kind), b"labels": [0]}, 3))
    with pytest.raises(RecordError, match="an array that is not of bytes in row-major order"):
        read_python_batch(file.read_bytes(), b"labels", str(file))


@pytest.fixture
def small_cifar100(monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Let CIFAR-100 have 60 and 40 images; return pixels, coarse and fine labels of all 100."""
    small = replace(cifar._CIFAR100, train_files=(("train", 60),), test_file=("test", 40))
    monkeypatch.setattr(cifar, "_CIFAR100", small)
    draw = np.random.default_rng(0)
    return draw.integers(0, 256, (100, 3072), np.uint8), draw.integers(0, 20, 100), draw.permutation(100)


def write_cifar100(root: Path, images: tuple[np.ndarray, ...]) -> None:
    """Write both published forms of 60 training and 40 test images."""
    pixels, coarse, fine = images
    for name in ("cifar-100-binary", "cifar-100-python"):
        (root / name).mkdir(parents=True)
    for name, part in (("train", slice(60)), ("test", slice(60, 100))):
        table = np.concatenate([coarse[part, None], fine[part, None], pixels[part]], 1).astype(np.uint8)
        table.tofile(root / "cifar-100-binary" / f"{name}.bin")
        batch = {b"data": pixels[part], b"coarse_labels": coarse[part].tolist(), b"fine_labels": fine[part].tolist()}
        (root / "cifar-100-python" / name).write_bytes(pickle.dumps(batch, 3))


def test_cifar100_has_its_fine_labels_in_both_forms(small_cifar100: tuple[np.ndarray, ...], tmp_path: Path) -> None:
    pixels, _, fine = small_cifar100
    write_cifar100(tmp_path, small_cifar100)
    for folder in (tmp_path, tmp_path / "cifar-100-python"):
        loaded = Cifar100(str(folder)).load()
        assert loaded.train.y.tolist() + loaded.test.y.tolist() == fine.tolist()
        assert np.array_equal(loaded.test.x.flatten(1).numpy(), pixels[60:])
    assert len(loaded.classes) == 100
    assert (loaded.classes[0], loaded.classes[99]) == ("apple", "worm")


def test_without_a_folder_the_hub_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    pixels = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), np.uint8)
    columns = {"img": [Image.fromarray(each) for each in pixels], "label": list(range(10)) * 2}
    kinds = datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(num_classes=10)})
    part = datasets.Dataset.from_dict(columns, features=kinds)
    asked: list[str] = []

    def load_dataset(name: str) -> dict[str, Any]:
        asked.append(name)
        return {"train": part, "test": part.select(range(5))}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.delenv("NAS_DATA", raising=False)
    loaded = Cifar10().load()
    assert asked == ["uoft-cs/cifar10"]
    assert np.array_equal(loaded.train.x.permute(0, 2, 3, 1).numpy(), pixels)
    assert loaded.test.y.tolist() == [0, 1, 2, 3, 4]


def test_a_hub_out_of_reach_says_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(_: str) -> None:
        raise ConnectionError("no route")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    monkeypatch.delenv("NAS_DATA", raising=False)
    with pytest.raises(RecordError) as error:
        Cifar100().load()
    assert str(error.value) == (
        "CIFAR-100 cannot be fetched as uoft-cs/cifar100 (no route): give `folder`, or set NAS_DATA, to a folder that "
        "holds cifar-100-binary"
    )


def test_a_missing_library_is_named_with_its_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(RecordError, match=r"scikit-learn is not installed .*: pip install 'cellstack\[data\]'"):
        Digits().load()


# ---------------------------------------------------------------------------------------------------------- folders


def write_images(folder: Path, count: int, colour: tuple[int, int, int], size: tuple[int, int] = (40, 30)) -> None:
    folder.mkdir(parents=True)
    for i in range(count):
        Image.new("RGB", size, colour).save(folder / f"{i}.png")


def test_a_folder_of_images(tmp_path: Path) -> None:
    write_images(tmp_path / "dogs", 10, (10, 20, 30))
    write_images(tmp_path / "cats", 30, (200, 100, 0), size=(20, 50))
    Image.new("L", (33, 33), 200).save(tmp_path / "cats" / "grey.JPG")
    (tmp_path / "cats" / "notes.txt").write_text("no image")
    (tmp_path / ".hidden").mkdir()
    loaded = ImageFolder(str(tmp_path), size=16).load()
    assert loaded.classes == ("cats", "dogs")
    assert loaded.train.x.shape == (33, 3, 16, 16)
    assert loaded.test.y.bincount().tolist() == [6, 2]
    assert set(map(tuple, loaded.test.x[loaded.test.y == 1].amax((2, 3)).tolist())) == {(10, 20, 30)}
    assert (200, 200, 200) in set(map(tuple, loaded.train.x[:, :, 8, 8].tolist()))


def test_the_centre_of_an_image_is_kept_and_turned_upright(tmp_path: Path) -> None:
    write_images(tmp_path / "a", 5, (0, 0, 0))
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = (0, 255, 0)
    pixels[:5, 10:20, 0] = 255
    turned = Image.Exif()
    turned[0x0112] = 3
    (tmp_path / "b").mkdir()
    Image.fromarray(pixels).save(tmp_path / "b" / "0.png", exif=turned)
    loaded = ImageFolder(str(tmp_path), size=10).load()
    image = next(each for part in (loaded.train, loaded.test) for each in part.x[part.y == 1])
    assert torch.equal(image[1], torch.full((10, 10), 255, dtype=torch.uint8))
    assert image[0, :, 5].tolist() == [0] * 5 + [255] * 5


def test_folders_for_training_and_for_testing(tmp_path: Path) -> None:
    for part, count in (("train", 4), ("val", 3), ("test", 2)):
        for i, name in enumerate(("a", "b")):
            write_images(tmp_path / part / name, count, (i, i, i))
    loaded = ImageFolder(str(tmp_path), size=8).load()
    assert (len(loaded.train), len(loaded.test)) == (14, 4)
    for file in (tmp_path / "test" / "b").iterdir():
        file.unlink()
    write_images(tmp_path / "test" / "c", 1, (0, 0, 0))
    with pytest.raises(RecordError, match=r"test has the classes 'c', and the training images have 'a', 'b': give"):
        ImageFolder(str(tmp_path), size=8).load()


def test_a_broken_image_is_skipped_and_named_once(tmp_path: Path) -> None:
    write_images(tmp_path / "a", 100, (0, 0, 0), size=(8, 8))
    write_images(tmp_path / "b", 99, (0, 0, 0), size=(8, 8))
    broken = tmp_path / "b" / "broken.png"
    broken.write_bytes((tmp_path / "a" / "0.png").read_bytes()[:40])
    with pytest.warns(UserWarning, match="cannot be decoded") as warned:
        loaded = ImageFolder(str(tmp_path), size=8).load()
    reason = "UnidentifiedImageError: cannot identify image file"
    message = f"1 of 200 images in {tmp_path} cannot be decoded: {broken} ({reason})"
    assert [str(each.message) for each in warned] == [f"{message}; they are skipped"]
    assert len(loaded.train) + len(loaded.test) == 199
    for i in range(3):
        (tmp_path / "a" / f"broken{i}.png").write_bytes(b"no image")
    with pytest.raises(
        RecordError, match=r"4 of 203 images .*: repair or remove them \(tolerated are 1 %, and always three\)"
    ):
        ImageFolder(str(tmp_path), size=8).load()


def test_a_folder_that_is_no_data_set_says_what_to_give(tmp_path: Path) -> None:
    folder = tmp_path / "y"
    with pytest.raises(RecordError) as error:
        ImageFolder(str(folder)).load()
    assert str(error.value) == (
        f"folder {folder} does not exist: give a folder with a subfolder of images for each class"
    )
    folder.mkdir()
    repair = "give a folder with a subfolder of images for each of at least two classes"
    with pytest.raises(RecordError) as error:
        ImageFolder(str(folder)).load()
    assert str(error.value) == f"folder {folder} has no images in subfolders: {repair}"
    write_images(folder / "cats", 2, (0, 0, 0))
    (folder / "dogs").mkdir()
    with pytest.raises(RecordError) as error:
        ImageFolder(str(folder)).load()
    assert str(error.value) == f"folder {folder} has one class, 'cats': {repair}"
    (folder / "dogs").rmdir()
    write_images(folder / "cows", 1, (0, 0, 0))
    with pytest.raises(RecordError, match="the test set has 0 of 3 images: give more images or another `test`"):
        ImageFolder(str(folder), test=0.1).load()


# ----------------------------------------------------------------------------------------------------- normalising


def test_normalising_gives_the_statistics_asked_for() -> None:
    loaded = Digits().load()
    x = normalise(loaded.train.x, loaded.mean, loaded.std)
    assert x.dtype == torch.float32
    assert x.mean().item() == pytest.approx(0, abs=1e-5)
    assert x.std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_the_public_names_are_there() -> None:
    assert all(hasattr(nas.data, name) for name in nas.data.__all__)
    assert callable(nas.data.split)
