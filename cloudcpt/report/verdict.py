"""The two questions of continued pretraining, answered from one run's numbers: what it learned, what it forgot.

    learned    ln(domain perplexity before / after), nats per token; above 0 is better
    forgotten  ln(general perplexity after / before), nats per token; above 0 is worse

Both are differences of the mean loss, so they add up over runs and do not depend on how hard the texts are.

Source: forgetting as the rise of held-out loss on the original distribution, Ibrahim et al. 2024, arXiv 2403.08763.
"""

import math
from dataclasses import dataclass
from typing import Literal

from cloudcpt.plan.plan import Source, SourceRole
from cloudcpt.report.collect import RunReport
from cloudcpt.report.course import course_words
from cloudcpt.report.words import count, perplexity
from cloudcpt.wire import Evaluation

Tone = Literal["good", "mixed", "bad", "open"]

_HELD_OUT: tuple[SourceRole, SourceRole] = ("validation", "general_validation")

NOTICEABLE_NATS = 0.02
"""Changes below 2% of perplexity are called none: about the noise of a small held-out set. Chosen, not measured."""

LARGE_NATS = 0.10
"""From about 10% of perplexity on, forgetting is called a loss rather than slight. Chosen, not measured."""

FEW_TOKENS = 10_000
"""In a held-out set of fewer tokens, changes that count as noticeable may be chance: where the losses of single tokens
change by a nat either way, their mean is known to a hundredth of a nat from here on. Chosen, not measured."""

_MOST_NATS = 700.0
"""Beyond it the exponential leaves the range of a double."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One held-out set before the first step and after the last evaluated one.

    Args:
        before: At step 0.
        after: At the last evaluation; its step need not be the last of the plan.
    """

    before: Evaluation
    after: Evaluation

    @property
    def nats(self) -> float:
        """Give ln(after / before) of the perplexity: above 0 is worse."""
        return self.after.loss - self.before.loss

    @property
    def percent(self) -> float:
        """Give the change of the perplexity in percent of what it was."""
        return math.expm1(self.nats) * 100 if self.nats < _MOST_NATS else math.inf


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The answer in words.

    Args:
        headline: One sentence.
        sentences: What it rests on, one sentence each.
        tone: How to colour it; `open` when there is nothing to compare yet.
    """

    headline: str
    sentences: tuple[str, ...]
    tone: Tone


def change(report: RunReport, set_name: str) -> Change | None:
    """Compare a held-out set before and after; None when it was not measured twice, or not as a number."""
    before, after = report.before(set_name), report.after(set_name)
    if before is None or after is None or not (math.isfinite(before.loss) and math.isfinite(after.loss)):
        return None
    return Change(before=before, after=after)


def give_verdict(report: RunReport) -> Verdict:
    """Say whether the model learned the domain and what it forgot."""
    domain, general = change(report, "domain"), change(report, "general")
    sentences = (
        *_about_run(report),
        *_about_domain(domain),
        *_about_general(general),
        *_about_small_sets(report),
        *course_words(report),
    )
    if report.outcome == "failed":
        return Verdict(headline="The run failed", sentences=sentences, tone="bad")
    headline, tone = _headline(domain, general)
    return Verdict(headline=headline, sentences=sentences, tone=tone)


def _headline(domain: Change | None, general: Change | None) -> tuple[str, Tone]:
    if domain is None and general is None:
        return "There is nothing to compare yet", "open"
    learned = domain is not None and domain.nats < -NOTICEABLE_NATS
    if domain is None:
        first = "What it learned was not measured"
    else:
        first = "The model learned the domain" if learned else "The model did not learn the domain"
    if general is None:
        return f"{first}; what it forgot was not measured", "mixed" if learned or domain is None else "bad"
    second = _forgetting_words(general.nats)
    if domain is not None and not learned:
        return f"{first}, and {second}", "bad"
    if general.nats <= NOTICEABLE_NATS:
        return f"{first}, and {second}", "good" if learned else "mixed"
    return f"{first}, but {second}", "mixed" if general.nats < LARGE_NATS else "bad"


def _forgetting_words(nats: float) -> str:
    if nats <= -NOTICEABLE_NATS:
        return "its general ability improved"
    if nats <= NOTICEABLE_NATS:
        return "its general ability was kept"
    return "it forgot a little of the general text" if nats < LARGE_NATS else "it forgot much of the general text"


def _about_run(report: RunReport) -> tuple[str, ...]:
    """Say what keeps these numbers from being those of a whole run of the named model."""
    found = []
    if report.plan.model.stand_in:
        found.append("This was a rehearsal on a stand-in model: its numbers say nothing about the named one")
    done, planned = report.steps_done, report.plan.geometry.steps
    if report.outcome in ("running", "unfinished"):
        how = "is still going" if report.outcome == "running" else "has not written its end"
        found.append(f"The run {how}; these are its numbers up to step {done:,} of {planned:,}")
    elif report.outcome != "completed":
        how = "was stopped" if report.outcome == "stopped" else "failed"
        found.append(f"The run {how} after step {done:,} of {planned:,}, so these are not the numbers of the whole")
    return tuple(found)


def _about_domain(domain: Change | None) -> tuple[str, ...]:
    if domain is None:
        return ("There are not two measurements of a held-out domain set",)
    return (
        f"Domain perplexity went {_from_to(domain)}: on unseen domain text the model hesitated between "
        f"{_tokens(domain.before)} before, and between {_tokens(domain.after)} after",
    )


def _about_general(general: Change | None) -> tuple[str, ...]:
    if general is None:
        return ("There are not two measurements of a held-out general set, so forgetting is unknown",)
    return (
        f"General perplexity went {_from_to(general)}: forgetting, the logarithm of the ratio, is "
        f"{general.nats:+.3f} nats per token; up to {NOTICEABLE_NATS:+.2f} counts as none",
    )


def _about_small_sets(report: RunReport) -> tuple[str, ...]:
    """Warn of held-out sets that are too small to be believed."""
    sizes = {source.name: _held_out_tokens(report, source) for source in report.plan.sources_of(*_HELD_OUT)}
    return tuple(
        f"The held-out {name} set has only about {count(tokens)} tokens: small changes of its perplexity mean nothing"
        for name, tokens in sizes.items()
        if tokens < FEW_TOKENS
    )


def _held_out_tokens(report: RunReport, source: Source) -> float:
    """Count the tokens of the rows that an evaluation takes from a held-out set."""
    counted, most = report.sources[source.channel], report.plan.evaluation.max_rows
    return counted.tokens * min(1.0, most / counted.rows) if most and counted.rows else counted.tokens


def _tokens(point: Evaluation) -> str:
    return f"about {point.perplexity:,.0f} tokens" if math.isfinite(point.perplexity) else "more tokens than there are"


def _from_to(found: Change) -> str:
    before, after = perplexity(found.before.perplexity), perplexity(found.after.perplexity)
    return f"from {before} to {after} ({found.percent:+.1f}%)"
