"""Which version of a dataset is meant: three ways to write it, and what each is held against."""

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.dataset.check import check_dataset
from cloudcpt.dataset.versions import Pin, content_blake3, content_fault, read_pin
from cloudcpt.errors import DatasetError

HERE, AWAY = "data/train.jsonl", "s3://bucket/data/"


def refused(text: str, path: str) -> str:
    with pytest.raises(DatasetError) as caught:
        read_pin(text, path)
    (found,) = caught.value.diagnostics
    assert found.code == "CPT318"
    assert found.hint
    return found.message


@pytest.mark.parametrize(
    ("text", "pin"),
    [
        ("blake3:0123abcd", Pin(blake3="0123abcd")),
        ("BLAKE3:0123ABCD", Pin(blake3="0123abcd")),
        (f"blake3:{'f' * 64}", Pin(blake3="f" * 64)),
        ("2026-11-20T12:00:00Z", Pin(moment=datetime(2026, 11, 20, 12, tzinfo=UTC))),
        ("2026-11-20 12:00+08:00", Pin(moment=datetime(2026, 11, 20, 12, tzinfo=timezone(timedelta(hours=8))))),
        ("3sL4kqtJlcpXroDTDmJ", Pin(version_id="3sL4kqtJlcpXroDTDmJ")),
        ("null", Pin(version_id="null")),
        ("v2", Pin(version_id="v2")),
    ],
)
def test_a_version_in_s3_is_a_content_a_moment_or_an_id(text: str, pin: Pin) -> None:
    assert read_pin(text, AWAY) == pin


def test_a_version_on_this_machine_is_a_content() -> None:
    assert read_pin("blake3:0123abcd", HERE) == Pin(blake3="0123abcd")
    for text in ("v2", "2026-11-20T12:00:00Z", "3sL4kqtJlcpXroDTDmJ"):
        assert "no version that data on this machine has" in refused(text, HERE)


@pytest.mark.parametrize("digits", ["", "0", "0123abc", "f" * 65])
def test_a_hash_has_a_number_of_digits_that_is_no_coincidence(digits: str) -> None:
    assert f"has {len(digits)} digits" in refused(f"blake3:{digits}", HERE)


@pytest.mark.parametrize("text", ["2026-11-20", "2026-11-20T12:00:00", "2026-13-01T00:00:00Z", "2026-11-20Tnoon"])
def test_a_moment_is_complete(text: str) -> None:
    refused(text, AWAY)


CORPUS = st.dictionaries(
    st.sampled_from(["a.jsonl", "b.jsonl", "sub/a.jsonl", "sub/Z.jsonl"]), st.integers(0, 99), min_size=1
)


@given(numbers=CORPUS)
def test_the_hash_of_several_files_is_that_of_what_b3sum_prints(
    tmp_path_factory: pytest.TempPathFactory, numbers: dict[str, int]
) -> None:
    folder = tmp_path_factory.mktemp("data")
    listed = ""
    for name in sorted(numbers):
        content = b'{"text":"%d"}\n' % numbers[name]
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
        listed += f"{blake3(content).hexdigest()}  {name}\n"
    whole = listed[:64] if len(numbers) == 1 else blake3(listed.encode()).hexdigest()
    assert content_blake3(check_dataset(".", folder).files) == whole


def test_the_list_is_in_the_order_of_the_shell_that_the_docs_name(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", "a/c.jsonl", "Z.jsonl", "ü.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('{"text":"a"}\n')
    command = "find * -name '*.jsonl' | LC_ALL=C sort"
    listed = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True).stdout.decode()
    assert listed.split() == [file.name for file in check_dataset(".", tmp_path).files]


def test_other_content_is_a_fault_that_shows_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text":"a"}\n')
    files = check_dataset("a.jsonl", tmp_path).files
    digits = files[0].blake3
    for right in (digits, digits[:8]):
        assert content_fault(read_pin(f"blake3:{right}", "a.jsonl"), "a.jsonl", files) is None
    fault = content_fault(read_pin("blake3:00000000", "a.jsonl"), "a.jsonl", files)
    assert fault is not None
    assert (fault.code, digits[:16] in (fault.hint or "")) == ("CPT319", True)


def test_what_was_not_read_to_its_end_has_no_content_to_compare(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text":"a"}\n')
    files = [replace(file, blake3="") for file in check_dataset("a.jsonl", tmp_path).files]
    assert content_blake3(files) == ""
    assert content_fault(Pin(blake3="0" * 8), "a.jsonl", files) is None
