"""Folders, file names and channels, as SageMaker lays out a training job under /opt/ml."""

from dataclasses import dataclass
from pathlib import Path

SCHEMA_VERSION = 1
"""Version of every JSON document this project writes; a reader refuses another one."""

ML_ROOT = Path("/opt/ml")
"""Where SageMaker mounts a training job's folders."""

PLAN_FILE = "plan.json"
MANIFEST_FILE = "manifest.json"
COMPLETE_FILE = "COMPLETE"
METRICS_FILE = "metrics.jsonl"
PROVENANCE_DIR = "provenance"

PLAN_CHANNEL = "plan"
MODEL_CHANNEL = "model"
TRAIN_CHANNEL = "train"
VALIDATION_CHANNEL = "validation"
GENERAL_VALIDATION_CHANNEL = "general-validation"


def replay_channel(source_name: str) -> str:
    """Name the channel that carries one replay (general) source."""
    return f"replay-{source_name}"


@dataclass(frozen=True, slots=True)
class MlFolder:
    """The folder layout of a SageMaker training job, under any root.

    Source: Amazon SageMaker developer guide, "How Amazon SageMaker provides training information".
    """

    root: Path = ML_ROOT

    @property
    def config(self) -> Path:
        """Hold `hyperparameters.json`, `inputdataconfig.json` and `resourceconfig.json`."""
        return self.root / "input" / "config"

    def channel(self, name: str) -> Path:
        """Hold the files of one input channel, read-only."""
        return self.root / "input" / "data" / name

    @property
    def plan(self) -> Path:
        """Hold the plan that this job executes."""
        return self.channel(PLAN_CHANNEL) / PLAN_FILE

    @property
    def model(self) -> Path:
        """Receive the final model; uploaded by the platform whatever the exit status."""
        return self.root / "model"

    @property
    def checkpoints(self) -> Path:
        """Sync with S3 while the job runs; names must be unique per rank."""
        return self.root / "checkpoints"

    @property
    def output(self) -> Path:
        """Receive everything that is not the model."""
        return self.root / "output"

    @property
    def failure(self) -> Path:
        """Receive the reason of a failure; the service returns its first 1,024 characters."""
        return self.output / "failure"

    @property
    def metrics(self) -> Path:
        """Receive one JSON object per logged step, evaluation and sample."""
        return self.output / "data" / METRICS_FILE

    @property
    def tensorboard(self) -> Path:
        """Receive TensorBoard event files."""
        return self.output / "tensorboard"

    @property
    def scratch(self) -> Path:
        """Hold what only this run needs, such as tokenised rows; never uploaded."""
        return self.root / "tmp"

    @property
    def row_cache(self) -> Path:
        """Lead to the rows that this machine keeps between jobs; not there on a machine that only lives for one job."""
        return self.scratch / "row-cache"
