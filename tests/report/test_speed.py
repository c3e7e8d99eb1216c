"""How fast a run was, in one number for the whole of it."""

import math
from dataclasses import replace

import pytest

from cloudcpt.report.collect import collect
from cloudcpt.report.compare import render_comparison
from cloudcpt.report.html import render_html
from cloudcpt.report.numbers import report_numbers
from cloudcpt.report.speed import scaling_efficiency, speed_of


def measured(records, **numbers):
    """Give every step these numbers."""
    return [row | numbers if row["kind"] == "step" else row for row in records]


def test_rates_are_medians_without_the_line_that_holds_the_start(tell, plan, story):
    records = measured(story(plan, 5), mfu_full=0.6)
    rates = iter([1.0, 50.0, 70.0, 60.0, 900.0])
    records = [row | {"tokens_per_s": next(rates)} if row["kind"] == "step" else row for row in records]
    speed = speed_of(collect(tell(plan, records)))
    assert (speed.tokens_per_s, speed.mfu_full) == (65.0, 0.6)


def test_memory_is_the_highest_of_all_lines(tell, plan, story):
    records = measured(story(plan, 3), gpu_memory_utilisation=0.5)
    records[-1] |= {"gpu_memory_utilisation": 0.9, "host_memory_bytes": 5e9}
    speed = speed_of(collect(tell(plan, records)))
    assert (speed.gpu_memory_utilisation, speed.host_memory_bytes) == (0.9, 5e9)


def test_what_was_not_measured_is_not_shown_and_null(tell, plan, story):
    report = collect(tell(plan, story(plan)))
    page = render_html(report)
    assert "MFU" not in page
    assert "GPU of the first process" not in page
    numbers = report_numbers(report)["speed"]
    assert numbers["mfu_full"] is numbers["gpu_utilisation"] is None
    assert numbers["data_wait_share"] == 0.004


def test_what_was_measured_is_on_the_page_as_curve_and_as_number(tell, plan, story):
    shares = {"mfu_full": 0.623, "mfu_document": 0.556, "gpu_utilisation": 0.97, "gpu_memory_utilisation": 0.75}
    flops = {"flops_per_s_full": 4.9e15, "flops_per_s_document": 4.4e15}
    page = render_html(collect(tell(plan, measured(story(plan), **shares, **flops))))
    for words in (
        "62.3%",
        "55.6%",
        "97.0%",
        "75.0%",
        "4,900 TFLOP/s",
        "model FLOPs utilisation",
        "GPU of the first process",
    ):
        assert words in page


def test_without_a_peak_the_page_draws_the_models_operations_and_says_why(tell, plan, story):
    why = {"kind": "event", "step": 0, "name": "gauges", "message": "no MFU, because the peak is not in the table"}
    records = measured(story(plan), flops_per_s_full=3e10, flops_per_s_document=2e10)
    page = render_html(collect(tell(plan, [*records, why])))
    assert "model GFLOP/s, all processes" in page
    assert "30.0 GFLOP/s" in page
    assert "no MFU, because the peak is not in the table" in page


def test_scaling_compares_what_one_process_does(tell, plan, story):
    two = replace(plan, world=replace(plan.world, processes_per_node=2))
    alone = collect(tell(plan, measured(story(plan), tokens_per_s_per_process=1000.0)))
    both = collect(tell(two, measured(story(two), tokens_per_s_per_process=900.0)))
    assert scaling_efficiency(alone, both) == pytest.approx(0.9)
    assert "90.0% of linear, from 1 to 2 processes" in render_comparison(alone, both)
    assert "of linear" not in render_comparison(alone, alone)


def test_scaling_of_a_run_that_has_not_begun_is_not_known(tell, plan, completed):
    nothing = collect(tell(replace(plan, name="nothing"), []))
    assert math.isnan(scaling_efficiency(nothing, collect(completed)))


def test_bits_per_byte_stand_beside_the_perplexities(tell, plan, story):
    records = [
        row | {"bits_per_byte": 1.9 if row["step"] == 0 else 1.7} if row["kind"] == "eval" else row
        for row in story(plan)
    ]
    report = collect(tell(plan, records))
    assert "1.9000" in render_html(report)
    domain = report_numbers(report)["domain"]
    assert (domain["bits_per_byte_before"], domain["bits_per_byte_after"]) == (1.9, 1.7)
    assert "1.9000 → 1.7000" in render_comparison(report, report)
