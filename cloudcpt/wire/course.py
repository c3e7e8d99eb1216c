"""What the trainer's monitor says about the course of a run, in words that both halves read."""

from enum import StrEnum


class Course(StrEnum):
    """How the training loss goes, as judged at one step."""

    STEADY = "steady"
    """It falls or stays, or there are not enough steps yet to tell."""

    BUMP = "bump"
    """It rose early in the job, as it does when the learning rate is warmed up again, and has not come back yet."""

    DIVERGING = "diverging"
    """It, and perhaps the gradient norm, has grown far beyond what is usual, and has not come back."""


class Finding(StrEnum):
    """Something that the monitor saw happen; the names of its events in `metrics.jsonl`."""

    BUMP = "bump"
    BUMP_OVER = "bump-over"
    DIVERGENCE = "divergence"
    RECOVERY = "recovery"
    SPIKE = "spike"
    SKIPPED_STEP = "skipped-step"
