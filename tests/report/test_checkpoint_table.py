"""A report shows the models that were kept beside what was measured at their steps."""

from dataclasses import replace

import pytest

from cloudcpt.plan.plan import Checkpoints
from cloudcpt.report.checkpoints import checkpoint_table, kept_steps
from cloudcpt.report.collect import collect
from cloudcpt.report.html import render_html


@pytest.fixture
def report_keeping(plan, story, tell):
    """Report on a run that kept a model at each of these steps."""

    def make(*steps, keep_last=0):
        kept = Checkpoints(every_steps=20, keep_last=keep_last, recovery_every_steps=0)
        made = replace(plan, checkpoints=kept)
        events = [{"kind": "event", "step": at, "name": "checkpoint", "message": f"step-{at} is kept"} for at in steps]
        end = {"kind": "end", "step": 80, "outcome": "completed", "seconds": 41.5}
        return collect(tell(made, [*story(made), *events, end], model=True))

    return make


def test_each_kept_model_is_shown_with_its_perplexities_and_the_lowest_is_named(report_keeping):
    text = str(checkpoint_table(report_keeping(20, 30, 60)))
    assert text.count("<tr>") == 1 + 4
    assert ">164.0<" in text  # exp(5.10), domain at step 20
    assert text.count("not measured at this step") == 2
    assert "80, the final one" in text
    (row,) = [row for row in text.split("<tr>") if "lowest" in row]
    assert "80, the final one" in row


def test_only_those_that_are_left_are_shown(report_keeping):
    assert kept_steps(report_keeping(20, 40, 60, keep_last=2)) == (40, 60)


def test_a_step_that_was_written_again_after_an_interruption_is_one(report_keeping):
    assert kept_steps(report_keeping(20, 40, 40, 60)) == (20, 40, 60)


def test_a_run_that_kept_nothing_has_no_such_table(report_keeping):
    assert str(checkpoint_table(report_keeping())) == ""


@pytest.mark.parametrize(("steps", "is_shown"), [((), False), ((40,), True)])
def test_the_page_has_the_table_where_there_is_something_to_show(steps, is_shown, report_keeping):
    assert ("model after step" in render_html(report_keeping(*steps))) is is_shown
