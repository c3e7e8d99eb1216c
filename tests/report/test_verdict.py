import math
from dataclasses import replace

import pytest

from cloudcpt.report.collect import collect
from cloudcpt.report.verdict import change, give_verdict
from cloudcpt.wire import Evaluation


def measured(set_name: str, before: float, after: float) -> tuple[Evaluation, ...]:
    return tuple(
        Evaluation(set_name=set_name, step=step, loss=loss, perplexity=math.exp(loss))
        for step, loss in ((0, before), (80, after))
    )


def test_forgetting_is_the_logarithm_of_the_ratio_of_perplexities(completed):
    general = change(collect(completed), "general")
    ratio = general.after.perplexity / general.before.perplexity
    assert general.nats == pytest.approx(math.log(ratio))
    assert general.percent == pytest.approx((ratio - 1) * 100)


@pytest.mark.parametrize(
    ("domain_after", "general_after", "tone", "words"),
    [
        (4.5, 5.30, "good", "learned the domain, and its general ability was kept"),
        (4.5, 5.319, "good", "learned the domain, and its general ability was kept"),
        (4.5, 5.33, "mixed", "learned the domain, but it forgot a little"),
        (4.5, 5.41, "bad", "learned the domain, but it forgot much"),
        (4.5, 5.20, "good", "learned the domain, and its general ability improved"),
        (5.8, 5.30, "bad", "did not learn the domain, and its general ability was kept"),
        (6.1, 5.50, "bad", "did not learn the domain, and it forgot much"),
    ],
)
def test_the_headline_says_both_what_was_learned_and_what_was_forgotten(
    completed, domain_after, general_after, tone, words
):
    evaluations = measured("domain", 5.8, domain_after) + measured("general", 5.3, general_after)
    verdict = give_verdict(replace(collect(completed), evaluations=evaluations))
    assert words in verdict.headline
    assert verdict.tone == tone


def test_forgetting_that_was_not_measured_is_never_called_none(completed):
    verdict = give_verdict(replace(collect(completed), evaluations=measured("domain", 5.8, 4.5)))
    assert verdict.headline == "The model learned the domain; what it forgot was not measured"
    assert verdict.tone == "mixed"


def test_a_run_without_measurements_gets_no_verdict(tell, plan):
    verdict = give_verdict(collect(tell(plan, [])))
    assert (verdict.headline, verdict.tone) == ("There is nothing to compare yet", "open")
    assert "step 0 of 80" in verdict.sentences[0]


def test_a_failed_run_is_called_failed_whatever_it_had_learned(tell, plan, story):
    records = [*story(plan, 33), {"kind": "end", "step": 33, "outcome": "failed", "seconds": 20.0}]
    verdict = give_verdict(collect(tell(plan, records)))
    assert (verdict.headline, verdict.tone) == ("The run failed", "bad")
    assert any("after step 33 of 80" in sentence for sentence in verdict.sentences)


def test_a_measurement_that_is_not_finite_is_no_measurement(completed):
    broken = (*measured("domain", 5.8, math.nan), *measured("general", 5.3, 5.3))
    report = replace(collect(completed), evaluations=broken)
    assert change(report, "domain") is None
    assert "not measured" in give_verdict(report).headline


@pytest.mark.parametrize(("before", "after"), [(800.0, 5.0), (5.0, 800.0)])
def test_a_loss_too_high_for_a_perplexity_is_said_in_words(completed, before, after):
    evaluations = tuple(
        Evaluation(set_name="domain", step=step, loss=loss, perplexity=math.inf if loss == 800 else math.exp(loss))
        for step, loss in ((0, before), (80, after))
    )
    sentences = give_verdict(replace(collect(completed), evaluations=evaluations)).sentences
    assert any("not finite" in sentence for sentence in sentences)


@pytest.mark.parametrize(("tokens", "max_rows", "few"), [(9_000, 0, True), (114_585, 0, False), (114_585, 30, True)])
def test_a_held_out_set_that_is_too_small_to_be_believed_is_called_so(tell, plan, story, tokens, max_rows, few):
    told = {"kind": "source", "channel": "validation", "tokens": tokens, "rows": 448}
    small = replace(plan, evaluation=replace(plan.evaluation, max_rows=max_rows), sources=plan.sources[:3])
    sentences = give_verdict(collect(tell(small, [*story(small), told]))).sentences
    about = [sentence for sentence in sentences if "mean nothing" in sentence]
    assert bool(about) is few
    assert all("The held-out domain set has only about" in sentence for sentence in about)


def test_a_rehearsal_is_never_mistaken_for_the_real_thing(completed):
    report = collect(completed)
    stand_in = replace(report, plan=replace(report.plan, model=replace(report.plan.model, stand_in=True)))
    assert "rehearsal" in give_verdict(stand_in).sentences[0]
    assert not any("rehearsal" in sentence for sentence in give_verdict(report).sentences)
