"""Small objects are asked for ahead, in order and not without end; large and unknown ones are not."""

import threading
from concurrent.futures import Future

import pytest

from cloudcpt.aws.s3_ahead import SMALL_BYTES, ReadAhead, SmallStream
from cloudcpt.aws.s3_ranges import Block
from cloudcpt.dataset.places import InputFile


def files(number: int, size_bytes: int = 9) -> list[InputFile]:
    return [
        InputFile(name=f"{index}", path=f"s3://b/{index}", shown="", size_bytes=size_bytes) for index in range(number)
    ]


def content_of(file: InputFile) -> Block:
    return Block(content=bytearray(b"content " + file.name.encode()), version_id=f"v{file.name}")


def test_so_many_are_on_their_way_at_once() -> None:
    """The read of each waits until four have begun: one after another would never end."""
    together = threading.Barrier(4, timeout=20)

    def read(file: InputFile) -> Block:
        together.wait()
        return content_of(file)

    four = files(4)
    ahead = ReadAhead(read, ahead=4)
    ahead.expect(four)
    for file in four:
        coming = ahead.take(file)
        assert coming is not None
        assert SmallStream(9, coming).readall() == b"content " + file.name.encode()


def test_each_object_is_read_once_and_only_those_of_the_window() -> None:
    asked: list[str] = []
    begun = [threading.Event() for _ in range(20)]

    def read(file: InputFile) -> Block:
        asked.append(file.name)
        begun[int(file.name)].set()
        return content_of(file)

    all_files = files(20)
    ahead = ReadAhead(read, ahead=5)
    ahead.expect(all_files)
    ahead.take(all_files[0])
    assert all(event.wait(20) for event in begun[:5])
    assert sorted(map(int, asked)) == [0, 1, 2, 3, 4]
    for file in all_files[1:]:
        coming = ahead.take(file)
        assert coming is not None
        coming.result(20)
    assert sorted(map(int, asked)) == list(range(20))


def test_each_selection_has_an_order_of_its_own_and_may_be_read_again() -> None:
    some = files(6)
    ahead = ReadAhead(content_of, ahead=3)
    ahead.expect(some[:3])
    ahead.expect(some[3:])
    for file in (*some, *some):
        coming = ahead.take(file)
        assert coming is not None
        assert coming.result(20).version_id == f"v{file.name}"


@pytest.mark.parametrize("size_bytes", [0, SMALL_BYTES + 1])
def test_empty_and_large_objects_are_left_to_whoever_opens_them(size_bytes: int) -> None:
    def read(file: InputFile) -> Block:
        raise AssertionError(file.name)

    some = files(3, size_bytes)
    ahead = ReadAhead(read)
    ahead.expect(some)
    assert [ahead.take(file) for file in some] == [None] * 3
    assert ahead.take(InputFile(name="x", path="s3://b/x", shown="", size_bytes=5)) is None


def test_what_goes_wrong_is_raised_where_the_object_is_read() -> None:
    def read(file: InputFile) -> Block:
        if file.name == "1":
            raise OSError("gone")
        return content_of(file)

    some = files(3)
    ahead = ReadAhead(read)
    ahead.expect(some)
    streams = [SmallStream(9, coming) for file in some if (coming := ahead.take(file))]
    assert streams[0].readall() == b"content 0"
    with pytest.raises(OSError, match="gone"):
        streams[1].readall()
    assert streams[2].readall() == b"content 2"


def test_a_small_stream_gives_its_bytes_in_any_pieces() -> None:
    coming: Future[Block] = Future()
    coming.set_result(Block(content=bytearray(range(100)), version_id="v"))
    stream, buffer, whole = SmallStream(100, coming), bytearray(7), b""
    while size := stream.readinto(buffer):
        whole += buffer[:size]
    assert (whole, stream.version_id, stream.size_bytes, stream.is_unchanged) == (bytes(range(100)), "v", 100, True)
