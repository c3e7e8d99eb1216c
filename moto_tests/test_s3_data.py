"""Data in S3: the same files, findings and hashes as of the same data on a disk, and one content for a whole read."""

import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cloudcpt
from cloudcpt.aws.s3_data import S3Data
from cloudcpt.aws.s3_ranges import BREAKS
from cloudcpt.aws.s3_stream import AHEAD, RANGE_BYTES, S3Stream
from cloudcpt.dataset.check import DatasetReport, check_dataset, check_in
from cloudcpt.dataset.places import InputFile
from cloudcpt.errors import CloudcptError, DatasetError, Diagnostic, SetupError, TransientError
from cloudcpt.fake.cloud import ACCOUNT_ID, FakeCloud
from cloudcpt.fake.faults import CUT_ANSWER, EXPIRED_TOKEN, LOST_ANSWER, SLOW_DOWN, Fault, FaultKind

BUCKET = "corpora"
LINE = b'{"text":"a"}\n'
REPEATABLE = settings(
    derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
VERDICTS = Path(__file__).parents[1] / "tests" / "dataset" / "test_dataset_verdicts.py"


def verdict_cases() -> list[Any]:
    """Take the corpus of lines from the tests of the verdicts themselves."""
    spec = importlib.util.spec_from_file_location("verdicts_for_s3", VERDICTS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return list(module.CASES)


@pytest.fixture
def cloud(fake_cloud: FakeCloud) -> FakeCloud:
    fake_cloud.store().create_bucket(Bucket=BUCKET)
    return fake_cloud


@pytest.fixture
def put(cloud: FakeCloud) -> Callable[..., None]:
    store = cloud.store()

    def put_object(key: str, content: bytes = LINE, **options: str) -> None:
        store.put_object(Bucket=BUCKET, Key=key, Body=content, **options)

    return put_object


@pytest.fixture
def s3(cloud: FakeCloud) -> S3Data:
    return S3Data(owner=ACCOUNT_ID)


def comparable(report: DatasetReport, root: str) -> DatasetReport:
    """Leave out where a dataset lies: what is said of it must be the same everywhere."""

    def anywhere(found: Diagnostic) -> Diagnostic:
        place = found.place and replace(found.place, path=found.place.path.replace(root, "<root>"))
        return replace(found, place=place, message=found.message.replace(root, "<root>"))

    files = tuple(replace(file, path="", etag="", version_id="") for file in report.files)
    found = tuple(anywhere(one) for one in report.diagnostics)
    return replace(report, name="", files=files, diagnostics=found)


def refusal(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(CloudcptError) as caught:
        call()
    return caught.value.diagnostics[0].code, caught.value.diagnostics[0].message


# --- the same data, the same report -------------------------------------------------------------------------------


def test_every_line_has_the_verdict_in_s3_that_it_has_on_a_disk(s3: S3Data, put: Any, tmp_path: Path) -> None:
    for number, case in enumerate(verdict_cases()):
        content = b'{"text":"one"}\n' + case.line + b'\n{"text":"three"}\n'
        (tmp_path / f"{number:03}.jsonl").write_bytes(content)
        put(f"verdicts/{number:03}.jsonl", content)
        here = check_dataset(f"{number:03}.jsonl", tmp_path, first=100)
        away = check_in(s3, f"s3://{BUCKET}/verdicts/{number:03}.jsonl", first=100)
        assert comparable(away, f"s3://{BUCKET}/verdicts") == comparable(here, str(tmp_path)), case.name
    here = check_dataset(".", tmp_path, first=1000)
    away = check_in(s3, f"s3://{BUCKET}/verdicts/", first=1000)
    assert comparable(away, f"s3://{BUCKET}/verdicts") == comparable(here, str(tmp_path))


@given(content=st.binary(max_size=200), cut=st.integers(10, 100))
@settings(REPEATABLE, max_examples=25)
def test_any_bytes_are_reported_alike_however_the_ranges_fall(
    s3: S3Data, put: Any, tmp_path: Path, content: bytes, cut: int
) -> None:
    class InBits(S3Data):
        """Reads in small ranges."""

        def open(self, file: InputFile) -> S3Stream:
            stored = self.stored(BUCKET, "any/x.jsonl", etag=file.etag, size_bytes=file.size_bytes)
            return S3Stream(s3.client, stored, range_bytes=cut)

    whole = LINE + content + b"\n" + LINE
    (tmp_path / "x.jsonl").write_bytes(whole)
    put("any/x.jsonl", whole)
    here, away = check_dataset("x.jsonl", tmp_path), check_in(InBits(owner=ACCOUNT_ID), f"s3://{BUCKET}/any/x.jsonl")
    assert comparable(away, f"s3://{BUCKET}/any") == comparable(here, str(tmp_path))


def test_an_empty_object_is_an_empty_file(s3: S3Data, put: Any) -> None:
    put("empty.jsonl", b"")
    report = check_in(s3, f"s3://{BUCKET}/empty.jsonl")
    assert [found.code for found in report.diagnostics] == ["CPT306"]


def test_a_report_names_the_object_and_its_version(cloud: FakeCloud, s3: S3Data, put: Any) -> None:
    cloud.store().put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    put("d/a.jsonl")
    (file,) = check_in(s3, f"s3://{BUCKET}/d/").files
    head = cloud.store().head_object(Bucket=BUCKET, Key="d/a.jsonl")
    assert (file.name, file.path) == ("a.jsonl", f"s3://{BUCKET}/d/a.jsonl")
    assert (file.etag, file.version_id) == (head["ETag"], head["VersionId"])


# --- the same path, the same files --------------------------------------------------------------------------------

TREE = (
    "data/b.jsonl", "data/a.jsonl", "data/sub/c.jsonl", "data/sub/deep/d.jsonl", "data/sub/deep/e.jsonl",
    "data/.hidden.jsonl", "data/.git/f.jsonl", "data/sub/.x/g.jsonl", "data/sub/readme.md", "data/x.json",
    "data/y.jsonl.gz", "data-2/h.jsonl", "data-2/Z.JSONL", "data.jsonl", "é/ü.jsonl", "other.txt", "dir.jsonl/i.jsonl",
)  # fmt: skip
PATHS = (
    "data", "data/", "data-2/", "data.jsonl", "data/a.jsonl", "data/sub/", "é", "é/ü.jsonl", "data/*.jsonl",
    "data/**", "data/**/*.jsonl", "**/*.jsonl", "**/deep/*", "**/**/d.jsonl", "data/*/c.jsonl", "data/*/deep/?.jsonl",
    "dat[a]/[!a].jsonl", "data*/*.jsonl", "*.jsonl", "data/sub/*", "data/.hidden.jsonl", "data/.git/*.jsonl",
    "data/.git/", "data/.*", "data/x.json", "other.txt", "data/missing.jsonl", "missing/", "missing/*.jsonl",
    "data/*.json", "data/sub/deep/**", "data/**/sub/**/d.jsonl", "**", "*/*", "dir.jsonl",
    "data/sub/**/deep/*.jsonl", "data-*/", ".hidden.jsonl", "data/**/",
)  # fmt: skip


@pytest.fixture
def tree(put: Any, tmp_path: Path) -> Path:
    for name in TREE:
        put(f"root/{name}")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(LINE)
    put("root/data/")  # the mark of a folder, as consoles make it
    return tmp_path


def outcome(select: Callable[[], Any]) -> tuple[Any, ...]:
    try:
        found = select()
    except DatasetError as exc:
        return ("refused", *sorted({one.code for one in exc.diagnostics}))
    return tuple(file.name for file in found.files), tuple(file.name for file in found.left_out)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_means_the_same_files_in_s3_as_on_a_disk(s3: S3Data, tree: Path, path: str) -> None:
    from cloudcpt.dataset.files import LocalFiles

    here = outcome(lambda: LocalFiles(tree).select(path))
    assert outcome(lambda: s3.select(f"s3://{BUCKET}/root/{path}")) == here


NAMES = st.sampled_from(["a", "b", "a.jsonl", "b.jsonl", ".a", "c.json"])
KEYS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PATTERNS = st.lists(st.sampled_from(["*", "**", "?", "a", "*.jsonl", "[ab]*", "b"]), min_size=1, max_size=4).map(
    "/".join
)


@given(keys=st.sets(KEYS, min_size=1, max_size=8), pattern=PATTERNS)
@settings(REPEATABLE, max_examples=300)
def test_any_pattern_fits_what_it_fits_on_a_disk(
    tmp_path_factory: pytest.TempPathFactory, keys: set[str], pattern: str
) -> None:
    from cloudcpt.aws.s3_selection import ListedObject, Listing, select_objects
    from cloudcpt.dataset.files import LocalFiles

    root = tmp_path_factory.mktemp("tree")
    kept = []
    for key in sorted(keys):
        if not any(str(above) in kept for above in PurePosixPath(key).parents):
            (root / key).parent.mkdir(parents=True, exist_ok=True)
            (root / key).write_bytes(LINE)
            kept.append(key)

    def below(prefix: str) -> Iterator[ListedObject]:
        return (ListedObject(key=key, size_bytes=1, etag='"e"') for key in kept if key.startswith(prefix))

    listing = Listing(bucket=BUCKET, below=below, beside=lambda _: [])
    here = outcome(lambda: LocalFiles(root).select(pattern))
    assert outcome(lambda: select_objects(listing, pattern, pattern)) == here


def test_a_uri_ends_with_the_name_that_the_trainer_will_look_for(s3: S3Data, tree: Path) -> None:
    for path in ("data/a.jsonl", "data/", "data/*/c.jsonl", "**/*.jsonl"):
        for file in s3.select(f"s3://{BUCKET}/root/{path}").files:
            assert file.path.endswith(f"/{file.name}")


def test_a_whole_bucket_is_a_folder(s3: S3Data, put: Any) -> None:
    put("z.jsonl")
    put("d/y.jsonl")
    for path in (f"s3://{BUCKET}", f"s3://{BUCKET}/", f"s3://{BUCKET}/**"):
        assert [file.name for file in s3.select(path).files] == ["d/y.jsonl", "z.jsonl"]


def test_more_objects_than_one_page_are_all_found_in_order(cloud: FakeCloud, s3: S3Data) -> None:
    store = cloud.store()
    for number in range(1100):
        store.put_object(Bucket=BUCKET, Key=f"many/{number}.jsonl", Body=LINE)
    found = [file.name for file in s3.select(f"s3://{BUCKET}/many/").files]
    assert found == sorted(f"{number}.jsonl" for number in range(1100))
    assert cloud.s3.calls.operations().count("ListObjectsV2") == 2


@pytest.mark.parametrize(
    ("keys", "path", "code"),
    [
        (["d//a.jsonl"], "d/", "CPT310"),
        (["d/a.jsonl", "d/a.jsonl/b.jsonl"], "d/", "CPT310"),
        (["d/a\u202eb.jsonl"], "d/", "CPT310"),
        (["d/only.txt"], "d/", "CPT301"),
        (["d/"], "d/", "CPT301"),
        ([], "d/", "CPT300"),
        (["d/a.jsonl"], "d/a.jsonl/", "CPT300"),
        ([], "d/*.jsonl", "CPT301"),
        (["d/.jsonl"], "d/.jsonl", "CPT302"),
    ],
)
def test_what_the_trainer_could_not_find_as_files_is_refused(
    s3: S3Data, put: Any, keys: list[str], path: str, code: str
) -> None:
    for key in keys:
        put(key)
    assert refusal(lambda: s3.select(f"s3://{BUCKET}/{path}"))[0] == code


@pytest.mark.parametrize(
    "uri", ["s3://", "s3:///key.jsonl", "s3://UPPER/x.jsonl", "s3://my-*/x.jsonl", "s3://a/x.jsonl"]
)
def test_what_names_no_bucket_is_refused_without_asking(cloud: FakeCloud, s3: S3Data, uri: str) -> None:
    assert refusal(lambda: s3.select(uri))[0] == "CPT313"
    assert cloud.s3.calls.operations() == ()


def test_a_missing_object_is_looked_for_nearby(s3: S3Data, put: Any) -> None:
    put("d/train.jsonl")
    with pytest.raises(DatasetError) as caught:
        s3.select(f"s3://{BUCKET}/d/trian.jsonl")
    assert caught.value.diagnostics[0].hint == "did you mean `train.jsonl`?"


# --- what goes wrong ----------------------------------------------------------------------------------------------


def test_a_missing_bucket_says_so(s3: S3Data) -> None:
    assert refusal(lambda: s3.select("s3://not-there/x.jsonl"))[0] == "CPT405"


@pytest.mark.parametrize(("action", "named"), [("s3:ListBucket", "s3:ListBucket"), ("s3:GetObject", "s3:GetObject")])
def test_a_missing_permission_is_named(cloud: FakeCloud, s3: S3Data, put: Any, action: str, named: str) -> None:
    put("x.jsonl")
    cloud.denied.add(action)
    code, message = refusal(lambda: check_in(s3, f"s3://{BUCKET}/x.jsonl"))
    assert (code, named in message) == ("CPT403", True)


def test_a_bucket_of_somebody_else_is_not_read(cloud: FakeCloud, put: Any) -> None:
    put("x.jsonl")
    strange = S3Data(owner="999999999999")
    assert refusal(lambda: check_in(strange, f"s3://{BUCKET}/x.jsonl"))[0] == "CPT403"


def test_without_a_known_owner_none_is_asked_for(cloud: FakeCloud, put: Any) -> None:
    put("x.jsonl")
    cloud.s3.service.rules = replace(cloud.s3.service.rules, require_owner=False)
    assert check_in(S3Data(), f"s3://{BUCKET}/x.jsonl").ok


def big(ranges: float) -> bytes:
    """Make numbered lines, so that bytes at the wrong place are wrong."""
    count = int(RANGE_BYTES * ranges) // 64
    return b"".join(b'{"text":"%052d"}\n' % number for number in range(count))


def test_a_busy_service_a_lost_answer_and_a_break_in_mid_range_leave_no_trace(
    cloud: FakeCloud, s3: S3Data, put: Any, tmp_path: Path
) -> None:
    content = big(3.3)
    put("x.jsonl", content)
    (tmp_path / "x.jsonl").write_bytes(content)
    cloud.s3.faults.add(SLOW_DOWN, operation="ListObjectsV2")
    cloud.s3.faults.add(CUT_ANSWER, SLOW_DOWN, LOST_ANSWER, CUT_ANSWER, CUT_ANSWER, operation="GetObject")
    away, here = check_in(s3, f"s3://{BUCKET}/x.jsonl"), check_dataset("x.jsonl", tmp_path)
    assert comparable(away, f"s3://{BUCKET}") == comparable(here, str(tmp_path))


def test_a_line_that_breaks_every_time_ends_in_an_error_that_says_so(cloud: FakeCloud, s3: S3Data, put: Any) -> None:
    put("x.jsonl", b'{"text":""}')  # half of a few bytes is less than a piece: no progress
    cloud.s3.faults.add(Fault(kind=FaultKind.CUT_ANSWER), operation="GetObject", times=1000)
    with pytest.raises(TransientError, match="CPT408"):
        check_in(s3, f"s3://{BUCKET}/x.jsonl")
    assert len(cloud.s3.calls.all("GetObject")) <= 2 * BREAKS + 4


def test_expired_credentials_end_in_an_error_that_says_so(cloud: FakeCloud, s3: S3Data, put: Any) -> None:
    put("x.jsonl")
    cloud.s3.faults.add(EXPIRED_TOKEN, operation="GetObject")
    assert refusal(lambda: check_in(s3, f"s3://{BUCKET}/x.jsonl"))[0] == "CPT401"


def test_an_object_that_changes_between_two_ranges_is_noticed(cloud: FakeCloud, s3: S3Data, put: Any) -> None:
    put("d/a.jsonl", big(AHEAD + 3))
    put("d/b.jsonl", b"{}\n")
    first, _ = s3.select(f"s3://{BUCKET}/d/").files
    stream = s3.open(first)
    stream.readinto(bytearray(1 << 20))
    put("d/a.jsonl", big(AHEAD + 3)[::-1])
    assert refusal(stream.readall) == ("CPT309", f"`s3://{BUCKET}/d/a.jsonl` changed while it was read")
    stream.close()


def test_an_object_that_changes_or_goes_after_it_was_listed_is_one_finding_among_others(
    cloud: FakeCloud, s3: S3Data, put: Any
) -> None:
    for name in "abc":
        put(f"d/{name}.jsonl", b"{}\n")

    class Late(S3Data):
        """Somebody writes between listing and reading."""

        def select(self, path: str) -> Any:
            found = super().select(path)
            put("d/a.jsonl", LINE)
            cloud.store().delete_object(Bucket=BUCKET, Key="d/b.jsonl")
            return found

    report = check_in(Late(owner=ACCOUNT_ID), f"s3://{BUCKET}/d/")
    errors = [(found.code, found.place.path) for found in report.diagnostics if found.place]
    assert errors[:3] == [
        ("CPT309", f"s3://{BUCKET}/d/a.jsonl"),
        ("CPT309", f"s3://{BUCKET}/d/b.jsonl"),
        ("CPT341", f"s3://{BUCKET}/d/c.jsonl"),
    ]
    assert [file.blake3 == "" for file in report.files] == [True, True, False]


def test_an_archived_object_is_one_finding(cloud: FakeCloud, s3: S3Data, put: Any) -> None:
    put("d/a.jsonl")
    gone = Fault(
        kind=FaultKind.REFUSE, status=403, code="InvalidObjectState", message="not valid for the storage class"
    )
    cloud.s3.faults.add(gone, operation="GetObject")
    report = check_in(s3, f"s3://{BUCKET}/d/")
    assert report.diagnostics[0].code == "CPT314"


def test_a_stream_that_is_left_early_leaves_no_thread(cloud: FakeCloud, s3: S3Data, put: Any) -> None:
    put("x.jsonl", big(AHEAD + 2))
    before = set(threading.enumerate())
    (file,) = s3.select(f"s3://{BUCKET}/x.jsonl").files
    with s3.open(file) as stream:
        stream.readinto(bytearray(10))
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("send-"):
            thread.join(10)
            assert not thread.is_alive()


# --- before anything is read --------------------------------------------------------------------------------------


def test_without_credentials_nothing_is_in_reach(cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(SetupError, match="CPT400"):
        S3Data().require_reach(f"s3://{BUCKET}/x.jsonl")
    assert cloud.s3.calls.operations() == ()


def test_without_a_network_nothing_is_in_reach_and_that_is_found_out_at_once(
    cloud: FakeCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    with pytest.raises(TransientError, match="CPT408"):
        S3Data().require_reach(f"s3://{BUCKET}/x.jsonl")


@pytest.mark.parametrize("fault", [SLOW_DOWN, None])
def test_what_is_wrong_with_the_bucket_or_may_pass_is_left_to_whoever_reads(cloud: FakeCloud, fault: Any) -> None:
    if fault:
        cloud.s3.faults.add(fault, operation="ListObjectsV2")
    S3Data(owner=ACCOUNT_ID).require_reach("s3://not-there/x.jsonl")
    cloud.s3.faults.clear()
    cloud.s3.faults.add(EXPIRED_TOKEN, operation="ListObjectsV2")
    assert refusal(lambda: S3Data().require_reach(f"s3://{BUCKET}/x.jsonl"))[0] == "CPT401"


# --- memory -------------------------------------------------------------------------------------------------------

_MEASURE = """
import json, resource, sys
from cloudcpt.aws.s3_data import S3Data
from cloudcpt.dataset.check import check_in
place = S3Data(owner=sys.argv[1])
check_in(place, sys.argv[2] + "small.jsonl")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
report = check_in(place, sys.argv[2] + "large.jsonl")
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([report.size_bytes, report.ok, after - before]))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_object(cloud: FakeCloud, put: Any) -> None:
    line = b'{"text":"' + b"word " * 20_000 + b'%09d"}\n'
    put("small.jsonl", line % 0)
    put("large.jsonl", b"".join(line % number for number in range(2_100)))
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, ACCOUNT_ID, f"s3://{BUCKET}/"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(cloudcpt.__file__).parents[1],
    )
    size_bytes, ok, grown_kib = json.loads(done.stdout)
    assert (size_bytes > 200e6, ok) == (True, True)
    assert grown_kib * 1024 < (AHEAD + 2) * RANGE_BYTES + (24 << 20)
