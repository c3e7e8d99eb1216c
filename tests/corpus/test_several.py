"""Documents in more than one dataset are found for every two of them, with the first place in each."""

import pytest

from cloudcpt.corpus.extras import require
from cloudcpt.corpus.several import Documents, in_several
from cloudcpt.errors import SetupError

pytest.importorskip("numpy", reason="needs the [data] extra")


def dataset(name: str, *files: str) -> Documents:
    """Make a dataset: one letter is one document, one string one file."""
    documents = Documents(name)
    for number, letters in enumerate(files):
        for line, letter in enumerate(letters, start=1):
            documents.see(letter.encode() * 16, f"{name}/{number}.jsonl", line, 10 * line)
    return documents


def test_nothing_in_common_is_nothing_to_say() -> None:
    assert in_several([dataset("a", "abc"), dataset("b", "def"), dataset("c", "")]) == ()


def test_every_two_datasets_are_compared_and_repeated_documents_count_each_time() -> None:
    found = in_several([dataset("a", "abc", "xx"), dataset("b", "def", "gxxb"), dataset("c", "cg")])
    assert [one.message for one in found] == [
        "3 documents are both in `b` and in `a`",
        "1 document is both in `c` and in `a`",
        "1 document is both in `c` and in `b`",
    ]
    assert {one.code for one in found} == {"CPT755"}


def test_the_first_of_them_is_named_in_both() -> None:
    (found,) = in_several([dataset("a", "abc", "xy"), dataset("b", "def", "gyxb")])
    assert (str(found.place), found.place and found.place.byte) == ("b/1.jsonl:2", 20)
    assert [str(one.place) for one in found.related] == ["a/1.jsonl:2"]


def test_a_library_that_is_missing_is_named_with_what_brings_it() -> None:
    with pytest.raises(SetupError) as caught:
        require("numpy", "no_such_library", "nor_this_one")
    (found,) = caught.value.diagnostics
    assert found.message == "this needs `no_such_library` and `nor_this_one`, not installed here"
    assert found.hint == "install what is missing with `pip install 'cloudcpt[data]'`"
