from dataclasses import replace
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.errors import Blame
from cloudcpt.plan.plan import DataFile, Plan, read_plan
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.inputs import verify_inputs
from cloudcpt.wire import MlFolder

PLAN = read_plan(Path(__file__).with_name("data_plan.json"))
CONTENT = {
    ("train", "a.jsonl"): b"alpha" * 99,
    ("train", "more/b.jsonl"): b"b",
    ("validation", "v.jsonl"): b"val",
    ("model", "config.json"): b"{}",
}


def planned(channel: str) -> tuple[DataFile, ...]:
    return tuple(
        DataFile(name=name, uri=name, size_bytes=len(content), blake3=blake3(content).hexdigest())
        for (place, name), content in CONTENT.items()
        if place == channel
    )


@pytest.fixture
def job(tmp_path: Path) -> tuple[Plan, MlFolder]:
    """A plan and channels that agree."""
    ml = MlFolder(tmp_path)
    for (channel, name), content in CONTENT.items():
        path = ml.channel(channel) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    sources = tuple(replace(source, files=planned(source.channel)) for source in PLAN.sources_of("train", "validation"))
    return replace(PLAN, sources=sources, model=replace(PLAN.model, files=planned("model"))), ml


def test_files_as_they_were_planned_are_accepted(job: tuple[Plan, MlFolder]) -> None:
    verify_inputs(*job)


@pytest.mark.parametrize(("channel", "name"), CONTENT)
def test_a_missing_file_is_named(job: tuple[Plan, MlFolder], channel: str, name: str) -> None:
    plan, ml = job
    (ml.channel(channel) / name).unlink()
    with pytest.raises(TrainingFailure, match=f"CPT650: `{channel}/{name}` is missing") as caught:
        verify_inputs(plan, ml)
    assert caught.value.failure.blame is Blame.USER


def test_a_file_of_another_size_is_named_with_both_sizes(job: tuple[Plan, MlFolder]) -> None:
    plan, ml = job
    (ml.channel("train") / "a.jsonl").write_bytes(b"short")
    with pytest.raises(TrainingFailure, match=r"`train/a\.jsonl` has 5 bytes instead of 495"):
        verify_inputs(plan, ml)


@settings(max_examples=30, deadline=None)
@given(at=st.integers(0, 494), flip=st.integers(1, 255))
def test_any_changed_byte_is_found(tmp_path_factory: pytest.TempPathFactory, at: int, flip: int) -> None:
    ml = MlFolder(tmp_path_factory.mktemp("ml"))
    content = bytearray(CONTENT["train", "a.jsonl"])
    content[at] ^= flip
    ml.channel("train").mkdir(parents=True)
    (ml.channel("train") / "a.jsonl").write_bytes(content)
    source = replace(PLAN.sources[0], files=planned("train")[:1])
    with pytest.raises(TrainingFailure, match=r"`train/a\.jsonl` has other content"):
        verify_inputs(replace(PLAN, sources=(source,)), ml)


def test_everything_wrong_is_reported_together_and_a_long_list_is_cut(job: tuple[Plan, MlFolder]) -> None:
    plan, ml = job
    lost = tuple(replace(planned("train")[0], name=f"lost{n}.jsonl") for n in range(7))
    sources = (replace(plan.sources[0], files=lost), *plan.sources[1:])
    with pytest.raises(TrainingFailure) as caught:
        verify_inputs(replace(plan, sources=sources), ml)
    assert [f"lost{n}" in str(caught.value) for n in range(7)] == [True] * 5 + [False] * 2
    assert "and 2 more" in str(caught.value)


def test_a_file_that_nobody_planned_does_not_matter(job: tuple[Plan, MlFolder]) -> None:
    plan, ml = job
    (ml.channel("train") / "notes.txt").write_text("hello")
    verify_inputs(plan, ml)
