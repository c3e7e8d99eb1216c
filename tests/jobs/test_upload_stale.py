"""Uploads that nobody will finish are found and dropped; those that move, and those of others, are left alone."""

from cloudcpt.jobs.journal import JournalEntry, UploadJournal
from cloudcpt.jobs.stale import abort_stale, stale_uploads
from tests.fake_objects import FakeObjects, checksum_of

HOUR_S = 3600.0
OURS = f"team/cpt/objects/{'0' * 64}/content.jsonl"


def begin(store: FakeObjects, key: str, *, parts: int = 1) -> str:
    upload_id = store.create_upload(key)
    for number in range(1, parts + 1):
        store.put_part(key, upload_id, number, b"0123456789", crc64nvme=checksum_of(b"0123456789"))
    return upload_id


def stale(store: FakeObjects, hours: float = 24.0):
    return stale_uploads(store, "team/cpt", older_than_s=hours * HOUR_S, now=store.now)


def test_an_old_upload_is_found_with_its_size_and_dropped_with_its_journal(tmp_path):
    store, journal = FakeObjects(), UploadJournal(tmp_path)
    upload_id = begin(store, OURS, parts=3)
    uri = f"{store.uri}/{OURS}"
    journal.write(JournalEntry(uri=uri, size_bytes=40, upload_id=upload_id, part_bytes=10, encryption=""))
    store.now += 25 * HOUR_S
    (found,) = stale(store)
    assert (found.key, found.upload_id, found.size_bytes) == (OURS, upload_id, 30)
    assert found.last_moved_at == store.now - 25 * HOUR_S
    abort_stale(store, [found], journal)
    assert store.uploads == {}
    assert journal.read(uri) is None


def test_the_journal_of_a_newer_upload_stays(tmp_path):
    store, journal = FakeObjects(), UploadJournal(tmp_path)
    begin(store, OURS)
    store.now += 25 * HOUR_S
    entry = JournalEntry(
        uri=f"{store.uri}/{OURS}", size_bytes=40, upload_id=begin(store, OURS), part_bytes=10, encryption=""
    )
    journal.write(entry)
    abort_stale(store, stale(store), journal)
    assert list(store.uploads) == [entry.upload_id]
    assert journal.read(entry.uri) == entry


def test_a_young_upload_is_left_alone():
    store = FakeObjects()
    begin(store, OURS)
    store.now += 23 * HOUR_S
    assert stale(store) == ()


def test_an_old_upload_whose_parts_keep_coming_is_left_alone():
    store = FakeObjects()
    upload_id = begin(store, OURS)
    store.now += 48 * HOUR_S
    store.put_part(OURS, upload_id, 2, b"new", crc64nvme=checksum_of(b"new"))
    assert stale(store) == ()


def test_uploads_of_others_are_left_alone():
    store = FakeObjects()
    for key in (f"team/other/objects/{'0' * 64}/content", "team/cpt/objects/notes.txt", "elsewhere"):
        begin(store, key)
    store.now += 100 * HOUR_S
    assert stale(store) == ()


def test_an_upload_that_ends_while_we_look_is_passed_over():
    store = FakeObjects()
    begin(store, OURS)
    store.now += 100 * HOUR_S
    listed = store.list_uploads("")
    store.uploads.clear()
    store.list_uploads = lambda _: listed
    assert stale(store) == ()
