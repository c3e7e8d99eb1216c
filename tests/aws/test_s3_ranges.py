"""Ranges of an object whose answers break off, over a line that breaks where the test says."""

import io
from typing import Any

import pytest
from botocore.exceptions import IncompleteReadError, ReadTimeoutError, ResponseStreamingError
from urllib3.exceptions import ProtocolError

from cloudcpt.aws.s3_ranges import BREAKS, StoredContent, read_range
from cloudcpt.errors import CloudcptError, DatasetError, TransientError

CONTENT = bytes(range(256)) * 8192
STORED = StoredContent(bucket="b", key="k", etag='"e"', size_bytes=len(CONTENT), owner="")
INCOMPLETE = IncompleteReadError(actual_bytes=1, expected_bytes=2)


class BreakingBody(io.BytesIO):
    """Gives some bytes and then raises; everything and nothing when `problem` is None."""

    def __init__(self, content: bytes, problem: Exception | None) -> None:
        super().__init__(content)
        self._problem = problem

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        if not piece and self._problem:
            raise self._problem
        return piece


class BreakingLine:
    """An S3 client that breaks the first answers off, each after so many bytes.

    Args:
        breaks: Bytes that come, and what happens then, by answer.
        changes: Of what an answer says, such as its ETag.
    """

    def __init__(self, *breaks: tuple[int, Exception | None], **changes: Any) -> None:
        self.asked: list[dict[str, Any]] = []
        self._breaks = list(breaks)
        self._changes = changes

    def get_object(self, **wanted: Any) -> dict[str, Any]:
        self.asked.append(wanted)
        start, last = (int(number) for number in wanted["Range"].removeprefix("bytes=").split("-"))
        whole = CONTENT[start : last + 1]
        size, problem = self._breaks.pop(0) if self._breaks else (len(whole), None)
        answer = {"ETag": STORED.etag, "ContentLength": len(whole), "Body": BreakingBody(whole[:size], problem)}
        return answer | self._changes

    @property
    def ranges(self) -> list[str]:
        return [wanted["Range"] for wanted in self.asked]


def test_a_range_is_asked_for_under_the_condition_that_nothing_changed() -> None:
    line = BreakingLine(VersionId="v1")
    block = read_range(line, STORED, 1000, 3000)
    assert (block.content, block.version_id) == (CONTENT[1000:3000], "v1")
    assert line.asked == [{"Bucket": "b", "Key": "k", "IfMatch": '"e"', "Range": "bytes=1000-2999"}]


@pytest.mark.parametrize(
    "problem",
    [
        INCOMPLETE,
        ResponseStreamingError(error="reset"),
        ReadTimeoutError(endpoint_url="https://s3"),
        ProtocolError("reset"),
        ConnectionResetError(104, "reset"),
    ],
)
def test_an_answer_that_breaks_off_is_gone_on_with_at_the_byte(problem: Exception) -> None:
    line = BreakingLine((700_001, problem), (5, problem))
    assert read_range(line, STORED, 10, 2_000_000).content == CONTENT[10:2_000_000]
    assert line.ranges == ["bytes=10-1999999", "bytes=700011-1999999", "bytes=700016-1999999"]


def test_an_answer_that_ends_early_without_a_word_is_gone_on_with_too() -> None:
    line = BreakingLine((500, None))
    assert read_range(line, STORED, 0, 1000).content == CONTENT[:1000]


def test_many_breaks_are_survived_as_long_as_bytes_come() -> None:
    line = BreakingLine(*[(10, INCOMPLETE)] * (4 * BREAKS))
    assert read_range(line, STORED, 0, 1000).content == CONTENT[:1000]


@pytest.mark.parametrize("problem", [INCOMPLETE, None])
def test_breaks_without_a_byte_are_given_up_on(problem: Exception | None) -> None:
    line = BreakingLine((10, problem), *[(0, problem)] * 100)
    with pytest.raises(TransientError, match=r"CPT408.*`s3://b/k`.*5 times"):
        read_range(line, STORED, 0, 1000)
    assert len(line.asked) == 1 + BREAKS


@pytest.mark.parametrize(
    ("changes", "raises"), [({"ETag": '"other"'}, DatasetError), ({"ContentLength": len(CONTENT)}, TransientError)]
)
def test_a_store_that_does_not_keep_to_what_was_asked_is_not_believed(
    changes: dict[str, Any], raises: type[CloudcptError]
) -> None:
    with pytest.raises(raises):
        read_range(BreakingLine(**changes), STORED, 0, 1000)
