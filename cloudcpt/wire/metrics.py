"""The regexes by which a service turns the lines of the log into metrics."""

from cloudcpt.wire.evaluation import EVALUATION_SETS

_NUMBER = r"[-+0-9.eEinfa]+"
_PAIRS = (
    "lr",
    "grad_norm",
    "perplexity",
    "bits_per_byte",
    "tokens_per_s_per_process",
    "flops_per_s_full",
    "mfu_full",
    "mfu_document",
    "data_wait_share",
    "memory_bytes",
    "gpu_utilisation",
    "gpu_memory_utilisation",
    "spikes",
    "skipped",
)
"""Keys of a progress line that a dashboard has use for; the others are in `metrics.jsonl`."""

METRIC_REGEXES: dict[str, str] = {
    "train:loss": rf"^\d+\|({_NUMBER})\|",
    "train:tokens_per_s": rf"^\d+\|{_NUMBER}\|({_NUMBER})\|",
    **{f"train:{key}": rf"^\d+\|.* {key}=({_NUMBER})" for key in _PAIRS},
    **{f"eval:{name}_loss": rf"^eval\|{name}\|\d+\|({_NUMBER})\|" for name in EVALUATION_SETS},
    **{f"eval:{name}_perplexity": rf"^eval\|{name}\|\d+\|{_NUMBER}\|({_NUMBER})" for name in EVALUATION_SETS},
    **{f"eval:{name}_bits_per_byte": rf"^eval\|{name}\|.* bits_per_byte=({_NUMBER})" for name in EVALUATION_SETS},
    "eval:forgetting_nats": rf"^eval\|general\|.* change_nats=({_NUMBER})",
}
"""One capture group each, for the metric definitions of a training job (at most 40, 500 characters each)."""
