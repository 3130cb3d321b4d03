"""The files on launching are as Ray, Kubernetes and the shell want them, and the script does as it says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from documents_inside import check_lines

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "launching"
FILES = [path for path in sorted(FOLDER.iterdir()) if path.suffix != ".md"]

COMMAND = re.compile(r"(?<![\w/.$-])nas [a-z]+(?: [^\s`|;&#\"']+)*")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_a_file_asks_for_is_there(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = file.read_text("utf-8").replace("\\\n", "").replace("/opt/cellstack/", "")
    commands = [command for command in COMMAND.findall(text) if "..." not in command]
    assert commands or file.name not in ("rayjob.yaml", "slurm.sh", "start_or_resume.sh")
    check_lines(commands, file.name)
    paths = re.findall(r"(?<![\w/])((?:experiments|docs|tests)/[\w/]+\.\w+)", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def locked(package: str) -> str:
    (version,) = re.findall(rf"^{package}==([\w.]+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    return str(version)


def test_ray_is_everywhere_the_one_that_is_locked() -> None:
    text = "".join(page.read_text("utf-8") for page in sorted(FOLDER.iterdir()))
    named = re.findall(
        r"ray\[default\]==([\d.]+)|rayproject/ray:([\d.]+)-|rayVersion: \"([\d.]+)\"|requirements\.lock` \(([\d.]+)\)",
        text,
    )
    assert len(named) == 5
    assert {next(filter(None, each)) for each in named} == {locked("ray")}


def test_the_cluster_file_is_as_ray_wants_it() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    cluster = yaml.safe_load((FOLDER / "ray_cluster.yaml").read_text("utf-8"))
    validate_config(prepare_config(cluster))
    head, worker = (cluster[f"{kind}_start_ray_commands"][-1] for kind in ("head", "worker"))
    assert "ray start --head --port=6379 --autoscaling-config=~/ray_bootstrap_config.yaml" in head
    assert "ray start --address=$RAY_HEAD_IP:6379" in worker
    assert head.split(";")[0] == worker.split(";")[0] == ". /shared/cellstack/docs/launching/environment.sh"


def test_the_rayjob_has_what_kuberay_asks_for() -> None:
    job = yaml.safe_load((FOLDER / "rayjob.yaml").read_text("utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec, cluster = job["spec"], job["spec"]["rayClusterSpec"]
    assert spec["submissionMode"] in ("K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode")
    assert spec["shutdownAfterJobFinishes"] is True
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    for group, pod in zip(groups, pods, strict=True):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        (container,) = pod["containers"]
        mounted = {each["name"] for each in container["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in pod["volumes"]}
        assert container["env"] == pods[0]["containers"][0]["env"]
    workers = sum(group["replicas"] * int(gpus(group)) for group in groups[1:])
    assert f"--workers {workers} --gpus-per-worker 1" in spec["entrypoint"]


def gpus(group: dict[str, Any]) -> str:
    (container,) = group["template"]["spec"]["containers"]
    return str(container["resources"]["limits"]["nvidia.com/gpu"])


STAND_INS = {
    "srun": 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"',
    "scontrol": 'echo "$@" > requeued',
    "nas": 'echo "$@" > asked; if [ -e long ]; then sleep 30; fi',
    "hostname": "echo 10.0.0.1 10.1.0.1",
}


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Return a function that starts the script as SLURM would, in a folder with stand-ins for what it calls."""
    (tmp_path / "bin").mkdir()
    for name, body in STAND_INS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "bin" / "activate").touch()
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "2", "SLURM_CPUS_PER_TASK": "4", "RUN": "runs/one"}
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "VENV": str(tmp_path), **job}
    command = ["bash", str(FOLDER / "slurm.sh"), "nas", "search", "a b.yaml"]
    started = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_slurm_job_begins_a_run_and_given_again_goes_on_with_it(
    slurm: Callable[[], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    assert slurm().wait(20) == 0
    assert (tmp_path / "asked").read_text() == "search a b.yaml --run-dir runs/one --address auto\n"
    (tmp_path / "runs" / "one").mkdir(parents=True)
    assert slurm().wait(20) == 0
    assert (tmp_path / "asked").read_text() == "resume runs/one --address auto\n"


def test_a_slurm_job_goes_back_into_the_queue_before_its_time_is_over(
    slurm: Callable[[], subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    (tmp_path / "long").touch()
    job = slurm()
    for _ in range(200):
        if (tmp_path / "asked").exists():
            break
        time.sleep(0.05)
    job.send_signal(signal.SIGUSR1)
    job.wait(20)
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"


@pytest.mark.parametrize("script", sorted(FOLDER.glob("*.sh")), ids=lambda script: script.name)
def test_a_script_is_one(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
