"""The part of a host in a job on data: what it runs, and what it says of an end; two of them are in moto_tests."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudcpt.corpus import cluster
from cloudcpt.wire import MlFolder, parse_failure


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_what_the_command_prints_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = tmp_path / "result.json"
    cluster._run_command(python("import sys; print('{}'); print('half way', file=sys.stderr)"), result)
    assert result.read_text() == "{}\n"
    assert capsys.readouterr().err == "half way\n"


@pytest.mark.parametrize(
    ("said", "code", "reason", "blame"),
    [
        ("error[CPT300] no such folder\n  hint: look\nFound 1 error", 1, "error[CPT300] no such folder", "user"),
        ("Traceback\n  File\nValueError: 7", 70, "ValueError: 7", "platform"),
    ],
)
def test_a_command_that_fails_leaves_its_reason(tmp_path: Path, said: str, code: int, reason: str, blame: str) -> None:
    command = [*python(f"import sys; sys.stderr.write({said!r}); sys.exit({code})"), "data", "check"]
    with pytest.raises(cluster.ClusterFailure) as caught:
        cluster._run_command(command, tmp_path / "result.json")
    failure = caught.value.failure
    assert (failure.code, failure.blame) == ("CPT778", blame)
    assert failure.message == f"`cloudcpt data check` ended with exit code {code}: {reason}"


@pytest.mark.parametrize("content", [None, "not json"])
def test_a_host_that_cannot_read_its_job_says_so(tmp_path: Path, content: str | None) -> None:
    ml = MlFolder(tmp_path)
    ml.config.mkdir(parents=True)
    ml.plan.parent.mkdir(parents=True)
    (ml.config / "resourceconfig.json").write_text(json.dumps({"current_host": "a", "hosts": ["a"]}))
    if content is not None:
        ml.plan.write_text(content)
    assert cluster.run(tmp_path) == 1
    failure = parse_failure(ml.failure.read_text())
    assert failure is not None
    assert failure.code == "CPT779"
    assert "plan.json" in failure.message


def test_the_first_of_the_sorted_hosts_leads(tmp_path: Path) -> None:
    ml = MlFolder(tmp_path)
    ml.config.mkdir(parents=True)
    hosts = {"current_host": "algo-1", "hosts": ["algo-2", "algo-1"]}
    (ml.config / "resourceconfig.json").write_text(json.dumps(hosts))
    found = cluster._read_hosts(ml)
    assert (found.names, found.is_first) == (("algo-1", "algo-2"), True)
