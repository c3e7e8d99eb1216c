"""The lock of the image and the versions that the tests run with are the same ones."""

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def versions(text: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_the_image_gets_the_versions_that_were_tested() -> None:
    locked = versions((PROJECT / "container" / "requirements.txt").read_text("utf-8"))
    tested = versions((PROJECT / "constraints.txt").read_text("utf-8"))
    assert len(locked) > 60
    differ = {
        name: (version, tested[name]) for name, version in locked.items() if name in tested and tested[name] != version
    }
    assert differ == {}


def test_every_locked_package_has_hashes_and_torch_is_the_bases() -> None:
    text = (PROJECT / "container" / "requirements.txt").read_text("utf-8")
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in block for block in blocks)
    assert "torch" not in versions(text)


def test_the_entry_point_is_in_exec_form() -> None:
    dockerfile = (PROJECT / "container" / "Dockerfile").read_text("utf-8")
    assert 'ENTRYPOINT ["/opt/cloudcpt/bin/python", "-m", "cloudcpt.train"]' in dockerfile
    assert "--require-hashes" in dockerfile
    assert "--no-index" in dockerfile
