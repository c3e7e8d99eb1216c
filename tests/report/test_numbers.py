import json
import math
from dataclasses import replace

import pytest

from cloudcpt.report.collect import collect
from cloudcpt.report.compare import comparison_numbers
from cloudcpt.report.numbers import mean_tokens_per_s, report_numbers


def test_the_numbers_are_json_that_any_reader_takes(completed):
    document = report_numbers(collect(completed))
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["schema_version"] == 1
    assert document["forgetting_nats"] == pytest.approx(0.01)
    assert document["domain"]["perplexity_after"] == pytest.approx(math.exp(4.56))
    assert document["outcome"] == "completed"
    assert len(document["steps"]) == 80


def test_requested_and_realised_share_stand_side_by_side(completed):
    domain, replay = report_numbers(collect(completed))["mix"]
    assert (domain["requested_share"], domain["realised_share"]) == (0.5, pytest.approx(318 / 640))
    assert replay["realised_share"] == pytest.approx(322 / 640)


def test_what_the_trainer_counted_takes_the_place_of_what_the_plan_estimated(tell, plan, story):
    """Passes are trained tokens over the tokens that are really there; a number that was not told is null."""
    told = {
        "kind": "source",
        "channel": "train",
        "documents": 148,
        "tokens": 159_000,
        "rows": 700,
        "padding_share": 0.1,
    }
    numbers = report_numbers(collect(tell(plan, [*story(plan), told])))
    domain, replay = numbers["mix"]
    assert domain["passes"] == pytest.approx(318_000 / 159_000)
    assert replay["passes"] == pytest.approx(322_000 / 114_585)
    counted, planned = numbers["sources"]["train"], numbers["sources"]["replay-stdlib"]
    assert (counted["tokens"], counted["exact"], counted["padding_share"], counted["cut_tokens"]) == (
        159_000,
        True,
        0.1,
        None,
    )
    assert (planned["tokens"], planned["cut_documents"], planned["cut_tokens"]) == (114_585, 2, 1_200)


def test_what_is_not_known_is_null_and_never_zero(tell, plan):
    document = report_numbers(collect(tell(plan, [])))
    unknown = ("domain", "general", "forgetting_nats", "tokens_per_s", "memory_bytes", "failure")
    assert {name: document[name] for name in unknown} == dict.fromkeys(unknown)
    assert [source["realised_share"] for source in document["mix"]] == [None, None]


def test_throughput_counts_only_the_time_of_the_steps(completed):
    assert mean_tokens_per_s(collect(completed)) == pytest.approx(80 * 8000 / (80 * 0.45))


def test_cost_is_the_price_of_all_nodes_for_the_time_it_took(completed, plan):
    dear = replace(
        plan,
        estimate=replace(plan.estimate, usd_per_instance_hour=60.0),
        world=replace(plan.world, nodes=4),
    )
    document = report_numbers(replace(collect(completed), plan=dear, seconds=1800.0))
    assert document["usd"] == pytest.approx(120.0)


def test_a_comparison_holds_both_runs(completed):
    report = collect(completed)
    document = comparison_numbers(report, report)
    assert [run["job_name"] for run in document["runs"]] == [report.plan.job_name] * 2
