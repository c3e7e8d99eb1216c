"""`kill -9` at any byte: the next staging goes on at that byte, and the model is the one that was published."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import cloudcpt
from cloudcpt.fake.http import Answer, Request
from cloudcpt.jobs.published import HEAD_BYTES
from cloudcpt.plan.staged import STAGED_FILE
from tests.fake_hubs import MODEL, FakeHuggingFace
from tests.local.engines import until

ROOT = Path(cloudcpt.__file__).parents[1]
LARGE = len(MODEL["b.safetensors"])
SHARDS = {"a.safetensors", "b.safetensors"}
LOOK = f"bytes=0-{HEAD_BYTES - 1}"
"""What is asked for to see the header of a shard."""


@pytest.fixture
def hub() -> Iterator[FakeHuggingFace]:
    made = FakeHuggingFace()
    yield made
    made.close()


def run(*command: object) -> "subprocess.Popen[str]":
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for work in folder.glob(".model.*.partial") for path in work.iterdir()}


def whole(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != STAGED_FILE}


def start_of(ranges: str) -> int:
    return int(ranges.removeprefix("bytes=").split("-")[0])


def test_each_staging_goes_on_where_the_killed_one_was(tmp_path: Path) -> None:
    """Each has a hub of its own, so that what a dead one had asked for cannot be counted as the next one's."""
    client, place = Path(__file__).with_name("stage_client.py"), tmp_path / "model"
    here: dict[str, int] = {}
    for die_after in (1, 500_000, 2_500_000):
        with closing(FakeHuggingFace()) as hub, run(client, hub.url, place, die_after) as process:
            process.communicate(timeout=60)
            assert process.returncode == -signal.SIGKILL
            assert not place.exists()
            require_no_byte_twice(hub, here)
        now = sizes(tmp_path)
        assert all(now[name] >= size for name, size in here.items())
        here = now
    assert 0 < here["b.safetensors"] < LARGE
    command = ("-m", "cloudcpt", "model", "stage", "org/model", "--to", place)
    with closing(FakeHuggingFace()) as hub, run(*command, "--endpoint", hub.url) as process:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        require_no_byte_twice(hub, here)
        assert hub.downloads("b.safetensors") == [LOOK, f"bytes={here['b.safetensors']}-{LARGE - 1}"]
    assert "every file verified" in out
    assert whole(place) == MODEL
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def require_no_byte_twice(hub: FakeHuggingFace, here: dict[str, int]) -> None:
    """Hold what was asked for against what was here before."""
    for name in SHARDS:
        brought = [start_of(ranges) for ranges in hub.downloads(name) if ranges != LOOK]
        assert brought in ([], [here.get(name, 0)])
        assert not (brought and here.get(name) == len(MODEL[name]))


def test_a_command_that_is_killed_while_it_waits_for_bytes_is_simply_typed_again(
    hub: FakeHuggingFace, tmp_path: Path
) -> None:
    """The second shard breaks off in the middle, and whoever asks for the rest is killed before the answer."""
    command = ("-m", "cloudcpt", "model", "stage", "org/model", "--endpoint", hub.url, "--to", tmp_path / "model")
    process = run(*command)

    def hold(request: Request, answer: Answer) -> Answer:
        start = start_of(request.headers.get("range", "bytes=0-"))
        if (
            "b.safetensors" not in request.path
            or answer.status != 206
            or answer.body[-1:] != MODEL["b.safetensors"][-1:]
        ):
            return answer
        if start == 0:
            return Answer(status=206, headers=answer.headers, body=answer.body, cut_at=LARGE // 2)
        others = {name: len(body) for name, body in MODEL.items() if name != "b.safetensors"}
        until(lambda: others.items() <= sizes(tmp_path).items())
        process.kill()
        process.wait()
        return answer

    hub.on_the_way = hold
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (-signal.SIGKILL, ""), err
    here = sizes(tmp_path)
    assert 0 < here["b.safetensors"] < LARGE
    hub.on_the_way = lambda _, answer: answer
    hub.seen.clear()
    with run(*command, "--output", "json") as again:
        out, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    assert f'"fetched_bytes": {LARGE - here["b.safetensors"]}' in out
    assert whole(tmp_path / "model") == MODEL
    assert hub.downloads("a.safetensors") == [LOOK]
    assert hub.downloads("tokenizer.json") == []
