"""The lines of the log that carry numbers, and the regexes by which a service reads them."""

import re
from dataclasses import dataclass

_NUMBER = r"[-+0-9.eEinfa]+"


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """One logged training step, as one line of the job's log: `iteration|loss|throughput|key=value ...`.

    Args:
        step: Optimizer steps completed, from 1.
        loss: Mean negative log-likelihood per labelled token of this step's global batch, in nats.
        tokens_per_s: Tokens trained per second over all ranks since the last line.
        total_steps: Steps of the whole job.
        lr: Learning rate that this step used.
        grad_norm: Global gradient norm before clipping.
        tokens: Tokens trained so far.
        eta_s: Seconds left at the present rate.
    """

    step: int
    loss: float
    tokens_per_s: float
    total_steps: int
    lr: float
    grad_norm: float
    tokens: int
    eta_s: float

    def line(self) -> str:
        """Write the line that the log, the client and the metric regexes read."""
        return (
            f"{self.step}|{self.loss:.6f}|{self.tokens_per_s:.1f}|of={self.total_steps} lr={self.lr:.6e} "
            f"grad_norm={self.grad_norm:.4f} tokens={self.tokens} eta_s={self.eta_s:.0f}"
        )


# Stricter than what the service's metric regexes get by with: whatever matches must convert, because a job may print
# anything at all.
_INT = r"[0-9]{1,18}"
_FLOAT = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|inf|nan)"
_PROGRESS = re.compile(
    rf"^(?P<step>{_INT})\|(?P<loss>{_FLOAT})\|(?P<tokens_per_s>{_FLOAT})\|of=(?P<total_steps>{_INT}) "
    rf"lr=(?P<lr>{_FLOAT}) grad_norm=(?P<grad_norm>{_FLOAT}) tokens=(?P<tokens>{_INT}) eta_s=(?P<eta_s>{_FLOAT})$"
)


def parse_progress(line: str) -> Progress | None:
    """Read a progress line back; None when the line is anything else."""
    match = _PROGRESS.match(line.strip())
    if match is None:
        return None
    ints = {key: int(match[key]) for key in ("step", "total_steps", "tokens")}
    floats = {key: float(match[key]) for key in ("loss", "tokens_per_s", "lr", "grad_norm", "eta_s")}
    return Progress(**ints, **floats)  # type: ignore[arg-type]  # one dict holds ints, the other floats


EVALUATION_SETS = ("domain", "general")
"""Names of the two held-out sets, in metrics, reports and lines."""


def evaluation_line(set_name: str, step: int, loss: float, perplexity: float) -> str:
    """Write the log line of one evaluation."""
    return f"eval|{set_name}|{step}|{loss:.6f}|{perplexity:.4f}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """One measurement of a held-out set, as its log line says it: loss in nats per token, after `step` steps."""

    set_name: str
    step: int
    loss: float
    perplexity: float


_EVALUATION = re.compile(
    rf"^eval\|(?P<set_name>{'|'.join(EVALUATION_SETS)})\|(?P<step>{_INT})"
    rf"\|(?P<loss>{_FLOAT})\|(?P<perplexity>{_FLOAT})$"
)


def parse_evaluation(line: str) -> Evaluation | None:
    """Read an evaluation line back; None when the line is anything else."""
    match = _EVALUATION.match(line.strip())
    if match is None:
        return None
    return Evaluation(
        set_name=match["set_name"],
        step=int(match["step"]),
        loss=float(match["loss"]),
        perplexity=float(match["perplexity"]),
    )


METRIC_REGEXES: dict[str, str] = {
    "train:loss": rf"^\d+\|({_NUMBER})\|",
    "train:tokens_per_s": rf"^\d+\|{_NUMBER}\|({_NUMBER})\|",
    "train:lr": rf"^\d+\|.* lr=({_NUMBER})",
    "train:grad_norm": rf"^\d+\|.* grad_norm=({_NUMBER})",
    **{f"eval:{name}_loss": rf"^eval\|{name}\|\d+\|({_NUMBER})\|" for name in EVALUATION_SETS},
    **{f"eval:{name}_perplexity": rf"^eval\|{name}\|\d+\|{_NUMBER}\|({_NUMBER})$" for name in EVALUATION_SETS},
}
"""One capture group each, for the metric definitions of a training job (at most 40, 500 characters each)."""
