"""What a run has measured so far, wherever it runs, as the report reads it."""

import tempfile
from pathlib import Path

from cloudcpt.cli.places import Places
from cloudcpt.jobs.objects import ObjectStore
from cloudcpt.jobs.ports import START
from cloudcpt.report.collect import RunReport, collect
from cloudcpt.wire import COMPLETE_FILE, MANIFEST_FILE, METRICS_FILE, MlFolder


def collect_run(places: Places, name: str) -> RunReport:
    """Read what there is of a job: plan, numbers, samples, and what its model consists of.

    Of a job in the cloud only small files are read; its weights stay where they are. While it runs, its numbers are in
    its log.

    Raises:
        PlanError: the plan of the job cannot be read.
        CloudcptError: its service cannot be asked.
    """
    status = places.status(name)
    if places.is_local(name):
        return collect(places.local.folder(name).ml, status)
    with tempfile.TemporaryDirectory(prefix="cloudcpt-") as scratch:
        ml = MlFolder(Path(scratch))
        ml.plan.parent.mkdir(parents=True)
        ml.plan.write_text(places.plan(name).to_json(), "utf-8")
        record = places.record(name)
        bucket, _, prefix = record.output_uri.removeprefix("s3://").partition("/")
        _bring(places.cloud_of(name).store(bucket, owner=record.account_id), f"{prefix}/output", ml)
        lines = () if ml.metrics.is_file() else all_lines(places, name)
        return collect(ml, status, lines=lines, has_weights=False)


def all_lines(places: Places, name: str) -> tuple[str, ...]:
    """Read everything that a job has printed so far."""
    lines: list[str] = []
    chunk = places.read(name, START)
    while True:
        lines += chunk.lines
        if chunk.ended:
            return tuple(lines)
        chunk = places.read(name, chunk.position)


def _bring(store: ObjectStore, output: str, ml: MlFolder) -> None:
    """Write what the service has saved of a job so far where a job folder has it: numbers, manifest, marker."""
    wanted = {
        f"{output}/data/{METRICS_FILE}": ml.metrics,
        f"{output}/model/{MANIFEST_FILE}": ml.model / MANIFEST_FILE,
        f"{output}/model/{COMPLETE_FILE}": ml.model / COMPLETE_FILE,
    }
    for key, path in wanted.items():
        content = store.get(key)
        if content is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
