"""Parts cover a file exactly, within the limits of S3; keys are made of hashes and harmless names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.errors import InputError
from cloudcpt.jobs.parts import (
    MAX_OBJECT_BYTES,
    MAX_PART_BYTES,
    MAX_PARTS,
    MEBIBYTE,
    MEMORY_BYTES,
    PART_BYTES,
    Cut,
    cut,
)
from cloudcpt.plan.keys import is_object_key, object_key

EDGES = [
    factor * PART_BYTES * MAX_PARTS + more
    for factor in (1, 2, 3, 640)
    for more in (-1, 0, 1)
    if factor < 640 or more < 1
]


@given(st.one_of(st.integers(1, MAX_OBJECT_BYTES), st.integers(1, 10**9), st.sampled_from(EDGES)))
def test_parts_cover_a_file_of_any_size_within_the_limits(size_bytes):
    chosen = cut(size_bytes)
    assert 1 <= chosen.count <= MAX_PARTS
    assert 5 * MEBIBYTE <= chosen.part_bytes <= MAX_PART_BYTES
    assert chosen.part_bytes % PART_BYTES == 0
    first, last = chosen.part(1), chosen.part(chosen.count)
    assert first.start == 0
    assert (chosen.count - 1) * chosen.part_bytes == last.start < size_bytes
    assert 1 <= last.size_bytes <= chosen.part_bytes
    assert last.start + last.size_bytes == size_bytes


@given(st.integers(1024**3, MAX_OBJECT_BYTES))
def test_the_parts_of_four_threads_are_a_small_share_of_a_large_file(size_bytes):
    assert 4 * cut(size_bytes).part_bytes <= 0.032 * size_bytes


@given(st.integers(1, 2000), st.integers(1, 64))
def test_parts_follow_each_other_without_a_gap(size_bytes, smallest):
    chosen = cut(size_bytes, smallest=smallest)
    end = 0
    for number in range(1, chosen.count + 1):
        part = chosen.part(number)
        assert (part.number, part.start) == (number, end)
        end += part.size_bytes
    assert end == size_bytes


def test_parts_grow_with_the_file():
    gibibyte = 1024**3
    assert cut(2 * gibibyte - 1).part_bytes == PART_BYTES
    assert cut(2 * gibibyte).part_bytes == 2 * PART_BYTES
    assert cut(2 * PART_BYTES * MAX_PARTS).part_bytes == 2 * PART_BYTES
    assert cut(2 * PART_BYTES * MAX_PARTS + 1).part_bytes == 3 * PART_BYTES
    assert cut(MAX_OBJECT_BYTES) == Cut(size_bytes=MAX_OBJECT_BYTES, part_bytes=MAX_PART_BYTES)


def test_a_file_beyond_the_largest_object_is_refused():
    with pytest.raises(InputError, match=r"CPT416.*53,687,091,200,000"):
        cut(MAX_OBJECT_BYTES + 1)


@given(st.integers(1, MAX_OBJECT_BYTES), st.integers(1, 16))
def test_parts_in_memory_keep_to_the_budget_while_two_of_them_fit(size_bytes, most):
    chosen = cut(size_bytes)
    at_once = chosen.in_flight(most)
    assert 1 <= at_once <= most
    if at_once > 1:
        assert (at_once + 1) * chosen.part_bytes <= MEMORY_BYTES


def test_a_key_says_what_the_content_is_and_nothing_of_the_files_name_but_how_it_ends():
    key = f"team/cpt/objects/{'ab' * 32}/content.jsonl"
    for name in ("data/train set.jsonl", "copy of it.JSONL", "../../x.jsonl", "a.b.jsonl"):
        assert object_key("team/cpt", blake3="ab" * 32, name=name) == key
    assert object_key("", blake3="ab" * 32, name="a") == f"objects/{'ab' * 32}/content"


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("model-00001-of-00002.safetensors", ".safetensors"),
        ("../../etc/passwd", ""),
        ("..", ""),
        ("", ""),
        (".jsonl", ""),
        ("a.", ""),
        ("a.b c", ""),
        ("a.jsonl\n", ""),
        ("日本語.日本", ""),
        ("a.\u202elnosj", ""),
        ("a." + "x" * 17, ""),
    ],
)
def test_an_ending_is_letters_and_digits_or_there_is_none(name, ending):
    assert object_key("", blake3="0" * 64, name=name) == f"objects/{'0' * 64}/content{ending}"


@given(st.text(), st.sampled_from(["", "p", "team/cpt"]))
def test_whatever_the_name_the_key_is_one_of_ours_and_short(name, prefix):
    key = object_key(prefix, blake3="0" * 64, name=name)
    assert is_object_key(prefix, key)
    assert key.isascii()
    assert len(key) <= len(prefix) + 1 + len("objects/") + 64 + 1 + len("content") + 17


@pytest.mark.parametrize(
    "key",
    [
        "team/cpt/objects/short/a",
        f"team/cpt/objects/{'0' * 64}/",
        f"team/cpt/objects/{'0' * 64}/content/b",
        f"team/cpt/objects/{'0' * 64}/a.jsonl",
        f"team/cpt/plans/{'0' * 64}/plan.json",
        f"team/other/objects/{'0' * 64}/content",
        f"objects/{'0' * 64}/content",
        f"team/cpt/x/objects/{'0' * 64}/content",
    ],
)
def test_other_keys_are_not_ours(key):
    assert not is_object_key("team/cpt", key)
