"""When a job is stopped: by hand-worked numbers of hours, dollars and machines."""

import pytest

from cloudcpt.errors import PlanError
from cloudcpt.plan.plan import Estimate, World
from cloudcpt.plan.runtime import limits_of
from cloudcpt.recipe.extras import Launch
from cloudcpt.recipe.model import Recipe

DAYS_5 = 5 * 86_400
DAYS_28 = 28 * 86_400
PRICE = 63.296  # of ml.p5.48xlarge in instances.toml
CLOUD = {"target": "sagemaker", "region": "us-east-1"}


def plan_with(desk, *, replicas=1, **launch):
    return desk.plan(desk.recipe({"run": {"replicas": replicas}, "launch": {**CLOUD, **launch}}))


def codes(findings):
    return [found.code for found in findings]


@pytest.mark.parametrize(
    ("launch", "expected_s"),
    [
        ({"max_runtime_hours": 2}, 7200),
        ({"max_runtime_hours": 672}, DAYS_28),
        ({"budget_usd": 126.592}, 7200),  # two hours of one machine
        ({"budget_usd": 126.592, "max_runtime_hours": 1}, 3600),
        ({"budget_usd": 63.296, "max_runtime_hours": 2}, 3600),
        ({"budget_usd": 10**9}, DAYS_28),
        ({"budget_usd": 126.592, "keep_alive_minutes": 60}, 3600),
        ({}, DAYS_5),
    ],
)
def test_the_smallest_limit_holds(desk, launch, expected_s):
    assert plan_with(desk, **launch)[0].max_runtime_s == expected_s


def test_a_budget_pays_all_machines(desk):
    plan, _ = plan_with(desk, replicas=2, budget_usd=126.592)
    assert plan.max_runtime_s == 3600


def test_a_budget_is_never_exceeded_by_rounding(desk):
    for budget in (20, 33.33, 99.99, 100):
        plan, _ = plan_with(desk, budget_usd=budget)
        assert plan.max_runtime_s / 3600 * PRICE <= budget < (plan.max_runtime_s + 1) / 3600 * PRICE


def test_warm_machines_count_against_the_budget(desk):
    assert plan_with(desk, budget_usd=100)[0].launch is not None
    with pytest.raises(
        PlanError, match=r"CPT550: .*and 63\.30 USD for `keep_alive_minutes`, more than `budget_usd: 70`"
    ):
        plan_with(desk, budget_usd=70, keep_alive_minutes=60)


def test_a_job_without_a_limit_is_told_what_it_could_cost(desk):
    plan, findings = plan_with(desk, replicas=2)
    (found,) = [one for one in findings if one.code == "CPT583"]
    assert found.message == (
        "nothing but the service stops a job that hangs, after 5 days, which cost up to 15,191 USD"
    )
    assert round(5 * 24 * 2 * PRICE) == 15_191
    assert plan.max_runtime_s == DAYS_5


def test_a_job_that_takes_longer_than_a_new_account_allows_gets_what_the_service_allows():
    recipe = Recipe.model_construct(launch=Launch())
    world = World(
        nodes=1,
        processes_per_node=8,
        device="cuda",
        instance_type="ml.p5.48xlarge",
        compute_dtype="bfloat16",
        timeout_s=600,
        environment=(),
        image="",
    )
    for hours_high, expected_s in ((120.0, DAYS_5), (120.1, DAYS_28)):
        estimate = Estimate(
            hours=1.0,
            hours_low=1.0,
            hours_high=hours_high,
            time_source="",
            usd_per_instance_hour=PRICE,
            usd=1.0,
            usd_low=1.0,
            usd_high=1.0,
            price_source="",
        )
        assert limits_of(recipe, world, estimate, is_training_job=True).max_runtime_s == expected_s


@pytest.mark.parametrize("launch", [{"max_runtime_hours": 2}, {"budget_usd": 100}])
def test_any_limit_is_enough(desk, launch):
    assert "CPT583" not in codes(plan_with(desk, **launch)[1])


def test_a_cost_that_is_not_known_is_not_made_up(desk):
    _, findings = plan_with(desk, instance_type="ml.p5e.48xlarge")
    (found,) = [one for one in findings if one.code == "CPT583"]
    assert found.message == "nothing but the service stops a job that hangs, after 5 days"


def test_hyperpod_keeps_no_limit_unless_one_is_named(desk):
    plan, findings = plan_with(desk, target="hyperpod")
    assert plan.max_runtime_s == 0
    assert "CPT583" not in codes(findings)
    assert plan_with(desk, target="hyperpod", max_runtime_hours=2)[0].max_runtime_s == 7200


def test_a_local_job_has_the_recipes_limit_only(desk):
    assert plan_with(desk, target="local", budget_usd=1)[0].max_runtime_s == 0
    assert plan_with(desk, target="local", max_runtime_hours=2)[0].max_runtime_s == 7200
    assert plan_with(desk, target="local", max_runtime_hours=672)[0].launch is None


@pytest.mark.parametrize(
    ("launch", "runtime_s", "wait_s"),
    [
        ({"max_runtime_hours": 2}, 7200, 7200 + 86_400),
        ({"max_runtime_hours": 2, "max_wait_hours": 3}, 7200, 10_800),
        ({"max_wait_hours": 3}, 10_800, 10_800),
        ({"budget_usd": 126.592, "max_wait_hours": 1}, 3600, 3600),
        ({"max_runtime_hours": 671}, 671 * 3600, DAYS_28),
        ({}, DAYS_5, DAYS_5 + 86_400),
    ],
)
def test_spot_waits_a_day_more_than_it_trains_unless_told(desk, launch, runtime_s, wait_s):
    plan, findings = plan_with(desk, spot=True, **launch)
    assert (plan.max_runtime_s, plan.launch.max_wait_s) == (runtime_s, wait_s)
    assert plan.launch.max_wait_s >= plan.max_runtime_s
    assert "CPT586" in codes(findings)


def test_other_capacity_does_not_wait(desk):
    plan, findings = plan_with(desk, max_runtime_hours=2)
    assert plan.launch.max_wait_s == 0
    assert "CPT586" not in codes(findings)
