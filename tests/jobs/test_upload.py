"""Uploading brings each distinct content into the store once, whoever else does the same."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest

from cloudcpt.dataset.checksum import as_text, crc64nvme
from cloudcpt.errors import CloudcptError, SetupError, TransientError
from cloudcpt.jobs.journal import JournalEntry, UploadJournal
from cloudcpt.jobs.tally import UploadProgress
from tests.fake_objects import FakeUpload, Fault, Killed, Line, checksum_of
from tests.jobs.uploads import PART, RESUME, Corpus, content_of, local_file, run, small_store


def bitwise_crc64nvme(content: bytes) -> int:
    """Compute it one bit at a time, from the parameters of the catalogue of CRCs (reflected, all ones in and out)."""
    polynomial = int(f"{0xAD93D23594C93659:064b}"[::-1], 2)
    crc = 0xFFFFFFFFFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (polynomial if crc & 1 else 0)
    return crc ^ 0xFFFFFFFFFFFFFFFF


def test_the_checksum_is_the_one_that_the_catalogue_of_crcs_defines():
    """Source: reveng.sourceforge.io/crc-catalogue, CRC-64/NVME: check value ae8b14860a799888."""
    assert crc64nvme(b"123456789") == 0xAE8B14860A799888 == bitwise_crc64nvme(b"123456789")
    content = bytes(range(256)) * 3
    assert crc64nvme(content[100:], crc64nvme(content[:100])) == bitwise_crc64nvme(content)
    assert as_text(0xAE8B14860A799888) == "rosUhgp5mIg="


def test_files_of_all_sizes_arrive_whole(tmp_path):
    corpus = Corpus.make(tmp_path / "data", 0, 1, PART - 1, PART, PART + 1, 2 * PART, 10 * PART + 5)
    store = small_store()
    done = run(store, corpus.files, tmp_path / "journal", parts_in_flight=3)
    assert store.objects == corpus.objects
    assert store.uploads == {}
    assert done == UploadProgress(
        files=7,
        files_done=7,
        size_bytes=corpus.size_bytes,
        done_bytes=corpus.size_bytes,
        sent_bytes=corpus.size_bytes,
        resumed_bytes=0,
        retries=0,
        last_retry="",
    )
    assert list((tmp_path / "journal").iterdir()) == []


def test_what_is_there_is_not_sent_again(tmp_path):
    corpus = Corpus.make(tmp_path / "data", 0, 10, 3 * PART)
    store, line = small_store(), Line()
    run(store, corpus.files, tmp_path / "journal")
    done = run(store, corpus.files, tmp_path / "another journal", line=line)
    assert line.sent_bytes == 0
    assert (done.sent_bytes, done.resumed_bytes, done.files_done) == (0, corpus.size_bytes, 3)


def test_the_same_file_named_twice_is_sent_once(tmp_path):
    corpus = Corpus.make(tmp_path / "data", 3 * PART)
    line = Line()
    done = run(small_store(), corpus.files * 2, tmp_path / "journal", line=line)
    assert line.sent_bytes == corpus.size_bytes
    assert (done.files, done.files_done) == (1, 1)


def test_the_same_bytes_under_other_names_are_one_object_that_is_sent_once(tmp_path):
    for size in (10, 3 * PART):
        content, line, store = content_of(size), Line(), small_store()
        names = ("train.jsonl", "copy of train.jsonl", "TRAIN.JSONL")
        first, second, third = [local_file(tmp_path / name, content) for name in names]
        run(store, [first, second], tmp_path / "journal", line=line)
        done = run(store, [third], tmp_path / "journal of a colleague", line=line)
        assert line.sent_bytes == size
        assert done.resumed_bytes == size
        assert list(store.objects.values()) == [content]


def test_a_resumed_upload_counts_what_it_found(tmp_path):
    corpus = Corpus.make(tmp_path / "data", 6 * PART)
    store = small_store()
    with pytest.raises(Killed):
        run(store, corpus.files, tmp_path / "journal", line=Line({7: Fault.KILL_BEFORE}))
    there = sum(len(content) for content, *_ in store.uploads["upload-1"].parts.values())
    assert there >= 2 * PART
    done = run(store, corpus.files, tmp_path / "journal")
    assert (done.resumed_bytes, done.sent_bytes) == (there, corpus.size_bytes - there)


def test_a_part_that_arrived_with_other_bytes_is_sent_again(tmp_path):
    """Somebody else's part, or one of a file that was there before: same number, same size."""
    corpus = Corpus.make(tmp_path / "data", 6 * PART)
    store = small_store()
    with pytest.raises(Killed):
        run(store, corpus.files, tmp_path / "journal", line=Line({8: Fault.KILL_BEFORE}))
    upload = store.uploads["upload-1"]
    upload.parts[2] = (bytes(PART), *upload.parts[2][1:])
    run(store, corpus.files, tmp_path / "journal")
    assert store.objects == corpus.objects


def test_a_part_that_is_replaced_behind_our_back_is_found_when_the_upload_is_completed(tmp_path):
    corpus = Corpus.make(tmp_path / "data", 3 * PART)
    store = small_store()

    class Meddling(Line):
        completions = 0

        def pass_on(self, act, **options):
            if options.get("writes"):
                self.completions += 1
            if self.completions == 1:
                (upload,) = store.uploads.values()
                upload.parts[2] = (bytes(PART), '"another"', 1.0)
            return super().pass_on(act, **options)

    line = Meddling()
    run(store, corpus.files, tmp_path / "journal", line=line)
    assert store.objects == corpus.objects
    assert (line.completions, line.sent_bytes) == (2, corpus.size_bytes + PART)


def test_a_part_that_somebody_else_sends_again_counts_under_its_new_name(tmp_path):
    """A colleague who adopted our upload sends the same bytes, and S3 names them anew."""
    corpus = Corpus.make(tmp_path / "data", 3 * PART)
    store = small_store()

    class Colleague(Line):
        completions = 0

        def pass_on(self, act, **options):
            if options.get("writes"):
                self.completions += 1
                for upload in store.uploads.values():
                    upload.parts[2] = (upload.parts[2][0], '"another name"', 1.0)
            return super().pass_on(act, **options)

    line = Colleague()
    run(store, corpus.files, tmp_path / "journal", line=line)
    assert (line.completions, line.sent_bytes) == (2, corpus.size_bytes)
    assert store.objects == corpus.objects


def test_progress_only_grows_and_ends_at_the_whole(tmp_path):
    corpus = Corpus.make(tmp_path / "data", 10, 20, 5 * PART + 1)
    seen: list[UploadProgress] = []
    run(small_store(), corpus.files, tmp_path / "journal", parts_in_flight=3, progress=seen.append)
    assert [state.done_bytes for state in seen] == sorted(state.done_bytes for state in seen)
    assert seen[-1].done_bytes == corpus.size_bytes
    assert seen[-1].files_done == 3


def test_without_a_journal_an_upload_that_nobody_finished_is_adopted(tmp_path):
    corpus = Corpus.make(tmp_path / "data", 6 * PART)
    store, line = small_store(), Line()
    with pytest.raises(Killed):
        run(store, corpus.files, tmp_path / "journal", line=Line({8: Fault.KILL_BEFORE}))
    run(store, corpus.files, tmp_path / "journal on another machine", line=line)
    assert line.sent_bytes < corpus.size_bytes
    assert store.objects == corpus.objects
    assert store.uploads == {}


def test_an_upload_without_our_checksum_is_not_adopted(tmp_path):
    corpus = Corpus.make(tmp_path / "data", 3 * PART)
    store = small_store()
    store.uploads["foreign"] = FakeUpload(key=corpus.files[0].key, started_at=1.0, is_checked_whole=False)
    run(store, corpus.files, tmp_path / "journal")
    assert store.objects == corpus.objects
    assert list(store.uploads) == ["foreign"]


def test_an_upload_begun_with_another_key_is_neither_resumed_nor_adopted(tmp_path):
    """Its object would not be encrypted as the user asked, and nothing would show it before the end."""
    corpus = Corpus.make(tmp_path / "data", 6 * PART)
    store, line = small_store(), Line()
    with pytest.raises(Killed):
        run(store, corpus.files, tmp_path / "journal", line=Line({8: Fault.KILL_BEFORE}))
    store.encryption = "key-1"
    run(store, corpus.files, tmp_path / "journal", line=line)
    assert line.sent_bytes == corpus.size_bytes
    assert store.objects == corpus.objects
    assert store.head(corpus.files[0].key).is_encrypted_as_asked


def test_an_object_that_is_not_encrypted_as_asked_is_refused(tmp_path):
    corpus = Corpus.make(tmp_path / "data", 3 * PART, 10)
    store = small_store()
    run(store, corpus.files, tmp_path / "journal")
    store.encryption = "key-1"
    for file in corpus.files:
        with pytest.raises(SetupError, match=r"CPT413.*key-1"):
            run(store, [file], tmp_path / "journal")


@pytest.mark.parametrize("size", [10, 3 * PART])
@pytest.mark.parametrize(
    ("other", "how"),
    [("size", "5 bytes instead of"), ("content", "instead of `"), ("no checksum", "no CRC64NVME")],
)
def test_another_object_at_the_key_is_a_hard_error_and_stays(tmp_path, size, other, how):
    corpus = Corpus.make(tmp_path / "data", size)
    (file,) = corpus.files
    store, line = small_store(), Line()
    there = {"size": b"short", "content": bytes(size), "no checksum": file.path.read_bytes()}[other]
    store.objects[file.key] = there
    if other == "no checksum":
        store.unchecked.add(file.key)
    with pytest.raises(SetupError, match=rf"CPT413.*{how}"):
        run(store, corpus.files, tmp_path / "journal", line=line)
    assert store.objects == {file.key: there}
    assert line.sent_bytes == 0


@pytest.mark.parametrize("size", [10, 3 * PART])
def test_an_object_that_appears_while_we_send_is_success_when_it_is_the_same(tmp_path, size):
    corpus = Corpus.make(tmp_path / "data", size)
    (file,) = corpus.files
    for is_same in (True, False):
        store = small_store()
        there = file.path.read_bytes() if is_same else bytes(size)

        class Rival(Line):
            def pass_on(self, act, *, store=store, there=there, **options):
                if options.get("writes"):
                    store.objects[file.key] = there
                return super().pass_on(act, **options)

        if is_same:
            run(store, corpus.files, tmp_path / "journal", line=Rival())
        else:
            with pytest.raises(SetupError, match="CPT413"):
                run(store, corpus.files, tmp_path / "journal", line=Rival())
        assert store.objects == {file.key: there}
        assert store.uploads == {}


@pytest.mark.parametrize("fault", [Fault.FLIPPED_BIT, Fault.CUT_BODY])
def test_bytes_that_are_damaged_once_or_twice_are_sent_again(tmp_path, fault):
    corpus = Corpus.make(tmp_path / "data", 3 * PART, 10)
    store = small_store()
    line = Line(dict.fromkeys(range(30), fault))
    line.faults = {event: fault for event in range(40) if event % 3}
    run(store, corpus.files, tmp_path / "journal", line=line)
    assert len(line.happened) > 3
    assert store.objects == corpus.objects


@pytest.mark.parametrize("size", [10, 3 * PART])
def test_bytes_that_are_damaged_every_time_end_in_an_error_that_says_how_to_go_on(tmp_path, size):
    corpus = Corpus.make(tmp_path / "data", size)
    with pytest.raises(TransientError) as caught:
        run(small_store(), corpus.files, tmp_path / "journal", line=Line(dict.fromkeys(range(99), Fault.FLIPPED_BIT)))
    codes = [found.code for found in caught.value.diagnostics]
    assert codes[0] == "CPT414"
    assert codes[-1] == "CPT418"
    assert RESUME in caught.value.diagnostics[-1].hint


@pytest.mark.parametrize("size", [10, 3 * PART])
def test_conflicts_without_end_are_given_up(tmp_path, size):
    corpus = Corpus.make(tmp_path / "data", size)
    store = small_store()
    with pytest.raises(TransientError) as caught:
        run(store, corpus.files, tmp_path / "journal", line=Line(dict.fromkeys(range(999), Fault.CONFLICT)))
    assert [found.code for found in caught.value.diagnostics] == ["CPT415", "CPT415", "CPT418"]
    assert store.uploads == {}


def test_after_a_conflict_the_upload_is_started_anew(tmp_path):
    corpus = Corpus.make(tmp_path / "data", 3 * PART)
    store, line, seen = small_store(), Line({7: Fault.CONFLICT}), []
    run(store, corpus.files, tmp_path / "journal", line=line, progress=seen.append)
    assert {state.done_bytes for state in seen} == {number * PART for number in range(4)}
    assert line.happened == [Fault.CONFLICT]
    assert line.sent_bytes == 2 * corpus.size_bytes
    assert store.objects == corpus.objects
    assert store.uploads == {}


def test_an_upload_that_somebody_aborts_is_started_anew(tmp_path):
    corpus = Corpus.make(tmp_path / "data", 5 * PART)
    store = small_store()

    class Aborting(Line):
        def pass_on(self, act, **options):
            if self.events == 6:
                store.uploads.clear()
            return super().pass_on(act, **options)

    done = run(store, corpus.files, tmp_path / "journal", line=Aborting())
    assert store.objects == corpus.objects
    assert done.done_bytes == corpus.size_bytes


def test_a_journal_that_cannot_be_written_stops_before_a_part_is_sent(tmp_path):
    corpus = Corpus.make(tmp_path / "data", 3 * PART)
    (tmp_path / "journal").write_text("in the way")
    line = Line()
    with pytest.raises(SetupError, match="CPT417"):
        run(small_store(), corpus.files, tmp_path / "journal", line=line)
    assert line.sent_bytes == 0


ENTRY = JournalEntry(uri="s3://b/k", size_bytes=9, upload_id="u", part_bytes=8, encryption="")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"schema_version": 1, "uri": "x"}',
        *(
            json.dumps({"schema_version": 1, **asdict(ENTRY), **change})
            for change in (
                {"schema_version": 99},
                {"part_bytes": 0},
                {"part_bytes": "x"},
                {"size_bytes": 99_999, "part_bytes": 1},
                {"unknown": 1},
            )
        ),
    ],
)
def test_a_journal_that_makes_no_sense_counts_as_none(tmp_path, text):
    journal = UploadJournal(tmp_path)
    journal.write(ENTRY)
    assert journal.read(ENTRY.uri) == ENTRY
    (path,) = tmp_path.iterdir()
    path.write_text(text)
    assert journal.read(ENTRY.uri) is None


@pytest.mark.parametrize("in_flight", [1, 4])
@pytest.mark.parametrize("shared_journal", [True, False])
def test_clients_at_once_make_one_object_and_leave_nothing_behind(tmp_path, in_flight, shared_journal):
    corpus = Corpus.make(tmp_path / "data", 5 * PART + 1, 10, 2 * PART)
    for number in range(20):
        store, gate = small_store(), threading.Barrier(3)

        def client(name: int, store=store, gate=gate, number=number) -> UploadProgress:
            gate.wait()
            folder = tmp_path / f"journal-{number}-{0 if shared_journal else name}"
            return run(store, corpus.files, folder, parts_in_flight=in_flight)

        with ThreadPoolExecutor(3) as clients:
            done = list(clients.map(client, range(3)))
        assert [state.done_bytes for state in done] == [corpus.size_bytes] * 3
        assert store.objects == corpus.objects
        assert store.uploads == {}


def test_a_command_that_failed_can_be_told_from_one_that_can_go_on(tmp_path):
    corpus = Corpus.make(tmp_path / "data", 3 * PART)
    with pytest.raises(CloudcptError) as caught:
        run(small_store(), corpus.files, tmp_path / "journal", line=Line({6: Fault.BUSY}))
    assert caught.value.exit_code == 5
    assert "128 of 192 bytes" in caught.value.diagnostics[-1].message
    assert isinstance(caught.value.__cause__, TransientError)


def test_the_fake_and_the_files_agree_on_checksums(tmp_path):
    assert checksum_of(Path(__file__).read_bytes()) == as_text(bitwise_crc64nvme(Path(__file__).read_bytes()))
