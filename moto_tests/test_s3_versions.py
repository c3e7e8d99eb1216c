"""Versions of objects: pinned by an id or by a moment, read as they were, and refused where a job would get others."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.aws.s3_data import S3Data
from cloudcpt.aws.s3_versions import newest_at
from cloudcpt.cli.input_places import InputPlaces, PinnedPlace
from cloudcpt.cli.main import main
from cloudcpt.dataset.check import DatasetReport, check_in
from cloudcpt.dataset.records import read_records_in
from cloudcpt.dataset.versions import read_pin
from cloudcpt.errors import CloudcptError
from cloudcpt.fake.cloud import ACCOUNT_ID, FakeCloud

BUCKET = "corpora"
TRAIN = f"s3://{BUCKET}/d/train.jsonl"
FOLDER = f"s3://{BUCKET}/d/"
LATER = "2099-01-01T00:00:00Z"
EARLIER = "2001-01-01T00:00:00Z"


def line(text: str) -> bytes:
    return b'{"text":"%s"}\n' % text.encode()


@pytest.fixture
def put(fake_cloud: FakeCloud) -> Callable[[str, str], str]:
    store = fake_cloud.store()
    store.create_bucket(Bucket=BUCKET)
    store.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})

    def put_object(key: str, text: str) -> str:
        version: str = store.put_object(Bucket=BUCKET, Key=key, Body=line(text))["VersionId"]
        return version

    return put_object


def check(path: str, version: str) -> DatasetReport:
    return check_in(PinnedPlace(InputPlaces(Path(), owner=ACCOUNT_ID), read_pin(version, path)), path)


def texts(report: DatasetReport) -> list[str]:
    place = S3Data(owner=ACCOUNT_ID)
    return [record.text for file in report.files for record in read_records_in(place, file.as_input)]


def refusal(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(CloudcptError) as caught:
        call()
    return caught.value.diagnostics[0].code, caught.value.diagnostics[0].message


# --- one version of one object --------------------------------------------------------------------------------------


def test_a_version_that_was_overwritten_and_deleted_is_read_as_it_was(fake_cloud: FakeCloud, put: Any) -> None:
    old, new = put("d/train.jsonl", "old"), put("d/train.jsonl", "new")
    fake_cloud.store().delete_object(Bucket=BUCKET, Key="d/train.jsonl")
    for version, text in ((old, "old"), (new, "new")):
        report = check(TRAIN, version)
        (file,) = report.files
        assert (file.version_id, file.is_pinned, file.name) == (version, True, "train.jsonl")
        assert texts(report) == [text], "and so it is when it is read once more"


def test_what_was_not_pinned_is_asked_for_without_a_version(fake_cloud: FakeCloud, put: Any) -> None:
    """Reading by version needs a permission of its own, which nobody should need who pins nothing."""
    version = put("d/train.jsonl", "new")
    report = check_in(S3Data(owner=ACCOUNT_ID), TRAIN)
    assert (report.files[0].version_id, report.files[0].is_pinned) == (version, False)
    assert texts(report) == ["new"]
    assert not any("versionId" in call.query for call in fake_cloud.s3.calls.all("GetObject"))


@pytest.mark.parametrize("version", ["gone", "null", "x" * 1024])
def test_a_version_that_is_not_there_is_refused(put: Any, version: str) -> None:
    put("d/train.jsonl", "new")
    assert refusal(lambda: check(TRAIN, version))[0] == "CPT319"


def test_a_mark_of_deletion_is_no_version_of_the_data(fake_cloud: FakeCloud, put: Any) -> None:
    put("d/train.jsonl", "old")
    mark = fake_cloud.store().delete_object(Bucket=BUCKET, Key="d/train.jsonl")["VersionId"]
    assert refusal(lambda: check(TRAIN, mark))[0] == "CPT319"


def test_a_version_id_is_of_one_object(put: Any) -> None:
    version = put("d/train.jsonl", "new")
    for path in (FOLDER, f"s3://{BUCKET}/d", f"s3://{BUCKET}"):
        assert refusal(lambda path=path: check(path, version))[0] == "CPT318"  # type: ignore[misc]


# --- a moment -------------------------------------------------------------------------------------------------------


def test_now_is_what_a_listing_shows(put: Any) -> None:
    put("d/train.jsonl", "old")
    put("d/train.jsonl", "new")
    put("d/b/more.jsonl", "more")
    report = check(FOLDER, LATER)
    assert texts(report) == ["more", "new"]
    assert [file.name for file in report.files] == ["b/more.jsonl", "train.jsonl"]
    assert texts(check(f"s3://{BUCKET}/d/*.jsonl", LATER)) == ["new"]


def test_what_is_deleted_by_then_is_not_there(fake_cloud: FakeCloud, put: Any) -> None:
    put("d/train.jsonl", "old")
    put("d/other.jsonl", "other")
    fake_cloud.store().delete_object(Bucket=BUCKET, Key="d/train.jsonl")
    assert texts(check(FOLDER, LATER)) == ["other"]


def test_before_anything_was_written_nothing_is_there(put: Any) -> None:
    put("d/train.jsonl", "new")
    assert refusal(lambda: check(FOLDER, EARLIER))[0] == "CPT300"


def test_looking_at_versions_needs_its_permission(fake_cloud: FakeCloud, put: Any) -> None:
    put("d/train.jsonl", "new")
    fake_cloud.denied.add("s3:ListBucketVersions")
    code, message = refusal(lambda: check(FOLDER, LATER))
    assert (code, "s3:ListBucketVersions" in message) == ("CPT403", True)


BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
HISTORIES = st.lists(
    st.tuples(st.sampled_from(["a", "a.jsonl", "ab", "b"]), st.integers(0, 9), st.booleans()),
    max_size=30,
    unique_by=lambda event: event[:2],  # of one second S3 does not tell which of a version and a mark came first
)


@given(history=HISTORIES, seconds=st.integers(-1, 10), size=st.integers(1, 5))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_any_history_is_as_if_it_had_been_played_up_to_the_moment(
    history: list[tuple[str, int, bool]], seconds: int, size: int
) -> None:
    events = sorted(enumerate(history), key=lambda event: (event[1][1], event[0]))
    there: dict[str, str] = {}
    for number, (key, second, is_deletion) in events:
        if second <= seconds:
            there.pop(key, None)
            there |= {} if is_deletion else {key: f"v{number}"}
    entries = _as_s3_lists([(number, *event) for number, event in events])
    pages = []
    for start in range(0, len(entries), size):
        page = entries[start : start + size]
        kinds = {
            "Versions": [one for one in page if "ETag" in one],
            "DeleteMarkers": [o for o in page if "ETag" not in o],
        }
        pages.append({name: kept for name, kept in kinds.items() if kept})
    found = list(newest_at(pages, BEGIN + timedelta(seconds=seconds)))
    assert {one.key: one.version_id for one in found} == there
    assert [one.key for one in found] == sorted(there)


def _as_s3_lists(events: list[tuple[int, str, int, bool]]) -> list[dict[str, Any]]:
    """Order versions as S3 does: by key, and the newest first."""
    latest = {key: number for number, key, _, _ in events}
    entries = []
    for number, key, second, is_deletion in reversed(events):
        entry: dict[str, Any] = {
            "Key": key,
            "VersionId": f"v{number}",
            "LastModified": BEGIN + timedelta(seconds=second),
            "IsLatest": latest[key] == number,
        }
        entries.append(entry if is_deletion else {**entry, "ETag": '"e"', "Size": 1})
    return sorted(entries, key=lambda entry: entry["Key"])


# --- in a recipe ----------------------------------------------------------------------------------------------------

RECIPE = """\
run:
  name: demo
  model_type: hf
  model_name_or_path: base
  replicas: 1
  data_s3_path: {path}
  output_s3_path: s3://corpora/out
training_config:
  max_length: 16
  global_batch_size: 32
  trainer:
    max_steps: 4
  model:
    optim:
      lr: 1e-5
      sched:
        warmup_steps: 1
        min_lr: 1e-6
data:
  version: {version}
launch:
  target: sagemaker
  account_id: "123456789012"
"""


@pytest.fixture
def validate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str, str], str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOUDCPT_STATE_DIR", str(tmp_path / "state"))

    def run(path: str, version: str) -> str:
        (tmp_path / "recipe.yaml").write_text(RECIPE.format(path=path, version=version))
        main(["validate", "recipe.yaml"])
        return capsys.readouterr().out

    return run


def test_the_newest_version_may_be_pinned(put: Any, validate: Callable[[str, str], str]) -> None:
    version = put("d/train.jsonl", "new")
    for path, pin in ((TRAIN, version), (TRAIN, LATER), (FOLDER, LATER)):
        shown = validate(path, pin)
        assert "CPT383" not in shown
        assert "1 document" in shown


def test_an_older_version_is_refused_because_a_job_could_not_have_it(
    fake_cloud: FakeCloud, put: Any, validate: Callable[[str, str], str]
) -> None:
    old = put("d/train.jsonl", "old")
    put("d/train.jsonl", "new")
    shown = validate(TRAIN, old)
    assert "error[CPT383]" in shown
    assert f"   20 |   version: {old}" in shown
    newest = put("d/train.jsonl", "newest")
    assert "CPT383" not in validate(TRAIN, newest)
    fake_cloud.store().delete_object(Bucket=BUCKET, Key="d/train.jsonl")
    assert "error[CPT383]" in validate(TRAIN, newest)


def test_a_version_that_is_not_there_points_at_its_line(put: Any, validate: Callable[[str, str], str]) -> None:
    put("d/train.jsonl", "new")
    for pin, code in (("gone", "CPT319"), ("blake3:00000000", "CPT319"), ("2026-01-01", "CPT318")):
        shown = validate(TRAIN, pin)
        assert f"error[{code}]" in shown
        assert f"   20 |   version: {pin}" in shown


def test_a_content_in_s3_may_be_pinned_like_one_here(put: Any, validate: Callable[[str, str], str]) -> None:
    put("d/train.jsonl", "new")
    digits = check_in(S3Data(owner=ACCOUNT_ID), TRAIN).files[0].blake3
    assert "CPT319" not in validate(TRAIN, f"blake3:{digits[:12]}")
