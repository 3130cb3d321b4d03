"""Checkpoints and weights on a disk that fails: what was there stays, nothing half written is left, and the user is told."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch import nn

from nas.data import Augmentation, Digits, ImageFolder, split
from nas.records import RecordError
from nas.training import Execution, Recipe, load_weights, save_weights, seeded, train
from nas.training.checkpoint import FORMAT, load_checkpoint, save_checkpoint
from nas.training.optimizers import Sgd

Call = Callable[..., Any]
Save = Callable[[Path, int], None]

pytestmark = pytest.mark.usefixtures("one_thread")

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


SAID = "No space left on device"
"""What the user has to read, whoever writes."""


def layer(number: int, wide: int = 4) -> nn.Module:
    """Return a layer whose weights are all of that number."""
    model = nn.Linear(wide, 3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(number)
    return model


def as_checkpoint(path: Path, number: int) -> None:
    save_checkpoint(path, "run", {"stepper": layer(number).state_dict(), "epoch": number})


def as_weights(path: Path, number: int) -> None:
    save_weights(layer(number), path, "abc")


def found(path: Path, save: Save) -> int:
    """Return the number that was saved, read back as the library does; every weight must be of it."""
    model = layer(-1)
    if save is as_weights:
        load_weights(model, path, "abc")
    else:
        state = load_checkpoint(path, "run")
        assert state is not None
        model.load_state_dict(state["stepper"])
    (number,) = {number for weight in model.parameters() for number in weight.flatten().tolist()}
    return int(number)


def fail(*_: object, **__: object) -> None:
    raise FULL


def failing_writes(patch: pytest.MonkeyPatch) -> None:
    """Let a file be begun, and the disk be full then."""

    def write(*arguments: Any, **_: Any) -> None:
        for each in arguments:
            if isinstance(each, Path):
                each.write_bytes(b"half of it")
            elif isinstance(each, io.IOBase):
                each.write(b"half of it")
        raise FULL

    patch.setattr(torch, "save", write)
    patch.setattr("safetensors.torch.save_file", write)


def failing_syncs(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(os, "fsync", fail)


def failing_renames(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Path, "replace", fail)


@pytest.mark.parametrize("save", [as_checkpoint, as_weights])
@pytest.mark.parametrize("failing", [failing_writes, failing_syncs, failing_renames])
def test_what_was_saved_survives_a_save_that_fails(
    save: Save, failing: Callable[[pytest.MonkeyPatch], None], tmp_path: Path
) -> None:
    path = tmp_path / "saved"
    save(path, 1)
    with pytest.MonkeyPatch.context() as patch:
        failing(patch)
        with pytest.raises(OSError, match="No space left on device"):
            save(path, 2)
    assert [each.name for each in tmp_path.iterdir()] == ["saved"]
    assert found(path, save) == 1
    save(path, 3)
    assert found(path, save) == 3


@pytest.mark.parametrize("save", [as_checkpoint, as_weights])
def test_a_first_save_that_fails_leaves_nothing(save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_renames(monkeypatch)
    with pytest.raises(OSError, match="No space left on device"):
        save(tmp_path / "saved", 1)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a real disk of 1 MB. Skips the test where none may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small disk needs Linux and its permission")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("save", [as_checkpoint, as_weights])
def test_a_full_disk_keeps_what_it_has(save: Save, small_disk: Path) -> None:
    path, filler = small_disk / "saved", small_disk / "filler"
    save(path, 1)
    fill(filler)
    with pytest.raises(Exception, match=SAID):
        save(path, 2)
    assert {each.name for each in small_disk.iterdir()} == {"saved", "filler"}
    assert found(path, save) == 1
    filler.unlink()
    save(path, 3)
    assert found(path, save) == 3


def fill(file: Path) -> None:
    """Write until the disk is full."""
    with file.open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(4096))


# ------------------------------------------------------------------------------------------------------ whole runs

RECIPE = Recipe(
    epochs=3,
    batch=64,
    lr=0.1,
    channels_last=False,
    optimizer=Sgd(momentum=0.8),
    augmentation=Augmentation(crop_pad=1, cutout=2),
)


def network() -> nn.Module:
    with seeded(0):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10))


def test_a_training_whose_checkpoint_cannot_be_written_goes_on_from_the_one_before(tmp_path: Path) -> None:
    data, path = split(Digits(), 0.25, 0, train=150), tmp_path / "run.pt"
    straight, cut = network(), network()
    every = Execution(checkpoint_seconds=0)
    whole = list(train(straight, data, RECIPE, seed=0))
    running = train(cut, data, RECIPE, seed=0, checkpoint=path, execution=every)
    next(running)
    with pytest.MonkeyPatch.context() as patch:
        failing_syncs(patch)
        with pytest.raises(OSError, match="No space left"):
            next(running)
    rest = list(train(cut, data, RECIPE, seed=0, checkpoint=path, execution=every))
    assert [each.loss for each in rest] == [each.loss for each in whole[1:]]
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), cut.parameters(), strict=True))


TINY = ("network.channels=4", "network.layers=3", "network.auxiliary=false", "data=Digits", "images=64")
SHORT = (
    "recipe.epochs=3",
    "recipe.augmentation.crop_pad=1",
    "recipe.augmentation.cutout=0",
    "recipe.augmentation.flip=false",
    "recipe.batch=32",
)


@pytest.mark.slow
def test_nas_train_says_that_a_checkpoint_cannot_be_written_and_goes_on_from_the_one_before(
    call: Call, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        failing_from(patch, 3)
        given = ("--recipe", "darts_cifar", *TINY, *SHORT, "execution.checkpoint_seconds=0", "--run-dir", folder)
        failed = call("train", "darts:DARTS_V2", *given)
    assert failed.returncode == 1
    assert "No space left on device" in failed.stdout
    assert not (folder / "best.safetensors").exists()
    assert call("resume", folder).returncode == 0
    assert (folder / "best.safetensors").exists()
    assert (folder / "best.epochs.jsonl").read_text().count("\n") == 3, "no epoch was done again"


def failing_from(patch: pytest.MonkeyPatch, call: int) -> None:
    """Let the disk be full when a checkpoint is written the `call`th time, and from then on."""
    saved, save = [], torch.save

    def write(*arguments: Any) -> None:
        saved.append(arguments)
        if len(saved) >= call:
            fail()
        save(*arguments)

    patch.setattr(torch, "save", write)


# ----------------------------------------------------------------------------------------------------- what is read


def test_weights_of_another_network_are_refused_by_their_digest(tmp_path: Path) -> None:
    """Of the same shapes: the digest alone tells them apart."""
    path = tmp_path / "best.safetensors"
    save_weights(layer(1), path, "abc")
    model = layer(0)
    with pytest.raises(RecordError, match=r"best.safetensors holds the weights of network abc, and this is xyz: give"):
        load_weights(model, path, "xyz")
    assert not any(weight.any() for weight in model.parameters()), "nothing was taken over"
    load_weights(model, path, "abc")
    assert all((weight == 1).all() for weight in model.parameters())


@pytest.mark.parametrize(("saved", "asked"), [("", "abc"), ("abc", ""), ("", "")])
def test_weights_without_a_digest_are_taken_by_their_shapes(saved: str, asked: str, tmp_path: Path) -> None:
    path, model = tmp_path / "best.safetensors", layer(0)
    save_weights(layer(1), path, saved)
    load_weights(model, path, asked)
    assert all((weight == 1).all() for weight in model.parameters())
    with pytest.raises(RecordError, match="does not fit the network: 1 tensors differ, the first 'weight'"):
        load_weights(layer(0, wide=5), path, asked)


@pytest.mark.parametrize("whole", [0, 4, 60, -1], ids=["empty", "in its length", "in its header", "in its tensors"])
def test_weights_that_were_cut_off_are_refused(whole: int, tmp_path: Path) -> None:
    path, model = tmp_path / "best.safetensors", layer(0)
    save_weights(layer(1), path, "abc")
    path.write_bytes(path.read_bytes()[:whole])
    with pytest.raises(RecordError, match=r"best.safetensors cannot be read as safetensors \(.+\): give another file$"):
        load_weights(model, path, "abc")
    assert not any(weight.any() for weight in model.parameters())


@pytest.mark.parametrize("version", [1, FORMAT + 1])
def test_a_checkpoint_of_another_format_is_refused(version: int, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    torch.save({"cellstack": version, "run": "run", "epoch": 3}, path)
    with pytest.raises(
        RecordError, match=rf"^.*run.pt has format {version}, .* reads {FORMAT}: delete it to start again$"
    ):
        load_checkpoint(path, "run")
    assert path.exists()


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.99])
def test_a_checkpoint_that_was_cut_off_is_refused(kept: float, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    as_checkpoint(path, 1)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(RecordError, match=r"run.pt is no checkpoint, or broken \(.*\): delete it to start again$"):
        load_checkpoint(path, "run")
    assert load_checkpoint(tmp_path / "absent.pt", "run") is None


def test_a_training_goes_on_where_its_images_have_moved_and_not_with_others(tmp_path: Path) -> None:
    for name, number in (("here", 8), ("others", 9)):
        for label in ("a", "b"):
            (tmp_path / name / label).mkdir(parents=True)
            for i in range(number):
                Image.new("RGB", (8, 8), (i * 20, 0, 0)).save(tmp_path / name / label / f"{i}.png")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    recipe, checkpoint = (
        Recipe(epochs=2, batch=8, drop_path=0.0, augmentation=Augmentation(crop_pad=4)),
        tmp_path / "checkpoint.pt",
    )

    def begin(folder: str, epochs: int) -> list[Any]:
        model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 2))
        images = split(ImageFolder(str(tmp_path / folder), size=8), 0, 0)
        often = Execution(checkpoint_seconds=0)
        reports = train(model, images, recipe, seed=0, checkpoint=checkpoint, execution=often)
        return [next(reports) for _ in range(epochs)]

    (first,) = begin("here", 1)
    again = begin("there", 1)
    assert (first.epoch, again[0].epoch) == (1, 2)
    with pytest.raises(RecordError, match="of another run"):
        begin("others", 1)


def test_a_checkpoint_of_version_0_1_is_gone_on_with(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "old.pt", "name of 0.1", {"step": 3})
    state = load_checkpoint(tmp_path / "old.pt", "name", "name of 0.1")
    assert state is not None
    assert state["step"] == 3
    with pytest.raises(RecordError, match="of another run"):
        load_checkpoint(tmp_path / "old.pt", "name", "")


def test_the_same_weights_are_the_same_bytes(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    for number in range(8):  # the library writes the metadata in the order of a hash map, another one each time
        save_weights(model, tmp_path / f"{number}.safetensors", "0123", '{"näme": "a\\nb", "path": "c\\\\d"}')
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    with safe_open(tmp_path / "0.safetensors", "pt") as file:
        assert file.metadata() == {
            "cellstack_network": "0123",
            "cellstack_description": '{"näme": "a\\nb", "path": "c\\\\d"}',
        }
        assert torch.equal(file.get_tensor("weight"), model.weight)
