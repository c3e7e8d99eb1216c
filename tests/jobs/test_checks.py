"""Only what is certain stops a job: which codes, with which error, and nothing that could not be looked at."""

import pytest

from cloudcpt.errors import (
    ExitCode,
    PlanError,
    ServiceRefused,
    SetupError,
    Severity,
    TransientError,
    error,
    explanations,
)
from cloudcpt.jobs.budget import check_budget, job_cost, price_of
from cloudcpt.jobs.checks import (
    BLOCKING,
    Check,
    CheckOutcome,
    Price,
    attempted,
    exit_code_of,
    failed,
    not_checked,
    passed,
    refuse_failed,
)
from tests.jobs.cloud_plans import cloud_launch, cloud_plan

STOPPING = {
    SetupError: "400 401 402 404 405 406 410 701 702 705 706 708 711",
    ServiceRefused: "419 457 709",
    PlanError: "550",
}


def test_this_and_nothing_else_stops_a_job():
    expected = {f"CPT{number}": raises for raises, numbers in STOPPING.items() for number in numbers.split()}
    assert {code: block.raises for code, block in BLOCKING.items()} == expected
    assert all(block.why for block in BLOCKING.values())
    assert set(BLOCKING) <= set(explanations())


def test_a_failure_is_an_error_when_it_stops_and_a_warning_when_it_does_not():
    stops, warns = failed("role", "CPT706", "no"), failed("public access", "CPT703", "open")
    assert (stops.blocks, stops.diagnostic.severity) == (True, Severity.ERROR)
    assert (warns.blocks, warns.diagnostic.severity) == (False, Severity.WARNING)


def test_every_finding_that_stops_is_raised_together_and_the_first_one_decides():
    checks = [
        passed("a", "fine"),
        failed("q", "CPT419", "quota"),
        failed("p", "CPT703", "x"),
        failed("r", "CPT706", "y"),
    ]
    with pytest.raises(ServiceRefused) as caught:
        refuse_failed(checks)
    assert [found.code for found in caught.value.diagnostics] == ["CPT419", "CPT706"]
    assert exit_code_of(checks) == ExitCode.REFUSED


def test_what_is_ok_or_a_warning_or_not_checked_stops_nothing():
    checks = [passed("a", "fine"), failed("p", "CPT703", "x"), not_checked("i", "not allowed to look")]
    refuse_failed(checks)
    assert exit_code_of(checks) == ExitCode.OK


@pytest.mark.parametrize("kind", [SetupError, TransientError, ServiceRefused])
def test_an_error_on_the_way_leaves_a_check_unmade(kind):
    def broken() -> Check:
        raise kind(error("CPT403", "not allowed to look: `iam:GetRole` was denied", hint="ask for it"))

    check = attempted("role", broken)
    assert (check.outcome, check.words) == (CheckOutcome.NOT_CHECKED, "not allowed to look: `iam:GetRole` was denied")
    assert (check.diagnostic.code, check.diagnostic.hint) == ("CPT700", "ask for it")


def test_a_mistake_of_ours_is_not_hidden():
    def buggy() -> Check:
        raise KeyError("PolicyStatus")

    with pytest.raises(KeyError):
        attempted("role", buggy)


def priced(tmp_path, *, max_runtime_s=360, **launch):
    return cloud_plan(tmp_path, cloud_launch(**launch), max_runtime_s=max_runtime_s)


def test_cost_is_hours_times_machines_times_price_and_what_is_kept_afterwards(tmp_path):
    cost = job_cost(priced(tmp_path, keep_alive_s=1800), Price(usd_per_instance_hour=100.0, source="a table"))
    # 0.1 h (0.1 to 0.2) and at most 0.1 h on 2 machines, and half an hour of both
    assert (cost.expected, cost.low, cost.high, cost.most) == (120.0, 120.0, 140.0, 120.0)


def test_the_price_that_was_found_counts_before_the_plans_own(tmp_path):
    found = Check(
        name="price",
        outcome=CheckOutcome.OK,
        words="",
        price=Price(usd_per_instance_hour=7.0, source="live"),
    )
    assert price_of(priced(tmp_path), [passed("x", ""), found]).source == "live"
    assert price_of(priced(tmp_path), [passed("x", "")]).source == "the machine at hand"


@pytest.mark.parametrize(
    ("budget", "usd", "runtime_s", "code"),
    [
        (0, 100, 360, None),
        (25, 100, 360, ""),
        (19, 100, 360, "CPT550"),
        (25, 100, 3600, "CPT551"),
        (25, 0, 360, "CPT713"),
    ],
)
def test_a_budget_is_held_against_todays_price(tmp_path, budget, usd, runtime_s, code):
    plan = priced(tmp_path, max_runtime_s=runtime_s, budget_usd=budget)
    price = Check(name="price", outcome=CheckOutcome.OK, words="", price=Price(usd_per_instance_hour=usd, source=""))
    found = check_budget(plan, [price])
    assert [one.diagnostic.code if one.diagnostic else "" for one in found] == ([] if code is None else [code])


def test_the_longest_runtime_that_keeps_the_budget_is_named(tmp_path):
    plan = priced(tmp_path, max_runtime_s=7200, budget_usd=150, keep_alive_s=1800)
    price = Check(name="price", outcome=CheckOutcome.OK, words="", price=Price(usd_per_instance_hour=100.0, source=""))
    (check,) = check_budget(plan, [price])
    assert check.diagnostic.hint == "`launch.max_runtime_hours: 0.25` keeps the budget"
