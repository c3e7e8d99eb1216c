"""What an `ObjectStore` promises. A test module imports these and gives the fixture `store`."""

from contextlib import suppress

import pytest

from cloudcpt.errors import ServiceRefused
from cloudcpt.jobs.objects import BytesDamaged, ObjectExists, ObjectStore, UploadGone
from tests.fake_objects import checksum_of

PART = 5 * 1024**2
FIRST, LAST = bytes(range(256)) * (PART // 256), b"the rest"


def begin(store: ObjectStore, key: str = "p/k") -> tuple[str, dict[int, str]]:
    upload_id = store.create_upload(key)
    parts = enumerate((FIRST, LAST), start=1)
    etags = {
        number: store.put_part(key, upload_id, number, content, crc64nvme=checksum_of(content))
        for number, content in parts
    }
    return upload_id, etags


def finish(store: ObjectStore, upload_id: str, etags: dict[int, str], key: str = "p/k") -> None:
    whole = FIRST + LAST
    store.complete(key, upload_id, etags, size_bytes=len(whole), crc64nvme=checksum_of(whole))


def test_where_nothing_is_nothing_is_found(store):
    assert store.head("p/k") is None
    assert store.get("p/k") is None


def test_a_small_object_is_there_with_its_size_and_checksum(store):
    store.put("p/k", bytearray(b"0123456789"), crc64nvme=checksum_of(b"0123456789"))
    found = store.head("p/k")
    assert (found.size_bytes, found.crc64nvme) == (10, checksum_of(b"0123456789"))
    assert found.is_encrypted_as_asked
    assert store.get("p/k") == b"0123456789"
    assert store.get("p/k", start=2, stop=5) == b"234"
    assert store.get("p/k", start=7) == b"789"


def test_an_empty_object_is_an_object(store):
    store.put("p/k", b"", crc64nvme=checksum_of(b""))
    assert store.head("p/k").size_bytes == 0
    assert store.get("p/k") == b""


def test_a_small_object_is_never_written_over_another(store):
    store.put("p/k", b"first", crc64nvme=checksum_of(b"first"))
    with pytest.raises(ObjectExists, match="CPT415"):
        store.put("p/k", b"other", crc64nvme=checksum_of(b"other"))
    assert store.get("p/k") == b"first"


def test_a_small_object_with_wrong_bytes_is_not_stored(store):
    with pytest.raises(BytesDamaged, match="CPT414"):
        store.put("p/k", b"wrong", crc64nvme=checksum_of(b"right"))
    assert store.head("p/k") is None


def test_parts_become_one_object_with_the_checksum_of_the_whole(store):
    finish(store, *begin(store))
    found = store.head("p/k")
    assert (found.size_bytes, found.crc64nvme) == (PART + len(LAST), checksum_of(FIRST + LAST))
    assert store.get("p/k", start=PART - 1) == FIRST[-1:] + LAST


def test_an_upload_is_no_object_before_it_is_completed(store):
    begin(store)
    assert store.head("p/k") is None


def test_parts_that_have_arrived_are_listed_as_they_are(store):
    upload_id, etags = begin(store)
    found = store.list_parts("p/k", upload_id)
    assert [(number, part.size_bytes, part.crc64nvme, part.etag) for number, part in found.items()] == [
        (1, PART, checksum_of(FIRST), etags[1]),
        (2, len(LAST), checksum_of(LAST), etags[2]),
    ]
    assert found[1].arrived_at > 0


def test_a_part_can_be_sent_again(store):
    upload_id, etags = begin(store)
    etags[2] = store.put_part("p/k", upload_id, 2, b"another rest", crc64nvme=checksum_of(b"another rest"))
    whole = FIRST + b"another rest"
    store.complete("p/k", upload_id, etags, size_bytes=len(whole), crc64nvme=checksum_of(whole))
    assert store.get("p/k", start=PART) == b"another rest"


def test_a_part_with_wrong_bytes_does_not_arrive(store):
    upload_id = store.create_upload("p/k")
    with pytest.raises(BytesDamaged, match="CPT414"):
        store.put_part("p/k", upload_id, 1, b"wrong", crc64nvme=checksum_of(b"right"))
    assert store.list_parts("p/k", upload_id) == {}


@pytest.mark.parametrize("lie", ["size", "checksum", "etag", "missing part"])
def test_parts_that_do_not_add_up_do_not_become_an_object(store, lie):
    upload_id, etags = begin(store)
    size, crc = PART + len(LAST), checksum_of(FIRST + LAST)
    match lie:
        case "size":
            size += 1
        case "checksum":
            crc = checksum_of(b"something else")
        case "etag":
            etags[1] = etags[2]
        case "missing part":
            del etags[2]
    with pytest.raises((BytesDamaged, ServiceRefused), match=r"CPT414|CPT409"):
        store.complete("p/k", upload_id, etags, size_bytes=size, crc64nvme=crc)
    assert store.head("p/k") is None
    assert store.list_parts("p/k", upload_id).keys() == {1, 2}


def test_an_upload_is_never_completed_over_an_object(store):
    upload_id, etags = begin(store)
    store.put("p/k", b"first", crc64nvme=checksum_of(b"first"))
    with pytest.raises(ObjectExists, match="CPT415"):
        finish(store, upload_id, etags)
    assert store.get("p/k") == b"first"
    store.abort("p/k", upload_id)


def test_an_upload_that_is_over_is_gone(store):
    upload_id, etags = begin(store)
    finish(store, upload_id, etags)
    with pytest.raises(UploadGone, match="CPT415"):
        store.list_parts("p/k", upload_id)
    with pytest.raises(UploadGone):
        store.put_part("p/k", upload_id, 1, FIRST, crc64nvme=checksum_of(FIRST))


def test_completing_twice_makes_one_object_and_says_so_at_most(store):
    upload_id, etags = begin(store)
    finish(store, upload_id, etags)
    with suppress(UploadGone, ObjectExists):
        finish(store, upload_id, etags)
    assert store.head("p/k").size_bytes == PART + len(LAST)


def test_an_aborted_upload_is_gone_and_aborting_it_again_changes_nothing(store):
    upload_id, etags = begin(store)
    store.abort("p/k", upload_id)
    store.abort("p/k", upload_id)
    with pytest.raises(UploadGone):
        finish(store, upload_id, etags)
    assert list(store.list_uploads("")) == []


def test_uploads_under_way_are_listed_below_their_prefix(store):
    ids = {key: store.create_upload(key) for key in ("p/a", "p/b", "q/a")}
    found = {upload.key: upload for upload in store.list_uploads("p/")}
    assert {key: upload.upload_id for key, upload in found.items()} == {key: ids[key] for key in ("p/a", "p/b")}
    assert all(upload.is_checked_whole and upload.started_at > 0 for upload in found.values())
    store.abort("p/a", ids["p/a"])
    assert [upload.key for upload in store.list_uploads("p/")] == ["p/b"]


def test_the_bucket_has_a_name(store):
    assert store.uri == "s3://bucket"
