"""Whether an image keeps the contract: what SageMaker and a dry run ask of any training image, also a user's own.

    what it says      entry point in exec form that takes `train`, platform, labels, nothing under /opt/ml
    what it has       a torch that can be imported, and what GPUs need around it (cloudcpt.image.devices)
    what it does      given no plan it fails with a coded failure file; given a tiny job it trains, without network, on
                      a read-only root, and ends with a sealed model

Source: Amazon SageMaker developer guide, "How Amazon SageMaker runs your training image".
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

import cloudcpt
from cloudcpt.image.base_image import PLATFORM
from cloudcpt.image.bill import BILL_FILE
from cloudcpt.image.devices import device_checks
from cloudcpt.jobs.checks import Check, failed, not_checked, passed
from cloudcpt.local.containers import Engine
from cloudcpt.local.dry_run import DryRun, Limits
from cloudcpt.local.layout import lay_out
from cloudcpt.plan.plan import Plan
from cloudcpt.wire import COMPLETE_FILE, MlFolder, failure_in, model_faults

_SHELLS: Final = ("sh", "bash", "dash", "ash", "zsh")


def check_image(engine: Engine, image: str, plan: Plan, log: IO[bytes]) -> Iterator[Check]:
    """Check an image, one thing after another.

    Args:
        engine: What runs it.
        image: On this machine.
        plan: Of a tiny job with a stand-in model, for target `container`.
        log: Gets what that job prints.

    Raises:
        SetupError: there is no such image.
    """
    said = engine.inspect(image)
    config = said.get("Config") or {}
    yield _entry_point(config)
    yield _platform(said)
    yield _label(config)
    yield from _contents(engine, image)
    yield from device_checks(engine, image, config.get("Entrypoint") or [])
    yield _without_plan(engine, image)
    yield from _with_plan(engine, image, plan, log)


def _entry_point(config: dict[str, Any]) -> Check:
    name, entry = "entry point", config.get("Entrypoint") or []
    if not entry:
        return failed(name, "CPT796", "the image has no ENTRYPOINT; SageMaker runs `train`, whatever that is in it")
    if PurePosixPath(entry[0]).name in _SHELLS:
        hint = 'write it in exec form, `ENTRYPOINT ["/path/python", "-m", "cloudcpt.train"]`'
        return failed(name, "CPT796", "a shell is process 1, and a stop would not reach the job", hint=hint)
    return passed(name, " ".join(entry))


def _platform(said: dict[str, Any]) -> Check:
    platform = f"{said.get('Os')}/{said.get('Architecture')}"
    if platform != PLATFORM:
        return failed("platform", "CPT796", f"the image is for {platform}; P5 machines are {PLATFORM}")
    return passed("platform", platform)


def _label(config: dict[str, Any]) -> Check:
    labels = config.get("Labels") or {}
    version = labels.get("org.opencontainers.image.version", "")
    if not version:
        return not_checked("version", "the image has no label `org.opencontainers.image.version`")
    if version != cloudcpt.__version__:
        message = f"the image holds cloudcpt {version}, this is {cloudcpt.__version__}"
        return failed("version", "CPT797", message, hint="build the image again: `cloudcpt image build`")
    return passed("version", f"{version} {labels.get('org.opencontainers.image.revision', '')}".strip())


def _contents(engine: Engine, image: str) -> Iterator[Check]:
    """Look into the image without running its entry point."""
    listing = _ask(engine, image, "/bin/sh", "-c", "find /opt/ml ! -type d 2>/dev/null | head -n 1")
    if listing is None:
        yield not_checked("/opt/ml", "the image has no shell to look with")
    elif listing:
        yield failed("/opt/ml", "CPT796", f"the image has `{listing.split()[0]}`, which SageMaker mounts over")
    else:
        yield passed("/opt/ml", "holds no file, as it is mounted over")
    bill = _ask(engine, image, "/bin/cat", BILL_FILE)
    if bill is None:
        yield not_checked("bill of materials", f"the image has no `{BILL_FILE}`")
    else:
        yield passed("bill of materials", f"{len(json.loads(bill)['components'])} packages")


def _ask(engine: Engine, image: str, *command: str) -> str | None:
    answer = engine.ask_inside(image, *command)
    return answer.out.strip() if answer.status == 0 else None


def _without_plan(engine: Engine, image: str) -> Check:
    """A job that cannot run must say so in the file that becomes the service's FailureReason."""
    name = "a job without a plan"
    with _Scratch() as folder:
        (folder / "input" / "config").mkdir(parents=True)
        run = ("run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp:rw,exec")  # noqa: S108
        answer = engine.ask(*run, "--volume", f"{folder}:/opt/ml", image, "train", patience_s=None)
        left = failure_in(folder / "output" / "failure")
    if answer.status == 0:
        return failed(name, "CPT796", "it ended as if all were well")
    if left is None:
        return failed(name, "CPT796", "it left no `/opt/ml/output/failure` with a code in its first line")
    return passed(name, f"ends with {answer.status} and {left.code}")


def _with_plan(engine: Engine, image: str, plan: Plan, log: IO[bytes]) -> Iterator[Check]:
    with _Scratch() as folder:
        ml = MlFolder(folder / "ml")
        lay_out(ml, plan)
        job = f"cloudcpt-check-{os.getpid()}"
        run = DryRun(
            engine=engine,
            image=engine.image_id(image),
            job=job,
            world=plan.world,
            limits=Limits(),
            log=log,
        )
        status = run.run(ml)
        if run.is_stopping:  # it takes Ctrl-C for itself while containers run
            raise KeyboardInterrupt
        yield _trained(ml, status)
        if (ml.model / COMPLETE_FILE).is_file():
            yield _sealed(ml)


def _trained(ml: MlFolder, status: int) -> Check:
    name = "a tiny job"
    if status == 0 and (ml.model / COMPLETE_FILE).is_file():
        return passed(name, "trains on a read-only root, without network or capabilities, and leaves a model")
    left = failure_in(ml.failure)
    reason = f"{left.code}: {left.message}" if left else "no reason was left"
    return failed(name, "CPT796", f"it ended with {status}: {reason}")


def _sealed(ml: MlFolder) -> Check:
    if faults := model_faults(ml.model):
        return failed("its model", "CPT796", f"it is not whole: {faults[0]}")
    return passed("its model", "every file has the hash of the manifest")


class _Scratch:
    """A folder whose files may come to belong to somebody else, and which goes all the same."""

    def __enter__(self) -> Path:
        self._folder = Path(tempfile.mkdtemp(prefix="cloudcpt-image-"))
        self._folder.chmod(0o755)
        return self._folder

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def is_kept(checks: Sequence[Check]) -> bool:
    """Tell whether nothing failed."""
    return not any(check.outcome == "failed" for check in checks)
