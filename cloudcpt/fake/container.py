"""One host of a job that really runs: a folder laid out like /opt/ml, and the process that trains in it.

Source: SageMaker developer guide, "How Amazon SageMaker provides training information" (files, variables) and "How
Amazon SageMaker runs your training image"; TRAINING_JOB_NAME, TRAINING_JOB_ARN and AWS_REGION are read by
sagemaker-training 5.1.4.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import cloudcpt
from cloudcpt.fake.job_request import JobRequest, channels, instance_types
from cloudcpt.fake.script import STOP_GRACE_S
from cloudcpt.wire import MlFolder

MAX_LINE_CHARACTERS = 256 * 1024 - 26
"""Of one log event. Source: CloudWatch Logs API reference, PutLogEvents."""

_INHERITED = ("PATH", "LD_LIBRARY_PATH", "HOME", "LANG", "TMPDIR")


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """What runs in place of the container's image.

    Args:
        command: Called with `--root` and the host's folder; the bundled loop unless a test has a smaller one.
        environment: Variables beside those that the service and the request set.
        grace_s: Real seconds from SIGTERM to SIGKILL.
    """

    command: tuple[str, ...] = (sys.executable, "-m", "cloudcpt.train")
    environment: Mapping[str, str] = field(default_factory=dict)
    grace_s: float = STOP_GRACE_S


def host_names(count: int) -> tuple[str, ...]:
    """Name the hosts of a job: algo-1 alone, as SageMaker does; several need names that resolve on this machine."""
    return ("algo-1",) if count == 1 else tuple(f"127.0.0.{number}" for number in range(1, count + 1))


def lay_out(ml: MlFolder, request: JobRequest, *, host: str, hosts: Sequence[str]) -> None:
    """Make the folders and the three configuration files of one host."""
    for folder in (ml.config, ml.model, ml.output / "data", ml.checkpoints):
        folder.mkdir(parents=True, exist_ok=True)
    default = request["AlgorithmSpecification"]["TrainingInputMode"]
    instance_type = instance_types(request)[0]
    group = {"instance_group_name": "homogeneousCluster", "instance_type": instance_type, "hosts": list(hosts)}
    documents: dict[str, object] = {
        "hyperparameters": dict(request.get("HyperParameters", {})),
        "inputdataconfig": {
            channel["ChannelName"]: {
                "TrainingInputMode": channel.get("InputMode", default),
                "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
                    "S3DataDistributionType", "FullyReplicated"
                ),
                "RecordWrapperType": channel.get("RecordWrapperType", "None"),
                **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
            }
            for channel in channels(request)
        },
        "resourceconfig": {
            "current_host": host,
            "hosts": sorted(hosts),
            "network_interface_name": "lo",
            "current_instance_type": instance_type,
            "current_group_name": "homogeneousCluster",
            "instance_groups": [group],
        },
    }
    for name, document in documents.items():
        (ml.config / f"{name}.json").write_text(json.dumps(document), "utf-8")


class Container:
    """A running trainer, in a session of its own.

    Args:
        trainer: What runs.
        ml: Its folder.
        environment: What the service and the request set.
    """

    def __init__(self, trainer: Trainer, ml: MlFolder, environment: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._process = subprocess.Popen(
            [*trainer.command, "--root", str(ml.root)],
            env=_base_environment() | dict(trainer.environment) | dict(environment),
            cwd=ml.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def exit_code(self) -> int | None:
        """Give the exit code as Docker shows it, 128 + the signal when one killed it; None while it runs."""
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code

    def take_lines(self) -> list[str]:
        """Give the lines printed since the last time."""
        with self._lock:
            lines, self._lines = self._lines, []
        return lines

    def terminate(self) -> None:
        """Send SIGTERM to the first process, as the service does."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """Kill whatever is left of it and read what it printed."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout, "it was started with a pipe"
        with self._process.stdout as stream:
            for line in stream:
                text = line.decode("utf-8", "replace").rstrip("\n")[:MAX_LINE_CHARACTERS]
                with self._lock:
                    self._lines.append(text)


def _base_environment() -> dict[str, str]:
    """Take over what a process needs to start and nothing that would be credentials."""
    package = str(Path(cloudcpt.__file__).resolve().parents[1])
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return inherited | {"PYTHONPATH": package, "PYTHONUNBUFFERED": "1"}
