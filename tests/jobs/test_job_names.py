"""A person names a job in full, by its first letters, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.errors import UsageProblem
from cloudcpt.jobs.names import find_job

NAMES = ("law-1111111111", "law-2222222222", "medicine-3333333333")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [(None, NAMES[0]), ("law-2", NAMES[1]), ("m", NAMES[2]), (NAMES[0], NAMES[0])],
)
def test_a_name_its_start_or_nothing_finds_a_job(wanted, found):
    assert find_job(NAMES, wanted) == found


def test_a_whole_name_wins_over_longer_ones_that_start_with_it():
    assert find_job(("law-12", "law-1"), "law-1") == "law-1"


def test_a_start_that_two_jobs_share_is_refused_with_both():
    with pytest.raises(UsageProblem, match=r"CPT455.*law-1111111111.*law-2222222222"):
        find_job(NAMES, "law")


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UsageProblem) as caught:
        find_job(NAMES, "medecine-3333333333")
    assert caught.value.diagnostics[0].code == "CPT454"
    assert NAMES[2] in (caught.value.diagnostics[0].hint or "")


def test_without_any_job_the_command_to_start_one_is_shown():
    with pytest.raises(UsageProblem) as caught:
        find_job((), "law")
    assert "cloudcpt submit" in (caught.value.diagnostics[0].hint or "")


@given(names=st.lists(st.text("ab-", min_size=1, max_size=4), unique=True), wanted=st.text("ab-", max_size=4))
def test_what_is_found_was_named_and_nothing_else_was_meant(names, wanted):
    try:
        found = find_job(names, wanted)
    except UsageProblem:
        assert wanted not in names
        assert sum(name.startswith(wanted) for name in names) != 1 or not wanted
    else:
        assert found == wanted or [name for name in names if name.startswith(wanted)] == [found]
