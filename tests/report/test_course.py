"""What the monitor of a run found is on its page, in its numbers and in its verdict."""

import pytest

from cloudcpt.report.collect import collect
from cloudcpt.report.course import COURSE_IN_WORDS, course_words, skipped_steps, spikes
from cloudcpt.report.html import render_html
from cloudcpt.report.numbers import report_numbers
from cloudcpt.report.tables import MOST_STOOD_OUT
from cloudcpt.report.verdict import give_verdict
from cloudcpt.wire import Course, Finding


def event(name: str, step: int, **numbers: object) -> dict:
    return {"kind": "event", "step": step, "name": name, "message": "in words", **numbers}


def turn(finding: Finding, step: int) -> dict:
    return event(finding, step, level=4.5, floor=4.2, peak=5.1)


def spike(step: int) -> dict:
    numbers = {"loss": 9.5, "usual_loss": 4.5, "grad_norm": 20.0, "usual_grad_norm": 0.8}
    return event("spike", step, **numbers, places=["train/a.jsonl:17", "train/a.jsonl:99"])


def skip(step: int) -> dict:
    return event("skipped-step", step, loss=None, grad_norm=None, lr=1e-3, places=["train/b.jsonl:3"])


def ended(report_end: str = "completed") -> dict:
    return {"kind": "end", "step": 80, "outcome": report_end, "seconds": 41.5}


@pytest.mark.parametrize(
    ("findings", "words"),
    [
        ([Finding.BUMP, Finding.BUMP_OVER], "rose early, to 5.100, and was back at 4.500 by step 60: a re-warm bump, "),
        ([Finding.BUMP], "from 4.200 to 4.500 by step 60, as it does when the learning rate is re-warmed; it has not"),
        (
            [Finding.BUMP, Finding.DIVERGENCE],
            "from 4.200 to 4.500 by step 60, and has not come back: divergence; lower",
        ),
        ([Finding.DIVERGENCE, Finding.RECOVERY], "grew to 5.100 and was back at 4.500 by step 60"),
    ],
)
def test_the_last_turn_of_the_loss_is_told_in_one_sentence_of_the_verdict(tell, plan, story, findings, words):
    turns = [turn(finding, step) for finding, step in zip(findings, [20, 60][-len(findings) :], strict=True)]
    report = collect(tell(plan, [*story(plan), *turns, ended()]))
    (sentence,) = course_words(report)
    assert words in sentence
    assert sentence in give_verdict(report).sentences


def test_a_bump_of_a_run_that_goes_on_is_normal_if_it_comes_back(tell, plan, story):
    (sentence,) = course_words(collect(tell(plan, [*story(plan, 40), turn(Finding.BUMP, 20)])))
    assert sentence.endswith("normal if it comes back")


@pytest.mark.parametrize("course", [Course.BUMP, Course.DIVERGING])
def test_a_run_of_which_only_the_log_has_come_back_tells_its_course(tell, plan, story, course):
    lines = [row | {"course": course} if row["kind"] == "step" else row for row in story(plan, 40)]
    (sentence,) = course_words(collect(tell(plan, lines)))
    assert sentence.lower() == COURSE_IN_WORDS[course].lower()


def test_a_run_that_nobody_watched_says_nothing(tell, plan, story):
    assert course_words(collect(tell(plan, story(plan)))) == ()


def test_a_run_that_has_not_begun_says_nothing(tell, plan):
    assert course_words(collect(tell(plan, []))) == ()


def test_spikes_and_skipped_steps_are_listed_with_the_lines_of_their_batches(tell, plan, story):
    report = collect(tell(plan, [*story(plan), spike(12), skip(30), skip(31), ended()]))
    assert (spikes(report), skipped_steps(report)) == (1, 2)
    assert [sentence.split(";")[0] for sentence in course_words(report)] == [
        "Loss or gradient norm jumped once",
        "2 steps were left out because loss or gradient were not finite",
    ]
    page = render_html(report)
    for words in ("train/a.jsonl:17, train/a.jsonl:99", "train/b.jsonl:3", "left out", "spikes, step 12: 9.5"):
        assert words in page
    course = report_numbers(report)["course"]
    assert (course["spikes"], course["skipped_steps"], course["is_diverging"]) == (1, 2, False)
    events = report_numbers(report)["events"]
    assert events[0]["places"] == ["train/a.jsonl:17", "train/a.jsonl:99"]
    assert events[1]["numbers"]["loss"] is None


def test_spikes_beyond_those_that_are_recorded_are_counted(tell, plan, story):
    lines = [row | {"spikes": 70, "skipped": 3} if row["kind"] == "step" else row for row in story(plan)]
    report = collect(tell(plan, [*lines, *(spike(step) for step in range(1, 51))]))
    assert (spikes(report), skipped_steps(report)) == (70, 3)
    assert f"and {50 - MOST_STOOD_OUT} more in the JSON numbers" in render_html(report)


@pytest.mark.parametrize("broken", [{"places": "no list"}, {"places": [1, None]}, {"loss": "high"}, {}])
def test_an_event_of_another_shape_does_no_harm(tell, plan, story, broken):
    report = collect(tell(plan, [*story(plan), event("spike", 3, **broken), event("bump", 4)]))
    assert "spike" in render_html(report)
