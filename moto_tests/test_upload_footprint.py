"""What an upload takes of a machine, seen from outside: a client of its own, over HTTP, into a sink."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from bench.upload import BUCKET, aws_environment

ROOT = Path(__file__).parents[1]
MIB = 1024**2


@pytest.fixture
def url() -> Iterator[str]:
    """Where a server is that drops what it gets."""
    sink = subprocess.Popen([sys.executable, str(ROOT / "bench/upload_sink.py")], stdout=subprocess.PIPE)
    with sink:
        assert sink.stdout
        yield f"http://127.0.0.1:{int(sink.stdout.readline())}"
        sink.kill()


def sparse_file(path: Path, size_bytes: int) -> Path:
    """Make a file of zeros that takes no room, and its BLAKE3 beside it."""
    with path.open("wb") as file:
        file.truncate(size_bytes)
    hasher, zeros = blake3(), bytes(4 * MIB)
    for start in range(0, size_bytes, len(zeros)):
        hasher.update(zeros[: size_bytes - start])
    path.with_suffix(".blake3").write_text(hasher.hexdigest())
    return path


def peak_mib(folder: Path, url: str, size_bytes: int) -> float:
    """Upload a file in a process of its own; give the most memory that it had."""
    sparse_file(folder / "three.bin", 24 * MIB)
    path = sparse_file(folder / "large.bin", size_bytes)
    environment = {**os.environ, **aws_environment(url, folder / "no certificate")}
    turn = [sys.executable, str(ROOT / "bench/upload.py"), "--turn", "cloudcpt", str(path), BUCKET]
    done = subprocess.run(turn, env=environment, stdout=subprocess.PIPE, check=True)
    peak: float = json.loads(done.stdout)["rss_mib"]
    return peak


@pytest.mark.slow
def test_uploading_half_a_gigabyte_takes_less_than_200_mb(url, tmp_path):
    assert peak_mib(tmp_path, url, 512 * MIB) < 200


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_uploading_20_gigabytes_takes_less_than_200_mb(url, tmp_path):
    assert peak_mib(tmp_path, url, 20_000 * MIB) < 200
