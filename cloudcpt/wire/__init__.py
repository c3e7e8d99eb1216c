"""Everything that crosses the line between client and container: folders, file names, lines and markers.

The client writes `plan.json` and the channels; the container writes progress lines, `metrics.jsonl`, a failure
file, and a model folder that counts as a model only once `COMPLETE` is in it. Both halves read the names and the
formats here and nowhere else. Importing this package loads nothing beyond the standard library.
"""

from cloudcpt.wire.course import Course, Finding
from cloudcpt.wire.durable import commit_text, flush
from cloudcpt.wire.evaluation import EVALUATION_SETS, Evaluation, evaluation_line, parse_evaluation
from cloudcpt.wire.failure import FAILURE_LIMIT, Failure, failure_in, parse_failure
from cloudcpt.wire.kept import (
    CHECKPOINT_EVENT,
    CHECKPOINTS_DIR,
    RECOVERY_DIR,
    STATE_FILE,
    checkpoint_folder,
    checkpoint_steps,
    finished_steps,
    recovery_folder,
    recovery_steps,
    step_name,
    step_of,
)
from cloudcpt.wire.layout import (
    COMPLETE_FILE,
    GENERAL_VALIDATION_CHANNEL,
    MANIFEST_FILE,
    METRICS_FILE,
    ML_ROOT,
    MODEL_CHANNEL,
    PLAN_CHANNEL,
    PLAN_FILE,
    PROVENANCE_DIR,
    SCHEMA_VERSION,
    TRAIN_CHANNEL,
    VALIDATION_CHANNEL,
    MlFolder,
    replay_channel,
)
from cloudcpt.wire.manifest import (
    MANIFEST_SCHEMA,
    Manifest,
    ManifestFile,
    complete_model,
    model_faults,
    seal_faults,
    sha256_of,
)
from cloudcpt.wire.metrics import METRIC_REGEXES
from cloudcpt.wire.progress import Progress, parse_progress, perplexity_of

__all__ = [
    "CHECKPOINTS_DIR",
    "CHECKPOINT_EVENT",
    "COMPLETE_FILE",
    "EVALUATION_SETS",
    "FAILURE_LIMIT",
    "GENERAL_VALIDATION_CHANNEL",
    "MANIFEST_FILE",
    "MANIFEST_SCHEMA",
    "METRICS_FILE",
    "METRIC_REGEXES",
    "ML_ROOT",
    "MODEL_CHANNEL",
    "PLAN_CHANNEL",
    "PLAN_FILE",
    "PROVENANCE_DIR",
    "RECOVERY_DIR",
    "SCHEMA_VERSION",
    "STATE_FILE",
    "TRAIN_CHANNEL",
    "VALIDATION_CHANNEL",
    "Course",
    "Evaluation",
    "Failure",
    "Finding",
    "Manifest",
    "ManifestFile",
    "MlFolder",
    "Progress",
    "checkpoint_folder",
    "checkpoint_steps",
    "commit_text",
    "complete_model",
    "evaluation_line",
    "failure_in",
    "finished_steps",
    "flush",
    "model_faults",
    "parse_evaluation",
    "parse_failure",
    "parse_progress",
    "perplexity_of",
    "recovery_folder",
    "recovery_steps",
    "replay_channel",
    "seal_faults",
    "sha256_of",
    "step_name",
    "step_of",
]
