"""Folders of images as people have them: splits under any names, classes, and what else lies in between."""

from __future__ import annotations

import re
import tarfile
import warnings
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from PIL import Image

from nas.data import Data, HubImages, ImageFiles, ImageFolder, Images, Loaded, WebDataset, load_batches
from nas.records import RecordError

READERS = (ImageFolder, ImageFiles)


def make(root: Path, *folders: str, images: int = 5) -> Path:
    """Write images into each of the folders, whose names may have alternatives in braces."""
    for folder in (each for name in folders for each in expanded(name)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(images):
            Image.new("RGB", (8, 8), (50 * number, 90, 10)).save(root / folder / f"{number}.png")
    return root


def expanded(name: str) -> Iterable[str]:
    if (found := re.search(r"\{([^}]*)\}", name)) is None:
        return [name]
    return [each for part in found[1].split(",") for each in expanded(name.replace(found[0], part, 1))]


def load(root: Path) -> Loaded:
    """Read a folder in both ways, which must find the same; a warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        held, listed = (reader(str(root), size=8).load() for reader in READERS)
    assert held.classes == listed.classes
    assert (held.train.y.tolist(), held.test.y.tolist()) == (listed.train.y.tolist(), listed.test.y.tolist())
    return held


def refusal(root: Path) -> str:
    messages = set()
    for reader in READERS:
        with pytest.raises(RecordError) as error:
            reader(str(root), size=8).load()
        messages.add(str(error.value))
    (message,) = messages
    assert "\n" not in message
    return message.replace(str(root), "ROOT")


# ----------------------------------------------------------------------------------------------------------- splits


@pytest.mark.parametrize(
    "names",
    [
        ("train", "test"),
        ("train", "valid"),
        ("train", "val"),
        ("training", "testing"),
        ("Train", "Val"),
        ("TRAIN", "TEST"),
        ("train", "dev"),
        ("training_set", "test_set"),
        ("TrainImages", "TestImages"),
        ("seg_train", "seg_test"),
        ("imagenette_train", "imagenette_val"),
        ("train", "eval"),
        ("trainval", "test"),
    ],
)
def test_splits_are_known_by_the_names_that_people_give_them(tmp_path: Path, names: tuple[str, str]) -> None:
    train, test = names
    make(tmp_path, f"{train}/{{cat,dog}}")
    make(tmp_path, f"{test}/{{cat,dog}}", images=2)
    loaded = load(tmp_path)
    assert loaded.classes == ("cat", "dog")
    assert (len(loaded.train), len(loaded.test)) == (10, 4)
    assert loaded.test_source == f"all in the folder {test!r}"


def test_of_three_splits_the_test_images_are_tested_and_those_for_validation_join_the_training(tmp_path: Path) -> None:
    make(tmp_path, "Training/{cat,dog}", "Valid/{cat,dog}")
    make(tmp_path, "Testing/{cat,dog}", images=1)
    loaded = load(tmp_path)
    assert (len(loaded.train), len(loaded.test)) == (20, 2)


@pytest.mark.parametrize(
    ("folders", "sizes"),
    [
        (["train/{cat,dog}"], (8, 2)),
        (["train/images/{cat,dog}", "test/images/{cat,dog}"], (10, 10)),
        (["images/train/{cat,dog}", "images/test/{cat,dog}"], (10, 10)),
        (["seg_train/seg_train/{cat,dog}", "seg_test/seg_test/{cat,dog}"], (10, 10)),
        (["pets/{cat,dog}"], (8, 2)),
        (["images/{cat,dog}"], (8, 2)),
    ],
)
def test_folders_in_between_are_passed_through(tmp_path: Path, folders: list[str], sizes: tuple[int, int]) -> None:
    loaded = load(make(tmp_path, *folders))
    assert loaded.classes == ("cat", "dog")
    assert (len(loaded.train), len(loaded.test)) == sizes


@pytest.mark.parametrize(
    ("folders", "line"),
    [
        (
            ["{part1,part2}/{cat,dog}"],
            "the folders 'part1', 'part2' in ROOT hold the same subfolders, as 'cat', like splits and unlike classes: rename",
        ),
        (
            ["{fold1,fold2,fold3}/{cat,dog,cow}"],
            "the folders 'fold1', 'fold2', 'fold3' in ROOT hold the same subfolders",
        ),
        (["{amazon,webcam}/images/{Cat,dog}"], "the folders 'amazon', 'webcam' in ROOT hold the same subfolders"),
        (["a/{cat,dog,cow}", "b/{cat,dog}"], "the folders 'a', 'b' in ROOT hold the same subfolders, as 'cat'"),
        (["{val,test}/{cat,dog}"], "the folders 'test', 'val' in ROOT hold the same subfolders"),
        (["train/{cat,dog}", "other/{cat,dog}"], "the folders 'other', 'train' in ROOT hold the same subfolders"),
        (
            ["{train,training,test}/{cat,dog}"],
            "the folders 'train', 'training' in ROOT are both training splits: merge or rename",
        ),
        (
            ["{val,valid,train}/{cat,dog}"],
            "the folders 'val', 'valid' in ROOT are both validation splits: merge or rename",
        ),
        (
            ["{cat,dog}/{train,test}"],
            "ROOT/cat is a class that holds the split 'train': put the splits above the classes, as",
        ),
        (
            ["{train,valid}"],
            "the splits 'train', 'valid' in ROOT hold images without class folders: give a folder with",
        ),
        (
            ["{train,test}/cat"],
            "folder ROOT/train has one class, 'cat': give a folder with a subfolder of images for each",
        ),
        (
            ["train/{cat,dog}", "test/{cat,cow}"],
            "folder ROOT/test has the classes 'cow', and the training images have 'cat'",
        ),
        (
            ["train/{Cat,dog}", "test/{cat,dog}"],
            "folder ROOT/test has the classes 'cat' (did you mean 'Cat'?), and the",
        ),
    ],
)
def test_splits_that_cannot_be_told_are_refused_and_never_classes(
    tmp_path: Path, folders: list[str], line: str
) -> None:
    assert refusal(make(tmp_path, *folders)).startswith(line)


@pytest.mark.parametrize(
    ("folders", "classes"),
    [
        (["animal/{cat,dog}", "vehicle/{car,truck}"], ("animal", "vehicle")),
        (["animal/{cat,mouse,cow}", "device/{phone,screen,mouse}"], ("animal", "device")),
        (["cat/indoors", "dog"], ("cat", "dog")),
        (["{cat,dog}/images"], ("cat", "dog")),
        (["{bus,car,train}"], ("bus", "car", "train")),
        (["train/{steam,diesel}", "bus/{red,green}", "car"], ("bus", "car", "train")),
        (["{bullet train,test tube}"], ("bullet train", "test tube")),
        (["2019", "2020"], ("2019", "2020")),
    ],
)
def test_classes_that_happen_to_hold_subfolders_or_to_be_called_train_stay_classes(
    tmp_path: Path, folders: list[str], classes: tuple[str, ...]
) -> None:
    assert load(make(tmp_path, *folders)).classes == classes


@pytest.mark.parametrize("reader", READERS)
def test_what_is_not_read_is_said(tmp_path: Path, reader: type[ImageFolder]) -> None:
    make(tmp_path, "train/{cat,dog,cow}", "test/{cat,dog}", "unlabelled")
    (tmp_path / "train" / "horse").mkdir()
    with pytest.warns(UserWarning, match="lack the classes 'cow'") as warned:
        loaded = reader(str(tmp_path), size=8).load()
    assert [str(each.message).replace(str(tmp_path), "ROOT") for each in warned] == [
        "'unlabelled' in ROOT are ignored: not named as splits, or without classes",
        "'horse' in ROOT/train hold no images and are ignored",
        "the test images in ROOT/test lack the classes 'cow'",
    ]
    assert loaded.classes == ("cat", "cow", "dog")
    assert loaded.test.y.unique().tolist() == [0, 2]  # type: ignore[no-untyped-call]


def test_a_test_folder_without_classes_is_said_and_a_fifth_is_held_out(tmp_path: Path) -> None:
    make(tmp_path, "train_images/{cat,dog}", "test_images")
    with pytest.warns(UserWarning, match="'test_images' in .* are ignored: not named as splits, or without classes"):
        loaded = ImageFolder(str(tmp_path), size=8).load()
    assert (loaded.classes, len(loaded.train), len(loaded.test)) == (("cat", "dog"), 8, 2)
    assert loaded.test_source == "20% of the 10 in the folder, drawn with seed 0"


def test_links_are_followed_and_a_link_in_a_circle_is_not(tmp_path: Path) -> None:
    make(tmp_path / "real", "{cat,dog}/more")
    (tmp_path / "data").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).symlink_to(tmp_path / "real" / name)
    (tmp_path / "real" / "cat" / "self").symlink_to(tmp_path / "real" / "cat")
    (tmp_path / "real" / "dog" / "other").symlink_to(tmp_path / "real" / "cat" / "more")
    loaded = load(tmp_path / "data")
    assert torch.cat([loaded.train.y, loaded.test.y]).bincount().tolist() == [5, 10]


# -------------------------------------------------------------------------------------------------------- leftovers

LEFTOVERS = [
    "__MACOSX/cat/._0.png",
    "__MACOSX/0.png",
    "cat/._0.png",
    "cat/.DS_Store",
    "cat/.hidden.png",
    "cat/Thumbs.db",
    "cat/desktop.ini",
    "cat/~$0.png",
    "cat/0.png~",
    "cat/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg",
    "@eaDir/0.png",
    "#recycle/0.png",
    "$RECYCLE.BIN/0.png",
    "System Volume Information/0.png",
    ".ipynb_checkpoints/0-checkpoint.png",
    "dog/.ipynb_checkpoints/0-checkpoint.png",
    ".Trash-1000/files/0.png",
    "lost+found/0.png",
    ".AppleDouble/0.png",
    "dog/.AppleDouble/0.png",
    ".thumbnails/0.png",
]


@pytest.mark.parametrize("below", ["", "train/"])
def test_what_systems_and_servers_leave_is_no_class_and_no_image(tmp_path: Path, below: str) -> None:
    make(tmp_path, f"{below}{{cat,dog}}")
    if below:
        make(tmp_path, "test/{cat,dog}")
    before = load(tmp_path)
    for name in LEFTOVERS:
        file = tmp_path / below / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (255, 255, 255)).save(file, "PNG")
    after = load(tmp_path)
    assert after.classes == ("cat", "dog")
    assert torch.equal(after.train.y, before.train.y)
    assert isinstance(after.train, type(before.train))
    assert after.identity() == before.identity()


def test_a_hidden_folder_can_be_given_itself(tmp_path: Path) -> None:
    assert load(make(tmp_path / ".cache" / "data", "{cat,dog}")).classes == ("cat", "dog")


def test_what_systems_leave_in_an_archive_is_no_image(tmp_path: Path) -> None:
    make(tmp_path, "{cat,dog}")
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        for label, name in enumerate(("cat", "dog")):
            (tmp_path / "label").write_text(str(label))
            for number in range(5):
                for prefix in ("", "./", "__MACOSX/._", "._", "@eaDir/"):
                    key = f"{prefix}{name}{number}{'-dot' if prefix == './' else ''}"
                    tar.add(tmp_path / name / f"{number}.png", f"{key}.png")
                    if not prefix.startswith("._"):
                        tar.add(tmp_path / "label", f"{key}.cls")
    loaded = WebDataset(str(tmp_path / "all.tar"), str(tmp_path / "all.tar"), size=8).load()
    assert loaded.train.y.bincount().tolist() == [10, 10]


def test_a_class_that_a_server_left_in_a_folder_read_by_datasets_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    make(tmp_path / "pets", "{train,validation}/{cat,dog,@eaDir}")
    with pytest.raises(RecordError, match="has a class '@eaDir', left behind by a file server: remove such folders"):
        HubImages(str(tmp_path / "pets"), size=8).load()


@pytest.mark.parametrize("reader", READERS)
def test_an_empty_file_is_a_broken_image_that_is_named(tmp_path: Path, reader: type[Data]) -> None:
    make(tmp_path, "{train,test}/{cat,dog}")
    empty = tmp_path / "test" / "cat" / "empty.png"
    empty.touch()
    with pytest.warns(UserWarning, match=rf"{re.escape(str(empty))}.*the file is empty"):
        assert seen(reader(str(tmp_path), size=8).load()) == 10  # type: ignore[call-arg]


def seen(loaded: Loaded) -> int:
    """Return how many test images can be decoded."""
    if isinstance(loaded.test, Images):
        return len(loaded.test)
    parts = torch.arange(len(loaded.test)).split(4)
    return sum(len(batch) for batch in load_batches(loaded.test, parts, torch.device("cpu"), None, 0))
