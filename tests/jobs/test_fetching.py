"""A fetched model is whole and verified, or it is not there."""

import errno
import os
import random
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.errors import InputError, SetupError, UsageProblem
from cloudcpt.jobs.fetch import fetch_model
from cloudcpt.jobs.ports import JobStatus
from cloudcpt.wire import complete_model, model_faults
from tests.fakes import FakeJobs, FakeModels, small_plan

FILES = {"config.json": b'{"a": 1}', "model.safetensors": bytes(range(200)), "provenance/recipe.yaml": b"run: {}\n"}


@dataclass
class Fetched:
    """A completed job, its models, and where one may be fetched to."""

    models: FakeModels
    status: JobStatus
    folder: Path


def completed(folder: Path) -> Fetched:
    jobs = FakeJobs()
    name = jobs.create(small_plan(folder / "train.jsonl")).name
    while not (status := jobs.status(name)).state.is_final:
        pass
    return Fetched(FakeModels(jobs, folder, dict(FILES)), status, folder)


@pytest.fixture
def fetched(tmp_path):
    return completed(tmp_path)


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "train.jsonl")


def test_the_copy_is_complete_and_nothing_else_is_left(fetched):
    fetch_model(fetched.models, fetched.status, fetched.folder / "deep" / "model")
    assert model_faults(fetched.folder / "deep" / "model") == []
    assert leftovers(fetched.folder / "deep") == ["model"]


def test_an_empty_folder_is_a_good_destination(fetched):
    (fetched.folder / "model").mkdir()
    fetch_model(fetched.models, fetched.status, fetched.folder / "model")
    assert model_faults(fetched.folder / "model") == []


@pytest.mark.parametrize("force", [False, True])
def test_whatever_is_not_a_model_is_never_replaced(fetched, force):
    home = fetched.folder / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageProblem, match="CPT463"):
        fetch_model(fetched.models, fetched.status, home, replace=force)
    (fetched.folder / "file").write_text("mine")
    with pytest.raises(UsageProblem, match="CPT463"):
        fetch_model(fetched.models, fetched.status, fetched.folder / "file", replace=force)
    assert (home / "thesis.tex").read_text() == "years of work"
    assert leftovers(fetched.folder) == ["file", "home"]


def test_an_earlier_model_is_replaced_only_when_asked(fetched):
    destination = fetched.folder / "model"
    fetch_model(fetched.models, fetched.status, destination)
    fetched.models.files["config.json"] = b'{"a": 2}'
    with pytest.raises(UsageProblem, match="CPT463"):
        fetch_model(fetched.models, fetched.status, destination)
    assert (destination / "config.json").read_bytes() == b'{"a": 1}'
    fetch_model(fetched.models, fetched.status, destination, replace=True)
    assert (destination / "config.json").read_bytes() == b'{"a": 2}'
    assert leftovers(fetched.folder) == ["model"]


@dataclass
class DamagingModels(FakeModels):
    """A `ModelSource` whose copies arrive damaged."""

    damage: object = None

    def copy(self, name: str, folder: Path) -> None:
        super().copy(name, folder)
        self.damage(folder)


def flip(folder: Path, seed: int) -> None:
    """Change one bit of one file, never by adding white space that a parser would forgive."""
    chance = random.Random(seed)
    path = chance.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def truncate(folder: Path, seed: int) -> None:
    path = random.Random(seed).choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    path.write_bytes(path.read_bytes()[:-1])


def remove(folder: Path, seed: int) -> None:
    random.Random(seed).choice(sorted(path for path in folder.rglob("*") if path.is_file())).unlink()


def add(folder: Path, seed: int) -> None:
    (folder / f"extra-{seed}").write_bytes(b"")


@settings(deadline=None)  # a busy disk is no failure
@given(seed=st.integers(0, 2**32), damage=st.sampled_from([flip, truncate, remove, add]))
def test_no_damaged_copy_ever_gets_its_name(seed, damage):
    with tempfile.TemporaryDirectory() as name:
        whole = completed(Path(name))
        models = DamagingModels(whole.models.jobs, whole.folder, dict(FILES), damage=lambda at: damage(at, seed))
        with pytest.raises(InputError, match="CPT462"):
            fetch_model(models, whole.status, whole.folder / "model")
        assert leftovers(whole.folder) == []


def test_a_damaged_copy_leaves_the_earlier_model_alone(fetched):
    destination = fetched.folder / "model"
    fetch_model(fetched.models, fetched.status, destination)
    models = DamagingModels(fetched.models.jobs, fetched.folder, dict(FILES), damage=lambda at: flip(at, 7))
    with pytest.raises(InputError, match="CPT462"):
        fetch_model(models, fetched.status, destination, replace=True)
    assert model_faults(destination) == []


def test_a_sound_model_of_another_plan_is_refused(fetched):
    def exchange(folder: Path) -> None:
        shutil.rmtree(folder)
        folder.mkdir()
        (folder / "config.json").write_bytes(b"{}")
        complete_model(folder, plan_hash="f" * 64, job_name="other", steps=1, tokens=1)

    models = DamagingModels(fetched.models.jobs, fetched.folder, dict(FILES), damage=exchange)
    with pytest.raises(InputError, match="made by another plan"):
        fetch_model(models, fetched.status, fetched.folder / "model")


def test_every_fault_is_told(fetched):
    def two_faults(folder: Path) -> None:
        (folder / "config.json").unlink()
        (folder / "model.safetensors").write_bytes(b"short")

    models = DamagingModels(fetched.models.jobs, fetched.folder, dict(FILES), damage=two_faults)
    with pytest.raises(InputError) as caught:
        fetch_model(models, fetched.status, fetched.folder / "model")
    assert len(caught.value.diagnostics) == 2


def test_a_full_disk_is_the_environments_fault_and_leaves_nothing(fetched):
    def fill(_folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    models = DamagingModels(fetched.models.jobs, fetched.folder, dict(FILES), damage=fill)
    with pytest.raises(SetupError, match="No space left"):
        fetch_model(models, fetched.status, fetched.folder / "model")
    assert leftovers(fetched.folder) == []
