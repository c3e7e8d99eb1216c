"""How a job reads: its state, where it stands, what it measured, how it ended, and what to do next."""

import time
from dataclasses import asdict

from cloudcpt.cli import render
from cloudcpt.cli.quantities import count, duration, plural, usd
from cloudcpt.errors import ExitCode
from cloudcpt.jobs.outcome import outcome_error
from cloudcpt.jobs.ports import JobState, JobStatus
from cloudcpt.jobs.resume import refusal as resume_refusal
from cloudcpt.report.course import COURSE_IN_WORDS
from cloudcpt.wire import EVALUATION_SETS, Course, Evaluation, Progress

_STEPS_SHOWN = 5
"""Steps of checkpoints that a line names."""


def job_document(status: JobStatus) -> dict[str, object]:
    """Give a job as plain JSON, with its state first."""
    return {"name": status.name, "state": status.state, "created_at": status.created_at, **asdict(status)}


def show_job(status: JobStatus) -> None:
    """Print all there is to know about a job."""
    pairs = [("job", status.name), ("state", _state(status)), ("runs on", status.target)]
    if status.progress and not status.state.is_final:
        pairs.append(("progress", progress_words(status.progress)))
    pairs += _timeline(status)
    if status.cost_usd is not None:
        pairs.append(("cost", f"{usd(status.cost_usd)} {'in all' if status.state.is_final else 'so far'}, estimated"))
    pairs += [*result_pairs(status), ("files", status.files)]
    if status.link:
        pairs.append(("console", status.link))
    render.show_pairs(pairs)


def result_pairs(status: JobStatus) -> list[tuple[str, str]]:
    """Say what the job has measured and made so far."""
    pairs = []
    for name in EVALUATION_SETS:
        measured = [found for found in status.evaluations if found.set_name == name]
        if measured:
            words = " -> ".join(f"{found.perplexity:.2f}" for found in measured)
            steps = " and ".join(f"{found.step:,}" for found in measured)
            pairs.append((f"{name} perplexity", f"{words}  after {steps} steps"))
            if all(found.bits_per_byte is not None for found in measured):
                pairs.append((f"{name} bits/byte", " -> ".join(f"{found.bits_per_byte:.3f}" for found in measured)))
    if (forgotten := _forgotten(status)) is not None:
        pairs.append(("forgetting", f"{forgotten:+.3f} nats per token, ln of the general perplexities' ratio"))
    if status.progress:
        pairs += _standing(status.progress, has_ended=status.state.is_final)
    if status.model:
        pairs.append(("model", status.model))
    if status.checkpoints:
        pairs.append(("checkpoints", _checkpoint_words(status.checkpoints)))
    if resume_refusal(status) is None:
        pairs.append(("can go on", f"after step {status.recovery_step:,}"))
    if status.is_rehearsal:
        pairs.append(
            ("rehearsal", "a tiny random model stood in: its numbers mean nothing, its checkpoint is no model")
        )
    return pairs


def _checkpoint_words(steps: tuple[int, ...]) -> str:
    """Name the steps of the models that are kept; of many, the first and the newest."""
    few = steps if len(steps) <= _STEPS_SHOWN else (steps[0], *steps[1 - _STEPS_SHOWN :])
    names = [f"{step:,}" for step in few]
    if len(steps) > _STEPS_SHOWN:
        names.insert(1, "...")
    word = "step" if len(steps) == 1 else "steps"
    return f"{plural(len(steps), 'model')} beside the final one, after {word} {', '.join(names)}"


def _forgotten(status: JobStatus) -> float | None:
    """Give the rise of the general loss from the first measurement to the last; None before there are two."""
    general = [found for found in status.evaluations if found.set_name == "general"]
    return general[-1].loss - general[0].loss if len(general) > 1 else None


def _standing(progress: Progress, *, has_ended: bool) -> list[tuple[str, str]]:
    """Say what the trainer's monitor found, if anything; a rise that may yet come back is of interest until the end."""
    course = Course(progress.course)
    is_told = course is Course.DIVERGING or (course is Course.BUMP and not has_ended)
    pairs = [("course", COURSE_IN_WORDS[course])] if is_told else []
    if progress.spikes:
        pairs.append(("spikes", f"{progress.spikes:,} of the loss or the gradient norm, in `report` with their lines"))
    if progress.skipped:
        pairs.append(("left out", f"{plural(progress.skipped, 'step')}, because not finite"))
    return pairs


def progress_words(progress: Progress) -> str:
    """Say how far a job is."""
    mfu = "" if progress.mfu_full is None else f", MFU {progress.mfu_full:.0%}"
    return (
        f"step {progress.step:,} of {progress.total_steps:,}, loss {progress.loss:.3f}, "
        f"{count(round(progress.tokens_per_s))} tokens/s{mfu}, {duration(progress.eta_s)} left"
    )


def evaluation_words(evaluation: Evaluation) -> str:
    """Say what one look at a held-out set gave."""
    moved = f" ({evaluation.change_nats:+.3f} since step 0)" if evaluation.step and evaluation.change_nats else ""
    return (
        f"after step {evaluation.step:,}: {evaluation.set_name} perplexity {evaluation.perplexity:.2f}, "
        f"loss {evaluation.loss:.3f}{moved}"
    )


def show_end(status: JobStatus, *, typed: str = "") -> ExitCode:
    """Print why a job failed or was stopped, if it did, and what to do next.

    Args:
        status: Of the job.
        typed: Command that shows this; it is not advised again.

    Returns:
        What the command that waited for it exits with.
    """
    ended = outcome_error(status)
    if ended is not None:
        render.show_diagnostics(ended.diagnostics)
    show_next(status, typed=typed)
    return ended.exit_code if ended else ExitCode.OK


def show_next(status: JobStatus, *, typed: str = "") -> None:
    """Print the commands that make sense now, on stderr, but for the one that was just typed."""
    name = status.name
    on = (f"resume {name}",) if resume_refusal(status) is None else ()
    commands = {
        JobState.COMPLETED: (f"fetch {name}", f"report {name}") if status.model else (f"logs {name}",),
        JobState.FAILED: (f"logs {name} --tail 50", *on, f"status {name}"),
        JobState.STOPPED: (*on, f"logs {name} --tail 50", f"status {name}"),
    }.get(status.state, (f"status {name}", f"logs -f {name}", f"stop {name}"))
    others = [words for words in commands if words.split()[0] != typed]
    for number, words in enumerate(others):
        render.err().print(f"{'next:' if number == 0 else '     '} cloudcpt {words}", style="faint")


def age(at: float) -> str:
    """Say how long ago something was."""
    return f"{duration(max(0.0, time.time() - at))} ago"


def _state(status: JobStatus) -> str:
    took = duration(status.phases[-1].at - status.created_at)
    if status.state.is_final:
        return f"{status.state} after {took}, {age(status.phases[-1].at)}"
    return f"{status.state}, started {age(status.created_at)}"


def _timeline(status: JobStatus) -> list[tuple[str, str]]:
    """Say when the job entered which state: in one line, or a line each where the service has words of its own."""
    day = time.strftime("%Y-%m-%d", time.localtime(status.created_at))
    if not any(phase.detail for phase in status.phases):
        stamps = [f"{phase.state} {_clock(phase.at, status.created_at)}" for phase in status.phases]
        return [("states", f"{day}: " + ", ".join(stamps))]
    ends = [*(phase.at for phase in status.phases[1:]), None]
    lines = [f"{day}, local time"]
    for phase, end in zip(status.phases, ends, strict=True):
        lasted = duration(end - phase.at) if end is not None else ""
        stamp = _clock(phase.at, status.created_at)
        lines.append(f"{stamp}  {phase.state:<10} {phase.detail:<20} {lasted}".rstrip())
    return [("states" if number == 0 else "", line) for number, line in enumerate(lines)]


def _clock(at: float, first: float) -> str:
    """Write the time of day, with the date on any other day than the first."""
    now, then = time.localtime(at), time.localtime(first)
    return time.strftime("%H:%M:%S" if now[:3] == then[:3] else "%m-%d %H:%M:%S", now)
