"""Which images were found: a run is held to them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from nas.data import Data, DataIdentity, Digits, HubImages, ImageFiles, ImageFolder, Images, WebDataset, identify
from nas.data.resized import Resized
from nas.data.split import evaluation_split
from nas.plain import read, write


def write_folder(root: Path, images: int = 6) -> Path:
    for part in ("train", "test"):
        for label, name in enumerate(("cat", "dog")):
            (root / part / name).mkdir(parents=True)
            for number in range(images):
                Image.new("RGB", (8, 8), (100 * label, 20 * number, 0)).save(root / part / name / f"{number}.png")
    return root


def pack(folder: Path) -> Path:
    """Put each part's images and labels into a shard."""
    for part in ("train", "test"):
        with tarfile.open(folder / f"{part}.tar", "w") as tar:
            for file in sorted((folder / part).rglob("*.png")):
                stem = f"{file.parent.name}-{file.stem}"
                tar.add(file, f"{stem}.png")
                label = folder / "label"
                label.write_text(str(int(file.parent.name == "dog")))
                tar.add(label, f"{stem}.cls")
    return folder


FORMS: dict[str, Callable[[Path], Data]] = {
    "in memory": lambda folder: ImageFolder(str(folder), 8),
    "as needed": lambda folder: ImageFiles(str(folder), 8),
    "scaled": lambda folder: Resized(ImageFolder(str(folder), 8), 4),
    "shards": lambda folder: WebDataset(f"{pack(folder)}/train.tar", f"{folder}/test.tar", size=8),
    "datasets": lambda folder: HubImages(str(folder), test="test", size=8),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def found(data: Data) -> DataIdentity:
    return data.load().identity()


@pytest.mark.parametrize("form", FORMS)
def test_images_that_were_added_or_replaced_are_other_images(form: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "pets")
    before = found(FORMS[form](folder))
    assert before.images == {"train": 12, "test": 12}
    assert before == found(FORMS[form](folder))
    shutil.copy(folder / "train" / "dog" / "0.png", folder / "train" / "dog" / "new.png")
    more = found(FORMS[form](folder))
    assert more.images == {"train": 13, "test": 12}
    Image.effect_noise((8, 8), 90).save(folder / "test" / "cat" / "3.png")
    assert len({before.digest, more.digest, found(FORMS[form](folder)).digest}) == 3


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_that_moved_holds_the_same_images(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path / "pets")
    before = found(FORMS[form](folder))
    folder.rename(tmp_path / "animals")
    assert found(FORMS[form](tmp_path / "animals")) == before
    monkeypatch.chdir(tmp_path / "animals")
    if form != "datasets":
        assert found(FORMS[form](Path())) == before


def test_a_renamed_image_and_one_of_another_class_are_other_images(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "pets")
    seen = {found(ImageFiles(str(folder))).digest}
    (folder / "train" / "cat" / "0.png").rename(folder / "train" / "cat" / "first.png")
    seen.add(found(ImageFiles(str(folder))).digest)
    (folder / "train" / "cat" / "first.png").rename(folder / "train" / "dog" / "first.png")
    seen.add(found(ImageFiles(str(folder))).digest)
    assert len(seen) == 3


def test_arrays_are_known_by_pixels_and_labels() -> None:
    images = Digits().load().train
    assert isinstance(images, Images)
    changed, relabelled = images.x.clone(), images.y.clone()
    changed[700, 0, 3, 3] ^= 1
    relabelled[700] = (relabelled[700] + 1) % 10
    assert len({each.digest() for each in (images, Images(changed, images.y), Images(images.x, relabelled))}) == 3
    assert Images(images.x.clone(), images.y).digest() == images.digest()
    assert images.at(torch.arange(10)).digest() != images.digest()


@pytest.mark.slow
def test_an_identity_is_the_same_in_every_process_and_can_be_written() -> None:
    identity = identify(Digits())
    assert identity.images == {"train": 1438, "test": 359}
    assert read(json.loads(write(identity)), "a file", DataIdentity) == identity
    code = "from nas.data import Digits, identify; print(identify(Digits()).digest)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == identity.digest


def test_a_scaled_folder_that_is_all_test_data_has_finite_statistics(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.new("RGB", (8, 8), (40 * i, 90, 200)).save(tmp_path / name / f"{i}.png")
    images = evaluation_split(Resized(ImageFolder(str(tmp_path), 8), 16))
    assert torch.tensor([*images.mean, *images.std]).isfinite().all()
