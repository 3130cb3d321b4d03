"""Dashboard: runs as live studies of optuna-dashboard; nothing is written into a run folder."""

from __future__ import annotations

import json
import os
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any, final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from nas.history import read_objective
from nas.plain import from_plain
from nas.records import RecordError
from nas.runs.experiment import Experiment
from nas.runs.run import load_run
from nas.runtime.loggers.labels import DecisionLabels

SECONDS_BETWEEN_LOOKS = 1.0
"""The interval at which journals are read for new lines."""

Event = Mapping[str, Any]


@final
class JournalFollower:
    """A reader of a journal that another process may be writing: each whole line once. The file may not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0

    def events(self) -> list[Event]:
        """Return the events since the last call."""
        if not self.path.is_file():
            return []
        with self.path.open("rb") as file:
            file.seek(self._read)
            data = file.read()
        # a last line without its end is still being written: it is left for the next call
        whole = data.rfind(b"\n") + 1
        self._read += whole
        try:
            events = [json.loads(line) for line in data[:whole].splitlines()]
        except ValueError as error:
            raise RecordError(f"{self.path} is damaged ({error}): `nas show` names the line") from None
        return [event for event in events if "event" in event]


@final
class Study:
    """A run as an Optuna study: an evaluation is a trial, its decisions are categorical parameters."""

    def __init__(self, storage: Any, folder: Path, name: str) -> None:
        if any((folder / f"{kind}.yaml").is_file() for kind in ("training", "transfer")):
            raise RecordError(f"{folder} is no search run: nas show {folder} prints its progress")
        self.storage, self.folder = storage, folder
        self.experiment = load_run(folder)
        self.objective, _ = read_objective(self.experiment.rules.objective)
        self._labels = DecisionLabels(self.experiment.open_space())
        self._distributions = _distributions(self._labels)
        self._tail = JournalFollower(folder / "history.jsonl")
        self._trials: dict[int, int] = {}  # Optuna's id of each evaluation
        self._known: dict[str, tuple[dict[str, str], str]] = {}  # by digest: decisions, and the architecture as text
        self._id = _new_study(storage, name, self.experiment)

    def update(self) -> None:
        """Add the new events of the journal."""
        events = self._tail.events()
        # a start and its finish that came together make one finished trial; otherwise the trial is updated later
        ended = {event["number"]: event for event in events if event["event"] == "finish"}
        for event in events:
            if event["event"] == "start":
                self._add(event, ended.pop(event["number"], None))
        for number, event in ended.items():
            self._finish(self._trials[number], event)

    def _add(self, start: Event, end: Event | None) -> None:
        from optuna.trial import TrialState, create_trial

        params, text = self._described(start)
        attributes = {**_origin(start), "architecture": text, **_found(end, self.objective)}
        bare = create_trial(state=TrialState[_state(end)], value=_value(end, self.objective), user_attrs=attributes)
        number = self.storage.create_new_trial(self._id, template_trial=bare)
        trial = self.storage.get_trial(number)  # set in place: copying these with a template is slow
        trial.params, trial.distributions = params, {name: self._distributions[name] for name in params}
        trial.datetime_start, trial.datetime_complete = _time(start), _time(end) if end else None
        self._trials[start["number"]] = number

    def _described(self, start: Event) -> tuple[dict[str, str], str]:
        if start["digest"] not in self._known:
            architecture = from_plain(start["architecture"])
            params = dict(self._labels.of(architecture))
            self._known[start["digest"]] = params, self.experiment.describe(architecture)
        return self._known[start["digest"]]

    def _finish(self, trial: int, end: Event) -> None:
        from optuna.trial import TrialState

        for name, value in _found(end, self.objective).items():
            self.storage.set_trial_user_attr(trial, name, value)
        value = _value(end, self.objective)
        self.storage.set_trial_state_values(trial, TrialState[_state(end)], None if value is None else [value])
        self.storage.get_trial(trial).datetime_complete = _time(end)  # Optuna has set the time of this call


def _new_study(storage: Any, name: str, experiment: Experiment) -> int:
    """Make a study with the attributes of its experiment; return Optuna's id."""
    from optuna import create_study
    from optuna.exceptions import ExperimentalWarning

    rules = experiment.rules
    objective, sign = read_objective(rules.objective)
    study = create_study(storage=storage, study_name=name, direction="minimize" if sign < 0 else "maximize")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names([objective])
    attributes = {"space": experiment.space_name, "strategy": type(experiment.strategy).__name__, "seed": rules.seed}
    for key, value in attributes.items():
        study.set_user_attr(key, value)
    return int(storage.get_study_id_from_name(name))


def _distributions(labels: DecisionLabels) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution

    return {name: CategoricalDistribution(ways) for name, ways in labels.ways.items()}


def _state(end: Event | None) -> str:
    if end is None:
        return "RUNNING"
    return "FAIL" if "failure" in end else "COMPLETE"


def _value(end: Event | None, objective: str) -> float | None:
    return end["scores"][objective] if end and "scores" in end else None


def _time(event: Event) -> datetime:
    return datetime.fromtimestamp(event["at"])


def _origin(start: Event) -> dict[str, Any]:
    parents = " ".join(f"#{parent}" for parent in start["parents"])
    return {"origin": start["origin"], **({"parents": parents} if parents else {}), "digest": start["digest"]}


def _found(end: Event | None, objective: str) -> dict[str, Any]:
    """Return the other scores of an evaluation, or the reason of its failure, and its worker."""
    if end is None:
        return {}
    others = {name: score for name, score in end.get("scores", {}).items() if name != objective}
    failure = {"failure": end["failure"]} if "failure" in end else {}
    return {**others, **failure, "worker": end["worker"]}


@final
class _Server(ThreadingMixIn, WSGIServer):
    """A server with a thread per request, so that a large study does not block the others."""

    daemon_threads = True


@final
class _Quiet(WSGIRequestHandler):
    """A request handler that prints no line for each request."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@final
@dataclass(frozen=True, slots=True)
class Dashboard:
    """A server that is bound to its port, and the studies that it serves."""

    server: WSGIServer
    studies: Sequence[Study]

    @property
    def url(self) -> str:
        """The address of the page."""
        host, port = self.server.server_address[:2]
        return f"http://{host!s}:{port}/dashboard"

    def serve(self) -> None:
        """Answer requests and follow the journals, until Ctrl-C."""
        ended = threading.Event()
        follower = threading.Thread(target=self._follow, args=[ended], daemon=True)
        follower.start()
        try:
            self.server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            pass
        finally:
            ended.set()
            follower.join()

    def _follow(self, ended: threading.Event) -> None:
        studies = list(self.studies)
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            for study in list(studies):
                try:
                    study.update()
                except (RecordError, KeyError) as error:  # damaged, or deleted on the page
                    studies.remove(study)
                    warnings.warn(f"{study.folder} is no longer followed: {error}", stacklevel=1)


@contextmanager
def dashboard(folders: Sequence[Path], host: str, port: int) -> Iterator[Dashboard]:
    """Read runs and bind the server; port 0 picks a free one.

    Raises RecordError where a folder is not a search's, the port is taken, or optuna-dashboard is not installed.
    """
    pages = _pages()
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.InMemoryStorage()
    studies = [Study(storage, folder, name) for folder, name in zip(folders, _names(folders), strict=True)]
    for study in studies:
        study.update()
    try:
        server = make_server(host, port, pages.wsgi(storage), _Server, _Quiet)
    except OSError as error:
        raise RecordError(f"port {port} of {host} is not available ({error.strerror}): give another --port") from None
    try:
        yield Dashboard(server, studies)
    finally:
        server.server_close()


def _names(folders: Sequence[Path]) -> list[str]:
    """Return a study's name for each folder: the folder's name, or the whole path where another has the same name."""
    names = [Path(os.path.realpath(folder)).name for folder in folders]
    if len(set(map(os.path.realpath, folders))) < len(folders):
        raise RecordError("a run folder is given twice: give each once")
    return [str(folder) if names.count(name) > 1 else name for folder, name in zip(folders, names, strict=True)]


def _pages() -> Any:
    try:
        return import_module("optuna_dashboard")
    except ImportError:
        raise RecordError("optuna-dashboard is not installed: pip install 'cellstack[dashboard]'") from None
