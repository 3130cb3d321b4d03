"""`nas dashboard`: runs on a real server of optuna-dashboard, asked by HTTP, while their journals grow."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from nas.family import families
from nas.history import History, Proposal
from nas.journal import Journal, finished_event, started_event
from nas.records import RecordError
from nas.runtime.loggers.labels import DecisionLabels
from nas.space import choices, decisions, mutate, sample
from nas.terminal import dashboard as dashboards
from nas.terminal.dashboard import Dashboard, JournalFollower, dashboard
from search_spaces import darts, macro, nasbench201

pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed: pip install optuna-dashboard")

BEGIN = 1_800_000_000.0

EXPERIMENT = """\
space: nasbench201
strategy: RandomSearch
evaluator: {Training: {data: Digits}}
rules: {budget: {evaluations: 100}, objective: "OBJECTIVE"}
"""


class Run:
    """A run whose journal is written event by event."""

    def __init__(self, folder: Path, objective: str = "validation_top1_percent") -> None:
        folder.mkdir()
        (folder / "experiment.yaml").write_text(EXPERIMENT.replace("OBJECTIVE", objective), encoding="utf-8")
        self.folder, self.history = folder, History(objective)
        self.journal = Journal(folder / "history.jsonl")

    def start(self, at: float, parents: tuple[int, ...] = ()) -> int:
        drawn = sample(nasbench201.nasbench201(), Random(len(self.history.proposals)))
        number = self.history.start(Proposal(drawn, "mutation" if parents else "random", parents))
        self.journal.append(started_event(self.history, number, BEGIN + at))
        return number

    def finish(self, number: int, at: float, score: float) -> None:
        scores = {self.history.objective: score, "params": 1234}
        self.journal.append(finished_event(self.history.finish(number, scores, "host:1"), BEGIN + at))

    def fail(self, number: int, at: float) -> None:
        self.journal.append(finished_event(self.history.fail(number, "out of memory", "host:2"), BEGIN + at))


@pytest.fixture
def run(run_folder: Path) -> Iterator[Run]:
    made = Run(run_folder)
    with closing(made.journal):
        yield made


@contextmanager
def served(*folders: Path) -> Iterator[Dashboard]:
    """Serve runs in a thread of this process, at a free port."""
    with dashboard(folders, "127.0.0.1", 0) as page:
        thread = threading.Thread(target=page.serve)
        thread.start()
        try:
            yield page
        finally:
            page.server.shutdown()
            thread.join()


def asked(page: Dashboard, path: str) -> Any:
    with urlopen(page.url.replace("/dashboard", path), timeout=20) as answer:
        return json.load(answer)


def trials(page: Dashboard, study: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = asked(page, f"/api/studies/{study}?after=0")["trials"]
    return found


def attributes(trial: dict[str, Any]) -> dict[str, str]:
    return {each["key"]: each["value"] for each in trial["user_attrs"]}


def at(seconds: float) -> str:
    return datetime.fromtimestamp(BEGIN + seconds).isoformat()


def test_a_run_is_a_study_and_an_evaluation_a_trial(run: Run) -> None:
    run.finish(run.start(0), 5, 90.5)
    run.fail(run.start(1, parents=(0,)), 7)
    run.start(8, parents=(0, 1))
    with served(run.folder) as page:
        (study,) = asked(page, "/api/studies")["study_summaries"]
        done, failed, working = trials(page)
        with urlopen(page.url, timeout=20) as answer:
            assert b"<title>Optuna Dashboard" in answer.read()
    assert (study["study_name"], study["directions"]) == (run.folder.name, ["maximize"])
    assert [each["state"] for each in (done, failed, working)] == ["Complete", "Fail", "Running"]
    assert done["values"] == [90.5]
    assert (done["datetime_start"], done["datetime_complete"]) == (at(0), at(5))
    assert attributes(done)["params"] == "1234"
    assert attributes(failed)["failure"] == "out of memory"
    assert attributes(failed)["worker"] == "host:2"
    assert attributes(working)["parents"] == "#0 #1"
    for trial, proposal in zip((done, failed, working), run.history.proposals, strict=True):
        shown = {each["name"]: each["param_internal_value"] for each in trial["params"]}
        assert shown == decisions(nasbench201.nasbench201(), proposal.architecture)
        assert attributes(trial)["architecture"] == nasbench201.to_string(proposal.architecture)


def test_a_journal_that_grows_is_followed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboards, "SECONDS_BETWEEN_LOOKS", 0.05)
    first = run.start(0)
    before = sorted(run.folder.rglob("*"))
    with served(run.folder) as page:
        assert [each["state"] for each in trials(page)] == ["Running"]
        run.finish(first, 60, 80.0)
        run.finish(run.start(61), 70, 70.0)
        run.start(71)
        until = time.monotonic() + 20
        while len(found := trials(page)) < 3 and time.monotonic() < until:
            time.sleep(0.1)  # the page asks its storage every other second
    assert [each["state"] for each in found] == ["Complete", "Complete", "Running"]
    assert [each.get("values") for each in found[:2]] == [[80.0], [70.0]]
    assert found[0]["datetime_complete"] == at(60), "of the journal, not of the moment at which it was read"
    assert attributes(found[0])["params"] == "1234"
    assert sorted(run.folder.rglob("*")) == before, "nothing is written"


def test_several_runs_are_several_studies(run: Run, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    other = Run(tmp_path / "b" / run.folder.name, "-validation_top1_percent")
    other.journal.close()
    with served(run.folder, other.folder) as page:
        first, second = asked(page, "/api/studies")["study_summaries"]
    assert (first["study_name"], second["study_name"]) == (str(run.folder), str(other.folder))
    assert (first["directions"], second["directions"]) == (["maximize"], ["minimize"])


def test_a_run_without_a_journal_yet_is_an_empty_study(run: Run) -> None:
    run.journal.close()
    (run.folder / "history.jsonl").unlink()
    with served(run.folder) as page:
        assert trials(page) == []


def test_only_new_whole_lines_are_read(run: Run) -> None:
    tail = JournalFollower(run.folder / "history.jsonl")
    run.start(0)
    assert [each["number"] for each in tail.events()] == [0]
    with tail.path.open("ab") as file:
        file.write(b'{"event": "fin')
    assert tail.events() == []
    with tail.path.open("ab") as file:
        file.write(b'ish", "number": 0}\n')
    assert tail.events() == [{"event": "finish", "number": 0}]
    assert tail.events() == []


def test_a_port_that_is_taken_is_said_in_one_line(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(RecordError, match=rf"port {port} of 127.0.0.1 is not available .*: give another --port"),
            dashboard([run.folder], "127.0.0.1", port),
        ):
            pass


@pytest.mark.parametrize(
    ("made", "said"), [("other", "is no run folder"), ("training.yaml", "is no search run: nas show")]
)
def test_a_folder_that_is_no_search_is_refused(made: str, said: str, tmp_path: Path) -> None:
    (tmp_path / made).touch()
    with pytest.raises(RecordError, match=said), dashboard([tmp_path], "127.0.0.1", 0):
        pass


def test_a_run_that_is_given_twice_is_refused(run: Run) -> None:
    folders = [run.folder, run.folder / ".." / run.folder.name]
    with pytest.raises(RecordError, match="given twice"), dashboard(folders, "127.0.0.1", 0):
        pass


def test_a_package_that_is_missing_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    with (
        pytest.raises(RecordError, match=r"not installed: pip install 'cellstack\[dashboard\]'"),
        dashboard([run.folder], "127.0.0.1", 0),
    ):
        pass


def test_ctrl_c_ends_it_and_the_port_is_free_again(run: Run) -> None:
    with dashboard([run.folder], "127.0.0.1", 0) as page:
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        page.serve()
    with pytest.raises(URLError):
        urlopen(page.url, timeout=5)


@pytest.mark.slow
def test_the_command_serves_on_this_machine_alone_until_ctrl_c(run: Run) -> None:
    code = "import typer; from nas.cli.dashboard import dashboard; typer.run(dashboard)"
    command = [sys.executable, "-c", code, str(run.folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            url = line.split()[0]
            assert url.startswith("http://127.0.0.1:")
            with urlopen(url, timeout=20) as answer:
                assert answer.status == 200
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) == 0
            assert process.stderr is not None
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()


# --------------------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize("name", [name for name, each in families().items() if each.published or name == "macro"])
def test_each_way_to_decide_has_a_label_of_its_own(name: str) -> None:
    space = families()[name].space()
    labels, rng = DecisionLabels(space), Random(0)
    for choice, ways in labels.ways.items():
        assert len(set(ways)) == len(ways) == choices(space)[choice].arity
        assert max(map(len, ways)) <= 90
    architecture = sample(space, rng)
    mutant = mutate(space, architecture, rng)
    assert labels.of(architecture) != labels.of(mutant)


def test_labels_read_as_people_write() -> None:
    assert DecisionLabels(nasbench201.nasbench201()).ways["0-1"] == (
        "zero",
        "skip",
        "relu_conv1",
        "relu_conv3",
        "avg_pool3",
    )
    assert DecisionLabels(macro.macro()).ways["stage1/structure"] == ("serial", "residual", "inception", "dense")
    assert DecisionLabels(darts.darts()).ways["normal/3"][0] == "edge[<normal/0-3>] + edge[<normal/1-3>]"
