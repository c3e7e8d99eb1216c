"""The job gives up root, and stays root where it would lose what it needs: each case in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudcpt.wire import MlFolder

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give up")

PROGRAM = """
import os, sys
from pathlib import Path
from cloudcpt.train.privileges import give_up_root
from cloudcpt.wire import MlFolder
words = give_up_root(MlFolder(Path(sys.argv[1])), sys.argv[2], devices=Path(sys.argv[3]))
held = next(line for line in open("/proc/self/status") if line.startswith("CapEff"))
print(os.geteuid(), os.getegid(), int(held.split()[1], 16), os.environ.get("USER", ""), words)
"""


@pytest.fixture
def ml(tmp_path: Path) -> MlFolder:
    ml = MlFolder(tmp_path / "ml")
    (ml.root / "input" / "data").mkdir(parents=True)
    (ml.root / "input" / "data" / "train.jsonl").write_text("{}\n", "utf-8")
    (ml.checkpoints / "earlier").mkdir(parents=True)
    return ml


@pytest.fixture
def given_up(ml: MlFolder, tmp_path: Path) -> Callable[..., list[str]]:
    (tmp_path / "dev").mkdir()

    def run(wanted: str = "") -> list[str]:
        command = [sys.executable, "-c", PROGRAM, str(ml.root), wanted, str(tmp_path / "dev")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        ended = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        return ended.stdout.strip().split(" ", 4)

    return run


def device(tmp_path: Path, name: str, mode: int) -> None:
    path = tmp_path / "dev" / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    path.chmod(mode)


def test_root_becomes_a_user_without_capabilities_who_owns_what_the_job_writes(
    ml: MlFolder, given_up: Callable[..., list[str]]
) -> None:
    assert given_up() == ["10001", "10001", "0", "cloudcpt", "the job runs as user 10001 without capabilities"]
    written = (ml.model, ml.output, ml.checkpoints, ml.checkpoints / "earlier", ml.scratch)
    assert {path.stat().st_uid for path in written} == {10001}
    assert (ml.root / "input" / "data" / "train.jsonl").stat().st_uid == 0


def test_a_dry_run_names_the_user_and_may_ask_to_stay_root(given_up: Callable[..., list[str]]) -> None:
    assert given_up("1234:5678")[:3] == ["1234", "5678", "0"]
    assert given_up("0:0")[0] == "0"


@pytest.mark.parametrize("hidden", [".", "input", "input/data", "input/data/train.jsonl"])
def test_who_could_not_read_the_job_any_more_stays_root(
    ml: MlFolder, given_up: Callable[..., list[str]], hidden: str
) -> None:
    (ml.root / hidden).chmod(0o600)
    user, *_, words = given_up()
    assert (user, "can be read by nobody else" in words) == ("0", True)


@pytest.mark.parametrize("name", ["infiniband/uverbs0", "nvidia7", "nvidia-uvm", "gdrdrv"])
def test_who_could_not_use_a_device_any_more_stays_root(
    tmp_path: Path, given_up: Callable[..., list[str]], name: str
) -> None:
    device(tmp_path, name, 0o600)
    user, *_, words = given_up()
    assert (user, f"`{tmp_path}/dev/{name}` can be used by nobody else" in words) == ("0", True)
    device(tmp_path, name, 0o666)
    if not name.startswith("infiniband"):  # which also asks how much memory may be locked
        assert given_up()[0] == "10001"


def test_a_link_that_leads_nowhere_is_not_our_business(ml: MlFolder, given_up: Callable[..., list[str]]) -> None:
    (ml.root / "input" / "data" / "gone").symlink_to("nowhere")
    assert given_up()[0] == "10001"
