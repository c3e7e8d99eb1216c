"""The line of the log that one look at a held-out set writes: `eval|general|80|5.340000|208.5127| change_nats=0.01`."""

import re
from dataclasses import dataclass

from cloudcpt.wire.progress import FLOAT, INT, PAIRS, numbers_in, pairs_of

EVALUATION_SETS = ("domain", "general")
"""Names of the two held-out sets, in metrics, reports and lines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """One measurement of a held-out set, as its log line says it.

    Args:
        set_name: `domain` or `general`.
        step: Optimizer steps completed.
        loss: Mean negative log-likelihood per token, in nats.
        perplexity: exp(loss).
        bits_per_byte: The loss per UTF-8 byte of text, in bits; None when a job did not say.
        change_nats: Loss minus the loss before the first step, which is ln(perplexity after / before). Of the general
            set it is the forgetting. None when a job did not say.
    """

    set_name: str
    step: int
    loss: float
    perplexity: float
    bits_per_byte: float | None = None
    change_nats: float | None = None


_EVALUATION = re.compile(
    rf"^eval\|(?P<set_name>{'|'.join(EVALUATION_SETS)})\|(?P<step>{INT})"
    rf"\|(?P<loss>{FLOAT})\|(?P<perplexity>{FLOAT})(?:\|{PAIRS})?$"
)


def evaluation_line(
    set_name: str,
    step: int,
    loss: float,
    perplexity: float,
    *,
    bits_per_byte: float | None = None,
    change_nats: float | None = None,
) -> str:
    """Write the log line of one evaluation; the arguments are the fields of `Evaluation`."""
    pairs = {"bits_per_byte": bits_per_byte, "change_nats": change_nats}
    written = "".join(f" {name}={value:.6f}" for name, value in pairs.items() if value is not None)
    return f"eval|{set_name}|{step}|{loss:.6f}|{perplexity:.4f}" + (f"|{written}" if written else "")


def parse_evaluation(line: str) -> Evaluation | None:
    """Read an evaluation line back; None when the line is anything else."""
    match = _EVALUATION.match(line.strip())
    if match is None:
        return None
    more = numbers_in(pairs_of(match["pairs"] or ""))
    return Evaluation(
        set_name=match["set_name"],
        step=int(match["step"]),
        loss=float(match["loss"]),
        perplexity=float(match["perplexity"]),
        bits_per_byte=more.get("bits_per_byte"),
        change_nats=more.get("change_nats"),
    )
