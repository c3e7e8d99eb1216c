"""What cannot be fetched is said before anything is built, and nothing of pip's is left behind."""

import zipfile
from pathlib import Path

import pytest

from cloudcpt.errors import SetupError, TransientError
from cloudcpt.image.context import BasePython, fetch_torch, make_context

PYTHON = BasePython(command="python3", version="3.11", torch="2.13.0")


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Send pip to nobody, and its temporary files to a folder that can be looked into."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "1")
    return folder


def test_an_index_that_is_down_may_be_up_later(tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    (tmp_path / "context").mkdir()
    with pytest.raises(TransientError, match=r"CPT793.*the package index cannot be reached"):
        make_context(tmp_path / "context", PYTHON)
    assert list(scratch.iterdir()) == []


def test_a_package_without_a_wheel_for_that_python_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (tmp_path / "context").mkdir()
    with pytest.raises(SetupError, match=r"CPT793.*cannot be fetched: .*==") as raised:
        make_context(tmp_path / "context", PYTHON)
    assert "Python 3.11" in str(raised.value.diagnostics[0].hint)


def offer(folder: Path, name: str, version: str, needs: str = "") -> None:
    """Put a wheel without content into an index that is a folder."""
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        about = f"{name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        wheel.writestr(f"{about}/METADATA", metadata + (f"Requires-Dist: {needs}\n" if needs else ""))
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")


@pytest.mark.parametrize(
    ("offered", "fetched"),
    [
        (["2.13.0", "2.13.0+cpu"], {"torch-2.13.0+cpu"}),
        (["2.13.0"], {"torch-2.13.0", "cuda-1.0", "common-1.0"}),
    ],
)
def test_torch_for_cuda_comes_with_its_libraries_where_there_is_none_for_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offered: list[str], fetched: set[str]
) -> None:
    index, wheels, lock = tmp_path / "index", tmp_path / "wheels", tmp_path / "lock.txt"
    for version in offered:
        offer(index, "torch", version, "" if "cpu" in version else "cuda")
    offer(index, "cuda", "1.0", "common>=1")
    offer(index, "common", "1.0")
    offer(index, "common", "2.0")
    lock.write_text("common==1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n", "utf-8")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    wheels.mkdir()
    fetch_torch(wheels, PYTHON, lock)
    assert {wheel.name.removesuffix("-py3-none-any.whl") for wheel in wheels.iterdir()} == fetched
