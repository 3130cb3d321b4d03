"""The official files of benchmarks: each reader on a file in its form, what is refused, and the tables that result."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import official_files as official
import pytest
import torch
from numpy.testing import assert_allclose

from nas.evaluation.evaluator import Job
from nas.evaluation.official_file import official_file
from nas.evaluation.official_file import official_files as readers
from nas.evaluation.table import Table
from nas.evaluation.table_file import TableFile, load_rows, load_table
from nas.evaluation.tfrecords import fields_of, masked_crc32c
from nas.evaluation.unpickling import unpickle
from nas.family import family
from nas.records import RecordError
from nas.runs.experiment import load, task_of
from nas.testing.evaluators import performed
from search_spaces.nasbench201 import from_string

Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    load_table.cache_clear()
    load_rows.cache_clear()


def read(name: str, path: Path) -> TableFile:
    return official_file(name).read(path, lambda share: None)


def row(table: TableFile, text: str) -> dict[str, float]:
    """Return the numbers of an architecture, without its texts."""
    index = list(table.column("architecture")).index(text)
    texts = ("architecture", "module_hash", "space")
    return {name: table.value(name, index) for name in table.columns if name not in texts}


def assert_refused(answer: Any, *parts: object) -> None:
    """Check that a command gave one line with these parts."""
    assert answer.stderr.startswith("nas: "), answer.stderr
    assert answer.stderr.count("\n") == 1, answer.stderr
    for part in parts:
        assert str(part) in answer.stderr, answer.stderr
    assert answer.returncode == 2


# ------------------------------------------------------------------------------------------------------- every format


def test_every_format_has_an_example_and_stands_in_the_help(call: Call) -> None:
    assert readers().keys() == official.EXAMPLES.keys()
    shown = [line.split()[0] for line in call("convert", "--help").stdout.splitlines() if line.split()]
    assert set(official.EXAMPLES) <= set(shown)


@pytest.mark.parametrize("name", official.EXAMPLES)
def test_a_file_becomes_columns_of_one_length(name: str, tmp_path: Path) -> None:
    shares: list[float] = []
    table = official_file(name).read(official.EXAMPLES[name](tmp_path), shares.append)
    texts = list(table.column("architecture"))
    assert len(texts) == len(set(texts)) >= 2
    assert {len(column) for column in table.columns.values()} == {len(texts)}
    assert shares == sorted(shares)
    assert shares[-1] == 1
    accuracies = [column for column in table.columns if column.startswith(("c10_", "c100_", "in16_"))]
    assert all(20 < table.value(column, 0) <= 100 for column in accuracies), "accuracies are percent"


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".csv"])
@pytest.mark.parametrize("name", official.EXAMPLES)
def test_the_command_writes_a_table_that_is_searched_by_text(
    name: str, suffix: str, call: Call, tmp_path: Path
) -> None:
    path, out = official.EXAMPLES[name](tmp_path), tmp_path / f"table{suffix}"
    answer = call("convert", name, path, out)
    assert answer.returncode == 0, answer.stderr
    assert f"Table: {out}" in answer.stdout
    given, written = read(name, path), load_rows(str(out), "text")
    assert list(written.rows) == list(given.column("architecture"))
    for column in set(given.columns) - {"architecture", "module_hash", "space"}:
        read_back = [written.file.value(column, each) for each in range(len(given))]
        assert_allclose(read_back, np.asarray(given.column(column)), rtol=1e-15)


@pytest.mark.parametrize("name", official.EXAMPLES)
def test_a_truncated_file_is_one_line_and_leaves_no_table(name: str, call: Call, tmp_path: Path) -> None:
    path, out = official.EXAMPLES[name](tmp_path), tmp_path / "table.npz"
    whole = path.read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert_refused(call("convert", name, path, out), path, "cannot be read")
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("other", [*official.EXAMPLES, "text", "nothing", "folder"])
@pytest.mark.parametrize("name", official.EXAMPLES)
def test_another_file_is_one_line(name: str, other: str, tmp_path: Path) -> None:
    path = tmp_path / "other"
    if other == "text":
        path.write_text("an accuracy of 94.37\n")
    elif other == "folder":
        path.mkdir()
    elif other != "nothing":
        path = official.EXAMPLES[other](tmp_path)
    if other != name:
        with pytest.raises(RecordError, match=re.escape(str(path))) as error:
            read(name, path)
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 600


def test_an_unknown_format_names_the_nearest(call: Call, tmp_path: Path) -> None:
    answer = call("convert", "nats-benhc", tmp_path, tmp_path / "table.npz")
    assert_refused(answer, "there is no format 'nats-benhc' to convert from: did you mean 'nats_bench'?")


def test_what_stands_at_the_destination_is_kept(call: Call, tmp_path: Path) -> None:
    path, out = official.nasbench101_json(tmp_path), tmp_path / "table.npz"
    out.write_text("mine")
    assert_refused(call("convert", "nasbench101_json", path, out), f"{out} exists", "--force")
    assert out.read_text() == "mine"
    assert call("convert", "nasbench101_json", path, out, "--force").returncode == 0
    assert len(load_table(str(out))) == 2
    assert_refused(call("convert", "nasbench101_json", path, tmp_path), "is no name for a table")
    (tmp_path / "a.npz").mkdir()
    assert_refused(call("convert", "nasbench101_json", path, tmp_path / "a.npz"), "is a folder")
    assert_refused(call("convert", "nasbench101_json", path, tmp_path / "table.txt"), ".npz, .parquet, .csv")


# ------------------------------------------------------------------------------------------------ pickles run nothing


class Touching:
    """An object whose pickle makes a folder when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


SAVED: dict[str, Callable[[Any, Path], Any]] = {
    "nasbench201": lambda made, path: torch.save(made, path, _use_new_zipfile_serialization=False),
    "nats_bench": official.pickle_save,
    "nasbench101_naslib": lambda made, path: path.write_bytes(pickle.dumps(made)),
    "transnasbench101": torch.save,
}
"""How the files that are pickles are saved."""


@pytest.mark.parametrize("name", SAVED)
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(name: str, call: Call, tmp_path: Path) -> None:
    path, touched = tmp_path / "evil", tmp_path / "touched"
    SAVED[name]({"meta_archs": [], "arch2infos": Touching(touched), "evaluated_indexes": set()}, path)
    answer = call("convert", name, path, tmp_path / "table.npz")
    assert_refused(answer, f"{path} wants 'posix.mkdir': refused, nothing was run")
    assert not touched.exists()
    pickle.loads(pickle.dumps(Touching(touched)))
    assert touched.exists(), "the pickle must be one that the plain unpickler obeys"


def test_an_architecture_of_a_folder_that_runs_code_is_refused(call: Call, tmp_path: Path) -> None:
    path = official.simple(tmp_path)
    evil = official.pickle_save(Touching(tmp_path / "touched"), path / "000001.pickle.pbz2")
    assert_refused(call("convert", "nats_bench", path, tmp_path / "table.npz"), f"{evil} wants 'posix.mkdir'")
    assert sorted(tmp_path.iterdir()) == [path]


GLOBALS = ["os system", "builtins eval", "builtins getattr", "__builtin__ exec", "torch.storage _load_from_bytes"]


@pytest.mark.parametrize("wanted", [*GLOBALS, "functools partial", "numpy load", "collections OrderedDict.fromkeys"])
def test_no_other_name_is_looked_up(wanted: str, tmp_path: Path) -> None:
    (tmp_path / "evil").write_bytes(b"c" + wanted.replace(" ", "\n").encode() + b"\n.")
    with (tmp_path / "evil").open("rb") as file, pytest.raises(RecordError, match="refused, nothing was run"):
        unpickle(file, tmp_path / "evil")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_numbers_and_arrays_of_numpy_become_plain(protocol: int, tmp_path: Path) -> None:
    arrays = [np.arange(6, dtype=np.int8).reshape(2, 3), np.asfortranarray([[1.5, 2], [3, 4]]), np.array([258], ">i2")]
    made = [np.float64(0.5), np.float32(0.25), np.int64(7), np.bool_(True), {1, 2}, *arrays]
    (tmp_path / "file").write_bytes(pickle.dumps(made, protocol))
    with (tmp_path / "file").open("rb") as file:
        found = unpickle(file, tmp_path / "file")
    assert found == [0.5, 0.25, 7, True, {1, 2}, [[0, 1, 2], [3, 4, 5]], [[1.5, 2], [3, 4]], [258]]
    assert not [each for each in found if isinstance(each, np.generic | np.ndarray)]


def test_a_numpy_array_of_objects_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(pickle.dumps(np.array([None, 1], dtype=object)))
    with (tmp_path / "file").open("rb") as file, pytest.raises(ValueError, match="type 'O8'"):
        unpickle(file, tmp_path / "file")


# -------------------------------------------------------------------------------------- NAS-Bench-201 and NATS-Bench


@pytest.mark.parametrize("write", [official.nasbench201, official.whole, official.simple])
def test_every_form_of_the_topology_space_gives_the_same_columns(write: Any, tmp_path: Path) -> None:
    path = write(tmp_path)
    table = read("nasbench201" if path.suffix == ".pth" else "nats_bench", path)
    assert table.ops == [[4, 2, 1, 2, 1, 1], [3, 3, 4, 1, 3, 0]]
    found = row(table, official.CELLS[0])
    seeds = [official.sloping("cifar10-valid", "x-valid", 200, seed) for seed in (777, 888, 999)]
    assert [found[f"c10_valid200_s{seed}"] for seed in (777, 888, 999)] == seeds
    assert found["c10_valid200"] == pytest.approx(sum(seeds) / 3)
    assert found["c100_valtest200_s888"] == official.sloping("cifar100", "ori-test", 200, 888)
    assert found["in16_test12"] == official.sloping("ImageNet16-120", "x-test", 12, 111)
    assert found["c10_train12"] == 61.1
    costs = ("n_seeds_12", "n_seeds_200", "params_c10", "flops_c100", "latency_ms_in16")
    assert [found[name] for name in costs] == [2, 3, 73306, 7783050, 12.5]
    assert (found["train_s_per_epoch_c10valid"], found["valid_s_c10valid"]) == (5.0, 0.625)
    other = row(table, official.CELLS[1])
    assert np.isnan(other["c10_valid200_s999"])
    assert other["n_seeds_200"] == 2
    assert other["c10_valid200"] == pytest.approx(sum(seeds[:2]) / 2)


def test_a_zip_of_a_later_torch_is_read_too(tmp_path: Path) -> None:
    found = row(read("nasbench201", official.nasbench201(tmp_path, is_zip=True)), official.CELLS[0])
    assert found["c10_valid12"] == np.mean(
        [official.sloping("cifar10-valid", "x-valid", 12, seed) for seed in (777, 111)]
    )


def test_the_first_version_has_no_times_of_200_epochs_and_fewer_trainings_of_12(tmp_path: Path) -> None:
    found = row(read("nasbench201", official.nasbench201(tmp_path, is_first=True)), official.CELLS[1])
    assert found["train_s_per_epoch_c10valid"] == 5.0
    assert "train_s_per_epoch_c10" not in found
    assert "c100_valid12" not in found
    assert found["c100_test200_s777"] == official.sloping("cifar100", "x-test", 200, 777)


def test_the_size_space_has_decisions_and_90_epochs(tmp_path: Path) -> None:
    table = read("nats_bench", official.simple(tmp_path, official.WIDTHS, official.size_results))
    assert table.ops == [[0, 0, 0, 0, 0], [0, 1, 7, 4, 2]]
    found = row(table, official.WIDTHS[1])
    assert found["c10_valid90_s999"] == official.sloping("cifar10-valid", "x-valid", 90, 999)
    assert found["n_seeds_1"] == 1
    assert {"c100_test1", "c100_test12", "c100_test90", "c10valid_test90"} <= found.keys()


def test_a_folder_that_lacks_architectures_is_refused(call: Call, tmp_path: Path) -> None:
    path, out = official.simple(tmp_path), tmp_path / "table.npz"
    (path / "000001.pickle.pbz2").unlink()
    assert_refused(call("convert", "nats_bench", path, out), "1 of 2 architectures, and no 000001.pickle.pbz2")
    (path / "meta.pickle.pbz2").unlink()
    assert_refused(call("convert", "nats_bench", path, out), "has no meta.pickle.pbz2")


def test_an_architecture_of_no_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="has an architecture '8:9:8:8:8', which is in no space of NATS-Bench"):
        read("nats_bench", official.whole(tmp_path, ["8:9:8:8:8"], official.size_results))


NAMES = {
    ("cifar10-valid", "x-valid"): "c10_valid",
    ("cifar10", "ori-test"): "c10_test",
    **{("cifar100", f"x-{part}"): f"c100_{part}" for part in ("valid", "test")},
    **{("ImageNet16-120", f"x-{part}"): f"in16_{part}" for part in ("valid", "test")},
}
"""The columns of our own table by data set and images."""


def rewritten(ours: TableFile, folder: Path) -> Path:
    """Return a folder of NATS-Bench in which CELLS have the numbers that our own table has."""
    assert ours.ops is not None
    indices = [ours.ops.index(decisions) for decisions in ([4, 2, 1, 2, 1, 1], [3, 3, 4, 1, 3, 0])]

    def results(index: int, text: str) -> Any:
        def accuracy(data: str, images: str, epochs: int, seed: int) -> float:
            name = NAMES.get((data, images))
            return 50.0 if name is None else ours.value(f"{name}{epochs}", indices[index])

        second = ours.value("train_s_per_epoch_c10valid", indices[index])
        return official.topology_results(index, text, accuracy, second)

    return official.simple(folder, results=results)


def test_a_converted_table_serves_the_experiments_as_our_own(
    shared_data: Path, root: Path, call: Call, tmp_path: Path
) -> None:
    path, out = rewritten(load_table(str(shared_data / "nasbench201.npz")), tmp_path), tmp_path / "nasbench201.npz"
    assert call("convert", "nats_bench", path, out).returncode == 0
    scored = []
    for experiment in map(load, sorted((root / "experiments" / "nasbench201").glob("*.yaml"))):
        of_final = experiment.final.evaluator if experiment.final is not None else None
        for table in (experiment.evaluator, of_final):
            if isinstance(table, Table):
                scored.append(table)
                assert_same_scores(
                    replace(table, table=str(shared_data / "nasbench201.npz")), replace(table, table=str(out))
                )
    assert len(scored) >= 3


def assert_same_scores(one: Table, other: Table) -> None:
    """Check that two tables score CELLS the same, up to the rounding of our own, after each number of epochs."""
    task = task_of("nasbench201", family("nasbench201").space(), {}, {}, "network")
    for table in (one, other):
        table.prepare(task.space)
    for text in official.CELLS:
        for epochs in (None, *(each.epochs for each in one.earlier)):
            job = Job(0, from_string(text), 0, epochs=epochs)
            for way in ("evaluate", "test"):
                first, second = (performed(getattr(table, way)(task, job))[1] for table in (one, other))
                assert first == pytest.approx(second, rel=1e-6)
                assert first.keys() == second.keys()


# ------------------------------------------------------------------------------ NAS-Bench-101 and TransNAS-Bench-101


@pytest.mark.parametrize("name", ["nasbench101", "nasbench101_json", "nasbench101_naslib"])
def test_every_form_of_nasbench101_has_the_cells_as_text_and_hash(name: str, tmp_path: Path) -> None:
    table = read(name, official.EXAMPLES[name](tmp_path))
    assert list(table.column("architecture")) == list(official.TEXTS)
    assert list(table.column("module_hash")) == list(official.MODULES)
    found = row(table, official.TEXTS[1])
    assert found["params"] == 8_555_530
    assert found["c10_valid108"] == pytest.approx(92.92 if name != "nasbench101_json" else 93)
    assert found["seconds108"] == pytest.approx(1717)
    if name != "nasbench101_json":
        assert [found[f"c10_test108_s{seed}"] for seed in range(3)] == pytest.approx([91, 91.91, 92.82])


def test_every_number_of_epochs_of_a_tfrecord_is_a_column(tmp_path: Path) -> None:
    found = row(read("nasbench101", official.nasbench101(tmp_path)), official.TEXTS[0])
    assert {f"c10_{part}{epochs}" for part in ("train", "valid", "test") for epochs in (4, 12, 36, 108)} <= found.keys()
    assert len(found) == 1 + 4 * 4 * 4
    only = row(read("nasbench101", official.nasbench101(tmp_path, budgets=(108,))), official.TEXTS[0])
    assert len(only) == 1 + 4 * 4


def test_checksums_and_messages_are_as_published() -> None:
    # the check value of CRC-32C, RFC 3720 appendix B.4: 32 bytes of zeros
    assert masked_crc32c(bytes(32)) == ((0x8A9136AA >> 15 | 0x8A9136AA << 17) + 0xA282EAD8) & 0xFFFFFFFF
    # the examples of protobuf.dev/programming-guides/encoding: a = 150, b = "testing"
    assert list(fields_of(bytes.fromhex("089601"))) == [(1, 150)]
    assert list(fields_of(bytes.fromhex("120774657374696e67"))) == [(2, b"testing")]
    for broken in ("08", "0896", "1207746573", "09000000", "0b"):
        with pytest.raises(ValueError, match=r"ends within a field|unknown kind"):
            list(fields_of(bytes.fromhex(broken)))


def test_the_message_is_that_of_protobuf(tmp_path: Path) -> None:
    """A message that the library of protocol buffers writes, by the published description, is read the same."""
    descriptors = pytest.importorskip("google.protobuf.descriptor_pb2")
    from google.protobuf import descriptor_pool, message_factory

    file = descriptors.FileDescriptorProto(name="model_metrics.proto", package="nasbench", syntax="proto2")
    whole, part = file.message_type.add(name="ModelMetrics"), file.message_type.add(name="EvaluationData")
    kinds = descriptors.FieldDescriptorProto
    names = ("current_epoch", "training_time", "train_accuracy", "validation_accuracy", "test_accuracy")
    for number, name in enumerate(names, 1):
        part.field.add(name=name, number=number, label=kinds.LABEL_OPTIONAL, type=kinds.TYPE_DOUBLE)
    repeated = {"label": kinds.LABEL_REPEATED, "type": kinds.TYPE_MESSAGE, "type_name": ".nasbench.EvaluationData"}
    whole.field.add(name="evaluation_data", number=1, **repeated)
    whole.field.add(name="trainable_parameters", number=2, label=kinds.LABEL_OPTIONAL, type=kinds.TYPE_INT32)
    whole.field.add(name="total_time", number=3, label=kinds.LABEL_OPTIONAL, type=kinds.TYPE_DOUBLE)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName("nasbench.ModelMetrics"))()
    made.ParseFromString(official.metrics(8_555_530, official.training(0), 108))
    assert made.trainable_parameters == 8_555_530
    assert [each.test_accuracy for each in made.evaluation_data] == [0, 0.455, 0.91]
    assert made.SerializeToString() == official.metrics(8_555_530, official.training(0), 108)


def test_transnasbench101_has_the_last_and_the_best_epoch_of_each_task(tmp_path: Path) -> None:
    table = read("transnasbench101", official.transnasbench101(tmp_path))
    assert list(table.column("space")) == ["macro", "macro", "micro"]
    found = row(table, "64-2311-basic")
    assert (found["class_scene_valid_top1"], found["class_scene_valid_top1_best"]) == (31, 41)
    assert (found["room_layout_valid_neg_loss"], found["room_layout_valid_neg_loss_best"]) == (-2, -1)
    assert "class_scene_valid_loss_best" not in found
    assert (found["class_scene_epochs"], found["class_scene_model_FLOPs"]) == (3, 2e9)
