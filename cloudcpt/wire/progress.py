"""The line of the log that one training step writes: written by the trainer, read by client and service.

    120|2.314159|51200.0|of=1000 lr=1.000000e-05 grad_norm=0.5000 tokens=98304 eta_s=412 perplexity=10.1164 ...

First what every reader wants, as `iteration|loss|throughput`; then `key=value` pairs, named like the fields of
`Progress` and of the records of `metrics.jsonl`. What was not measured has no pair, and a key that a reader does not
know is passed over.
"""

import math
import re
from dataclasses import dataclass, fields
from typing import Any

from cloudcpt.wire.course import Course


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """One logged training step. A rate or a share is of the steps since the last line; None is not measured.

    Args:
        step: Optimizer steps completed, from 1.
        loss: Mean negative log-likelihood per labelled token of this step's global batch, in nats.
        tokens_per_s: Tokens trained per second over all ranks.
        total_steps: Steps of the whole job.
        lr: Learning rate that this step used.
        grad_norm: Global gradient norm before clipping.
        tokens: Tokens trained so far.
        eta_s: Seconds left at the present rate.
        seconds: Of one step.
        bits_per_byte: Loss of this step per UTF-8 byte of text, in bits; does not depend on the tokenizer.
        tokens_per_s_per_process: Of one GPU, where there are GPUs.
        flops_per_s_full: Model FLOP/s over all ranks, 6 N + 12 L H Q T per token.
        flops_per_s_document: Model FLOP/s over all ranks, causal and within documents.
        mfu_full: The first as a share of the devices' peak.
        mfu_document: The second as a share of the devices' peak.
        data_wait_share: Of the time, spent waiting for batches.
        memory_bytes: Peak so far of rank 0's device.
        host_memory_bytes: Peak so far of rank 0's process in main memory.
        gpu_utilisation: Share of the time in which rank 0's GPU computed.
        gpu_memory_utilisation: Share of the memory of rank 0's GPU that is taken, by anybody.
        course: How the loss goes.
        spikes: Sudden rises of the loss or of the gradient norm so far.
        skipped: Steps left out so far because they were not finite.
    """

    step: int
    loss: float
    tokens_per_s: float
    total_steps: int
    lr: float
    grad_norm: float
    tokens: int
    eta_s: float
    seconds: float | None = None
    bits_per_byte: float | None = None
    tokens_per_s_per_process: float | None = None
    flops_per_s_full: float | None = None
    flops_per_s_document: float | None = None
    mfu_full: float | None = None
    mfu_document: float | None = None
    data_wait_share: float | None = None
    memory_bytes: float | None = None
    host_memory_bytes: float | None = None
    gpu_utilisation: float | None = None
    gpu_memory_utilisation: float | None = None
    course: str = Course.STEADY
    spikes: int = 0
    skipped: int = 0

    @property
    def perplexity(self) -> float:
        """Give exp(loss), infinite where that is beyond a double."""
        return perplexity_of(self.loss)

    def line(self) -> str:
        """Write the line that the log, the client and the metric regexes read."""
        pairs = {"perplexity": self.perplexity} | {name: getattr(self, name) for name in _AFTER}
        written = " ".join(f"{name}={_written(value)}" for name, value in pairs.items() if value is not None)
        return (
            f"{self.step}|{self.loss:.6f}|{self.tokens_per_s:.1f}|of={self.total_steps} lr={self.lr:.6e} "
            f"grad_norm={self.grad_norm:.4f} tokens={self.tokens} eta_s={self.eta_s:.0f} {written}"
        )


def perplexity_of(loss: float) -> float:
    """Give exp(loss), infinite where that is beyond a double."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def _written(value: float | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


# Stricter than what the service's metric regexes get by with: whatever matches must convert, because a job may print
# anything at all. The value of a pair is one class of characters, so that no line sends the search back and forth.
INT = r"[0-9]{1,18}"
FLOAT = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|inf|nan)"
PAIRS = r"(?P<pairs>(?: [a-z_]{1,40}=[-+.0-9A-Za-z]{1,40}){0,60})"

_PROGRESS = re.compile(
    rf"^(?P<step>{INT})\|(?P<loss>{FLOAT})\|(?P<tokens_per_s>{FLOAT})\|of=(?P<total_steps>{INT}) "
    rf"lr=(?P<lr>{FLOAT}) grad_norm=(?P<grad_norm>{FLOAT}) tokens=(?P<tokens>{INT}) eta_s=(?P<eta_s>{FLOAT}){PAIRS}$"
)
_INTEGERS = ("step", "total_steps", "tokens")
_NUMBERS = ("loss", "tokens_per_s", "lr", "grad_norm", "eta_s")
_COUNTS = ("spikes", "skipped")
_AFTER = tuple(field.name for field in fields(Progress) if field.name not in (*_INTEGERS, *_NUMBERS))


def parse_progress(line: str) -> Progress | None:
    """Read a progress line back; None when the line is anything else."""
    match = _PROGRESS.match(line.strip())
    if match is None:
        return None
    read: dict[str, Any] = {key: int(match[key]) for key in _INTEGERS}  # Any: numbers of both kinds, and a word
    read |= {key: float(match[key]) for key in _NUMBERS}
    return Progress(**read, **_measured(match["pairs"]))


def _measured(written: str) -> dict[str, Any]:
    """Read the pairs that are fields; any other, and whatever cannot be a value of its field, is passed over."""
    pairs = pairs_of(written)
    found: dict[str, Any] = {name: value for name, value in numbers_in(pairs).items() if name in _AFTER}
    found |= {name: int(pairs[name]) if re.fullmatch(INT, pairs[name]) else 0 for name in _COUNTS if name in pairs}
    return found | ({"course": pairs["course"]} if pairs.get("course") in set(Course) else {})


def pairs_of(written: str) -> dict[str, str]:
    """Take what `PAIRS` matched apart."""
    return dict(pair.split("=") for pair in written.split())


def numbers_in(pairs: dict[str, str]) -> dict[str, float]:
    """Convert those values of pairs that are numbers, and leave the others out."""
    return {name: float(text) for name, text in pairs.items() if re.fullmatch(FLOAT, text)}
