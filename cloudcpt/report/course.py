"""How the training loss of a run went, in words: early rise or divergence, spikes, steps that were left out."""

import math

from cloudcpt.report.collect import RunReport
from cloudcpt.report.words import count
from cloudcpt.wire import Course, Finding

COURSE_IN_WORDS = {
    Course.STEADY: "",
    Course.BUMP: "the training loss rose early, as it does when the rate is warmed up again; normal if it comes back",
    Course.DIVERGING: "the training loss grows: divergence; lower `lr` and warm up for longer",
}
"""What a running job's last line says, for people."""


def course_words(report: RunReport) -> tuple[str, ...]:
    """Say how the training loss went and what stood out, one sentence each; nothing where nobody watched."""
    if not report.steps:
        return ()
    return (*_loss_words(report), *_spike_words(report), *_skipped_words(report))


def is_diverging(report: RunReport) -> bool:
    """Tell whether the loss had grown without coming back when the run was seen last."""
    return bool(report.steps) and report.steps[-1].course == Course.DIVERGING


def skipped_steps(report: RunReport) -> int:
    """Count the steps that were left out because they were not finite."""
    told = report.steps[-1].skipped if report.steps else math.nan
    return max(_whole(told), len(report.findings(Finding.SKIPPED_STEP)))


def spikes(report: RunReport) -> int:
    """Count the sudden rises, recorded or not."""
    told = report.steps[-1].spikes if report.steps else math.nan
    return max(_whole(told), len(report.findings(Finding.SPIKE)))


def _whole(number: float) -> int:
    return int(number) if math.isfinite(number) else 0


def _loss_words(report: RunReport) -> tuple[str, ...]:
    turns = report.findings(Finding.BUMP, Finding.BUMP_OVER, Finding.DIVERGENCE, Finding.RECOVERY)
    if not turns:  # a job whose metrics have not come back yet has told its course alone
        words = COURSE_IN_WORDS[report.steps[-1].course]
        return (words[:1].upper() + words[1:],) if words else ()
    turn = turns[-1]
    level, floor, peak = (turn.numbers.get(name, math.nan) for name in ("level", "floor", "peak"))
    from_to = f"from {floor:.3f} to {level:.3f} by step {turn.step:,}"
    has_ended = report.outcome in ("completed", "stopped", "failed")
    match Finding(turn.name):
        case Finding.BUMP_OVER:
            words = f"The training loss rose early, to {peak:.3f}, and was back at {level:.3f} by step {turn.step:,}"
            return (f"{words}: a re-warm bump, which is normal",)
        case Finding.BUMP:
            end = "it has not come back in this run" if has_ended else "normal if it comes back"
            return (f"The training loss rose early, {from_to}, as it does when the learning rate is re-warmed; {end}",)
        case Finding.DIVERGENCE:
            words = f"The training loss grew, {from_to}, and has not come back: divergence"
            return (f"{words}; lower `lr` and warm up for longer",)
        case _:
            return (f"The training loss grew to {peak:.3f} and was back at {level:.3f} by step {turn.step:,}",)


def _spike_words(report: RunReport) -> tuple[str, ...]:
    number = spikes(report)
    if not number:
        return ()
    what = "Loss or gradient norm jumped once" if number == 1 else f"Loss or gradient norm jumped {count(number)} times"
    return (f"{what}; the report lists the dataset lines of those batches",)


def _skipped_words(report: RunReport) -> tuple[str, ...]:
    number, limit = skipped_steps(report), report.plan.optimizer.max_skipped_steps
    if not number:
        return ()
    steps = "1 step was" if number == 1 else f"{count(number)} steps were"
    return (f"{steps} left out because loss or gradient were not finite; the recipe allows {count(limit)}",)
