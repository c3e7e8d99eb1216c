"""The wheel of the running code is one that pip takes, with all of it, and the same one every time."""

import subprocess
import sys
import zipfile
from pathlib import Path

import cloudcpt
from cloudcpt.image.own_wheel import write_own_wheel


def test_the_same_code_gives_the_same_wheel(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert write_own_wheel(tmp_path / "a").read_bytes() == write_own_wheel(tmp_path / "b").read_bytes()


def test_pip_installs_it_and_every_file_is_there(tmp_path: Path) -> None:
    wheel = write_own_wheel(tmp_path)
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*install, "--target", str(target), str(wheel)], check=True)
    package = Path(cloudcpt.__file__).parent
    ours = {path.relative_to(package) for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    theirs = {path.relative_to(target / "cloudcpt") for path in (target / "cloudcpt").rglob("*") if path.is_file()}
    assert ours <= theirs
    assert {path.name for path in theirs - ours} == {"Dockerfile", "requirements.txt"}
    said = subprocess.run(
        [sys.executable, "-S", "-c", "import cloudcpt.image.material as m; print(sorted(m.container_files()))"],
        env={"PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "['Dockerfile', 'requirements.txt']\n"


def test_the_record_lists_every_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(write_own_wheel(tmp_path)) as wheel:
        record = wheel.read(f"cloudcpt-{cloudcpt.__version__}.dist-info/RECORD").decode()
        assert {line.split(",")[0] for line in record.splitlines()} == set(wheel.namelist())
