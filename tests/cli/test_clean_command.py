"""`clean` finds what nobody will finish, touches nothing else, and asks before it is gone."""

import json
import os
import time
from pathlib import Path

import pytest

from cloudcpt.cli.places import Places
from cloudcpt.dataset.row_cache import RowCache
from cloudcpt.errors import SetupError, error
from cloudcpt.jobs.journal import JournalEntry, UploadJournal
from cloudcpt.local.engine import LocalEngine
from cloudcpt.plan.keys import object_key
from tests.cli.clouds import FakeRegion, nobody_asks, places_with, run
from tests.fake_objects import FakeObjects, checksum_of
from tests.jobs.cloud_plans import cloud_plan

PREFIX = "cpt/cloudcpt"
PLACE = f"s3://my-bucket/{PREFIX}"


def key(digit: str, prefix: str = PREFIX) -> str:
    return object_key(prefix, blake3=digit * 64, name="train.jsonl")


@pytest.fixture
def region(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRegion:
    monkeypatch.chdir(tmp_path)
    return FakeRegion(tmp_path / "state")


def begin(region: FakeRegion, at: str, *, journal: bool = False) -> str:
    """Begin an upload long ago and send one part of it."""
    upload = region.objects.create_upload(at)
    content = b"x" * 1000
    region.objects.put_part(at, upload, 1, content, crc64nvme=checksum_of(content))
    if journal:
        note(region, at, upload)
    return upload


def note(region: FakeRegion, at: str, upload: str) -> None:
    entry = JournalEntry(
        uri=f"s3://my-bucket/{at}", size_bytes=20_000_000, upload_id=upload, part_bytes=8 * 1024**2, encryption=""
    )
    UploadJournal(region.jobs.state / "uploads").write(entry)


def journal(region: FakeRegion) -> list[str]:
    return [entry.uri for entry in UploadJournal(region.jobs.state / "uploads").entries()]


def test_a_dry_run_shows_them_and_aborts_nothing(region: FakeRegion) -> None:
    begin(region, key("a"))
    shown = run(places_with(region), "clean", PLACE, "--dry-run")
    assert shown.code == 0
    assert f"s3://my-bucket/{key('a')}" in shown.out
    assert "to abort: 1 upload, 1000 B" in shown.err
    assert len(region.objects.uploads) == 1


def test_only_our_own_stale_uploads_below_the_prefix_go(region: FakeRegion) -> None:
    stale, other_prefix = begin(region, key("a"), journal=True), begin(region, key("b", "other"))
    foreign = begin(region, f"{PREFIX}/objects/somebody-elses")
    region.objects.objects[key("c")] = b"complete"
    done = run(places_with(region), "clean", PLACE, "--yes")
    assert (done.code, "aborted: 1 upload" in done.err) == (0, True)
    assert set(region.objects.uploads) == {other_prefix, foreign}
    assert stale not in region.objects.uploads
    assert key("c") in region.objects.objects
    assert journal(region) == []


def test_what_has_moved_lately_stays(region: FakeRegion) -> None:
    region.objects.now = time.time() - 3600
    begin(region, key("a"))
    assert "nothing to abort" in run(places_with(region), "clean", PLACE, "--yes").err
    assert "nothing to abort" in run(places_with(region), "clean", PLACE, "--yes", "--older-than", "61m").err
    assert "aborted: 1 upload" in run(places_with(region), "clean", PLACE, "--yes", "--older-than", "59m").err


def test_notes_about_uploads_that_are_gone_are_forgotten(region: FakeRegion) -> None:
    note(region, key("a"), "gone")
    note(region, key("b", "other"), "gone")
    done = run(places_with(region), "clean", PLACE)
    assert (done.code, "1 note about lost ones forgotten" in done.err) == (0, True)
    assert journal(region) == [f"s3://my-bucket/{key('b', 'other')}"]


def test_without_a_place_it_looks_wherever_this_machine_uploaded(region: FakeRegion, tmp_path: Path) -> None:
    region.jobs.remember(cloud_plan(tmp_path))
    begin(region, key("a"))
    begin(region, key("b", "other"), journal=True)
    shown = run(places_with(region), "clean", "--yes", "--output", "json")
    document = json.loads(shown.out)
    assert (document["aborted"], sorted(document["looked_at"])) == (True, [PLACE, "s3://my-bucket/other"])
    assert len(document["uploads"]) == 2
    assert region.objects.uploads == {}
    assert ("my-bucket", "123456789012", "") in region.opened  # the owner that the job's record names


def test_a_bucket_that_is_gone_keeps_nobody_from_cleaning_elsewhere(tmp_path: Path) -> None:
    class HalfGone(FakeRegion):
        def store(self, bucket: str, *, owner: str, kms_key: str = "") -> FakeObjects:
            if bucket == "gone":
                raise SetupError(error("CPT405", "there is no bucket `gone`"))
            return super().store(bucket, owner=owner, kms_key=kms_key)

    region = HalfGone(tmp_path / "state")
    begin(region, key("a"), journal=True)
    UploadJournal(tmp_path / "state" / "uploads").write(
        JournalEntry(uri=f"s3://gone/{key('b')}", size_bytes=1, upload_id="u", part_bytes=1, encryption="")
    )
    done = run(places_with(region), "clean", "--yes")
    assert (done.code, "aborted: 1 upload" in done.err, "CPT405" in done.err) == (0, True, True)
    assert region.objects.uploads == {}
    assert run(places_with(region), "clean", "s3://gone/prefix").code == 3


def test_where_nothing_was_ever_uploaded_nobody_is_asked(tmp_path: Path) -> None:
    shown = run(Places(LocalEngine(tmp_path / "state"), connect=nobody_asks), "clean")
    assert (shown.code, "nothing was ever uploaded" in shown.err) == (0, True)


RECIPE = """\
run:
  name: demo
  model_type: amazon.nova-micro-v1:0:128k
  model_name_or_path: nova-micro/prod
  replicas: 8
  data_s3_path: d.jsonl
  {output}
training_config:
  max_length: 64
  global_batch_size: 32
  trainer: {{max_epochs: 1}}
  model:
    optim: {{lr: 1e-5, sched: {{warmup_steps: 1, min_lr: 1e-6}}}}
"""


def test_a_recipe_says_where_to_look(region: FakeRegion) -> None:
    Path("r.yaml").write_text(RECIPE.format(output="output_s3_path: s3://my-bucket/cpt"))
    begin(region, key("a"))
    assert "aborted: 1 upload" in run(places_with(region), "clean", "r.yaml", "--yes").err


def test_a_recipe_that_uploads_nowhere_is_refused(region: FakeRegion) -> None:
    Path("r.yaml").write_text(RECIPE.format(output='output_s3_path: ""'))
    refused = run(places_with(region), "clean", "r.yaml")
    assert (refused.code, refused.codes) == (1, ("CPT763",))


def test_nothing_goes_without_an_answer(region: FakeRegion) -> None:
    begin(region, key("a"))
    refused = run(places_with(region), "clean", PLACE)
    assert (refused.code, refused.codes) == (2, ("CPT476",))
    assert len(region.objects.uploads) == 1


@pytest.mark.parametrize("span", ["7", "0d", "d", "-1d", "7 d", "1w", "1.5h"])
def test_a_span_that_is_none_is_a_usage_error(region: FakeRegion, span: str) -> None:
    shown = run(places_with(region), "clean", PLACE, "--older-than", span)
    assert (shown.code, "no time span such as" in shown.err) == (2, True)


# --- the rows that jobs on this machine share -------------------------------------------------------------------


def keep_rows(region: FakeRegion, key: str, *, unused_for_s: float = 0.0) -> None:
    root = region.jobs.state / "rows"
    root.mkdir(parents=True, exist_ok=True)
    made = region.jobs.state / f"made-{key}"
    made.mkdir()
    (made / "tokens.npy").write_bytes(b"x" * 3000)
    RowCache(root).keep(key, made)
    used_at = time.time() - unused_for_s
    os.utime(root / key / "seal.json", (used_at, used_at))


def keys(region: FakeRegion) -> set[str]:
    return {one.key for one in RowCache(region.jobs.state / "rows").kept()}


def test_the_rows_that_jobs_keep_are_mentioned_and_removed_on_request(region: FakeRegion) -> None:
    keep_rows(region, "a" * 64)
    keep_rows(region, "b" * 64)
    said = run(places_with(region), "clean", PLACE, "--yes").err
    assert "kept for later jobs: 2 sets of tokenised rows, 6.1 KiB" in said
    assert "`cloudcpt clean --rows` removes them" in said
    shown = run(places_with(region), "clean", "--rows", "--dry-run")
    assert "aaaaaaaaaa " in shown.out
    assert "to remove: 2 sets of rows, 6.1 KiB" in shown.err
    assert len(keys(region)) == 2
    assert "removed: 2 sets of rows" in run(places_with(region), "clean", "--rows", "--yes").err
    assert keys(region) == set()
    assert "nothing to remove" in run(places_with(region), "clean", "--rows", "--yes").err
    assert "kept for later jobs" not in run(places_with(region), "clean", PLACE, "--yes").err


def test_rows_are_not_removed_when_nobody_answers(region: FakeRegion) -> None:
    keep_rows(region, "a" * 64)
    done = run(places_with(region), "clean", "--rows")
    assert done.code == 2
    assert len(keys(region)) == 1


def test_rows_that_were_used_lately_stay_when_a_span_is_given(region: FakeRegion) -> None:
    keep_rows(region, "old", unused_for_s=7200)
    keep_rows(region, "new")
    done = run(places_with(region), "clean", "--rows", "--yes", "--older-than", "1h", "--output", "json")
    document = json.loads(done.out)
    assert (document["removed"], [row["key"] for row in document["rows"]]) == (True, ["old"])
    assert keys(region) == {"new"}


def test_rows_are_on_this_machine_and_at_no_other_place(region: FakeRegion) -> None:
    assert run(places_with(region), "clean", PLACE, "--rows").code == 2
