"""The learning rate of every step, exactly as NeMo's `CosineAnnealing` computes it, and three shapes beside it.

`s` is the number of completed optimizer steps: 0 for the first update. W, C and N are warm-up, constant and all steps.

    warm-up, C == 0     s <= W:         lr * ((s + 1) / (W + 1))
    warm-up, C > 0      s <= W:         lr * s / W              the first update has learning rate 0
    cosine, C == 0      s <= N:         (lr - min_lr) * (0.5 * (1 + cos(pi * (s - W) / (N - W)))) + min_lr
    cosine, C > 0       s <= N - C:     min_lr + 0.5 * (cos(pi * ((s - W) / (N - C - W))) + 1) * (lr - min_lr)
    linear              s <= N - C:     min_lr + (1 - (s - W) / (N - C - W)) * (lr - min_lr)
    wsd                 s <= N - C - D: lr
                        s <= N - C:     min_lr + (1 - sqrt((s - (N - C - D)) / D)) * (lr - min_lr)
    constant            always:         lr
    afterwards                          min_lr

D is a fifth of N, cut to whole steps, at least 1 and at most N - C - W. The second warm-up is of `cosine` only.

So `constant_steps` is a tail at `min_lr`, not a hold at the peak. The order of evaluation is NeMo's, because it
decides the last digit: the rate of a step is equal to NeMo's with `==`, not about equal. `warmup_ratio`, which Nova
does not take, is rounded up to steps; NeMo cuts it off, and a short run would have none.

`docs/learning-rate.md` says the same for readers of recipes. What learns at another rate than the schedule's, the
embeddings beside adapters, learns at a constant multiple of it.

Sources: NVIDIA/NeMo nemo/core/optim/lr_scheduler.py; the 1 - sqrt decay from Hägele et al., arXiv 2405.18392.
"""

from fractions import Fraction
from math import ceil, cos, pi, sqrt

from cloudcpt.plan.plan import Schedule

WSD_DECAY_PART = 5
"""`wsd` decays over one fifth of all steps. Source: 10 to 20 % in MiniCPM, arXiv 2404.06395, and in 2405.18392."""


def learning_rate(schedule: Schedule, completed_steps: int) -> float:
    """Compute the learning rate of the update that follows so many completed steps.

    Args:
        schedule: With at least one step of decay, or else all warm-up.
        completed_steps: 0 for the first update.
    """
    s, warmup = completed_steps, schedule.warmup_steps
    if warmup > 0 and s <= warmup:
        if schedule.name == "cosine" and schedule.constant_steps > 0:
            return schedule.lr * s / warmup
        return schedule.lr * ((s + 1) / (warmup + 1))
    if schedule.name == "constant":
        return schedule.lr
    if s > schedule.steps - schedule.constant_steps:
        return schedule.min_lr
    if schedule.name == "cosine":
        return _cosine(schedule, s)
    if schedule.name == "linear":
        return _between(schedule, 1 - (s - warmup) / _decay_room(schedule))
    decay_steps = wsd_decay_steps(schedule)
    into = s - (schedule.steps - schedule.constant_steps - decay_steps)
    return schedule.lr if into <= 0 else _between(schedule, 1 - sqrt(into / decay_steps))


def _cosine(schedule: Schedule, s: int) -> float:
    lr, min_lr, into, room = schedule.lr, schedule.min_lr, s - schedule.warmup_steps, _decay_room(schedule)
    # The two branches are one curve and differ in the last digit; both are as NeMo evaluates them.
    if schedule.constant_steps == 0:
        return (lr - min_lr) * (0.5 * (1 + cos(pi * into / room))) + min_lr
    return min_lr + 0.5 * (cos(pi * (into / room)) + 1.0) * (lr - min_lr)


def _between(schedule: Schedule, share: float) -> float:
    return schedule.min_lr + share * (schedule.lr - schedule.min_lr)


def _decay_room(schedule: Schedule) -> int:
    return schedule.steps - schedule.constant_steps - schedule.warmup_steps


def wsd_decay_steps(schedule: Schedule) -> int:
    """Count the steps over which `wsd` goes down: a fifth of all, at least 1, at most what the warm-up leaves."""
    return max(1, min(schedule.steps // WSD_DECAY_PART, _decay_room(schedule)))


def warmup_steps_of(ratio: float, steps: int) -> int:
    """Turn `warmup_ratio` into steps, rounded up so that a short run is warmed up too; exact in decimals."""
    return ceil(Fraction(str(ratio)) * steps)


def preview(schedule: Schedule, points: int) -> tuple[tuple[int, float], ...]:
    """Pick steps that show the shape, the peak and the last one among them.

    Args:
        schedule: What to show.
        points: How many evenly spaced steps to pick before the peak is added.

    Returns:
        Optimizer steps counted from 1, as in progress lines, each with the learning rate that it uses.
    """
    last = schedule.steps - 1
    even = {last * point // max(1, points - 1) for point in range(points)}
    chosen = sorted(even | {min(schedule.warmup_steps, last), last})
    return tuple((completed + 1, learning_rate(schedule, completed)) for completed in chosen)
