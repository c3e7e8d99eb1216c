"""The architecture as drawn: who may import whom, what may not exist, what every module must say."""

import subprocess
import sys
from pathlib import Path

import pytest

import cloudcpt

ROOT = Path(cloudcpt.__file__).parents[1]
MODULES = sorted(Path(cloudcpt.__file__).parent.rglob("*.py"))
NAMELESS = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "managers", "base", "core", "lib"}


def test_each_layer_imports_only_those_below() -> None:
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_heavy_libraries_are_imported_where_they_are_used_and_everything_public_says_what_it_is() -> None:
    rules = "TID,D100,D101,D102,D103,D104"
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--select", rules, "cloudcpt"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_is_named_for_a_noun(path: Path) -> None:
    assert path.stem not in NAMELESS
    assert path.parent.name not in NAMELESS
