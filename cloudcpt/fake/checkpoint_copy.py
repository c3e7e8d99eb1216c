"""The copy of a job's checkpoint folder in S3: brought to every host at the start, kept up to date while the job runs.

All hosts share one place. Each host's agent copies what is new or changed on its host and, of what it copied itself,
removes what is gone there. It does so now and then, so a copy may be behind the folder.

Source: SageMaker developer guide, "Checkpoints in Amazon SageMaker AI"; API reference, CheckpointConfig.
"""

from pathlib import Path, PurePosixPath

from cloudcpt.fake.backstage import Backstage, keys_under, split_uri
from cloudcpt.fake.job_request import JobRequest
from cloudcpt.wire import ML_ROOT, MlFolder

_DEFAULT_PATH = str(MlFolder().checkpoints)


class CheckpointCopy:
    """What the agent of one host knows; does nothing for a job without CheckpointConfig.

    Args:
        back: The service's access to S3.
        request: Of the job.
        ml: The host's folder.
    """

    def __init__(self, back: Backstage, request: JobRequest, ml: MlFolder) -> None:
        config = request.get("CheckpointConfig")
        self._s3 = back.s3
        self._place = split_uri(config["S3Uri"].rstrip("/")) if config else None
        local = PurePosixPath((config or {}).get("LocalPath", _DEFAULT_PATH)).relative_to(ML_ROOT.as_posix())
        self._folder = ml.root / local
        self._copied: dict[str, tuple[int, int]] = {}

    def restore(self) -> None:
        """Bring everything that is there to the host."""
        if self._place is None:
            return
        bucket, prefix = self._place
        for key in keys_under(self._s3, bucket, f"{prefix}/"):
            name = key.removeprefix(f"{prefix}/")
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._s3.download_file(bucket, key, str(path))
            self._copied[name] = _stamp(path)

    def update(self) -> None:
        """Copy what has changed on the host since the last time."""
        if self._place is None:
            return
        bucket, prefix = self._place
        present = {}
        for path in sorted(path for path in self._folder.rglob("*") if path.is_file()):
            try:
                present[path.relative_to(self._folder).as_posix()] = _stamp(path)
            except FileNotFoundError:  # the trainer removed it while we looked
                continue
        for name, stamp in present.items():
            if self._copied.get(name) != stamp:
                try:
                    self._s3.upload_file(str(self._folder / name), bucket, f"{prefix}/{name}")
                except FileNotFoundError:
                    continue
                self._copied[name] = stamp
        for name in self._copied.keys() - present.keys():
            self._s3.delete_object(Bucket=bucket, Key=f"{prefix}/{name}")
            del self._copied[name]


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
