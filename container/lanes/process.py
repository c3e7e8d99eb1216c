"""Lane 0: the contract of /opt/ml kept by processes of this machine, which any machine can run.

`make test` proves most of it, fault by fault; here the client's own command goes through once, so that a machine that
can do no more has at least started a job.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cloudcpt.wire import COMPLETE_FILE, MlFolder, failure_in, model_faults
from container.lanes.ledger import Failed
from container.lanes.steps import attempt, cloudcpt

_RECIPE: Final = {
    "run": {
        "name": "lane-process",
        "model_type": "hf",
        "model_name_or_path": "none",
        "replicas": 1,
        "data_s3_path": "text.jsonl",
    },
    "training_config": {
        "max_length": 64,
        "global_batch_size": 32,
        "trainer": {"max_steps": 2},
        "optim": {"lr": 1e-4, "sched": {"warmup_steps": 1, "min_lr": 1e-6}},
    },
}


def rehearse_in_processes() -> str:
    """Run a job without a plan, which has to fail with a code, and a tiny one, which has to leave a sealed model.

    Raises:
        Failed: one of them does not.
    """
    with TemporaryDirectory(prefix="cloudcpt-lane-") as scratch:
        code = _without_plan(Path(scratch, "ml"))
        _tiny_job(Path(scratch))
    return f"no plan ends in {code}, a tiny job in a sealed model"


def _without_plan(root: Path) -> str:
    (root / "input" / "config").mkdir(parents=True)
    ended = attempt(sys.executable, "-m", "cloudcpt.train", "train", "--root", str(root))
    left = failure_in(MlFolder(root).failure)
    if ended.status == 0 or left is None:
        raise Failed(f"a job without a plan ended with {ended.status} and left no coded failure")
    return left.code


def _tiny_job(folder: Path) -> None:
    sentences = (f"sentence {number} of a text that is there to be read {number * 7919} times" for number in range(400))
    (folder / "text.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in sentences), "utf-8")
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps(_RECIPE), "utf-8")  # JSON is YAML
    where = {"CLOUDCPT_STATE_DIR": str(folder / "state")}
    options = ("--target", "container", "--engine", "process", "--stand-in", "--follow")
    cloudcpt("submit", str(recipe), *options, settings=where)
    models = [path.parent for path in (folder / "state" / "jobs").glob(f"*/ml/model/{COMPLETE_FILE}")]
    if len(models) != 1 or (faults := model_faults(models[0])):
        raise Failed(f"the job left {faults[0] if models else 'no sealed model'}")
