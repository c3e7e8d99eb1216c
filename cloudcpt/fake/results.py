"""What a job leaves in S3: the model, the other output, TensorBoard's files, where and how the request wants them.

    {S3OutputPath}/{job}/output/model/...      with CompressionType NONE; /opt/ml/output/data goes to output/data/...
    {S3OutputPath}/{job}/output/model.tar.gz   with GZIP; /opt/ml/output goes to output/output.tar.gz
    {S3OutputPath}/{job}/tensorboard-output/   of TensorBoardOutputConfig

Source: SageMaker developer guide, "How Amazon SageMaker processes training output" and "Uncompressed model output";
sagemaker SDK 2.257, `latest_job_tensorboard_artifacts_path`.
"""

import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from cloudcpt.fake.backstage import Backstage, split_uri
from cloudcpt.fake.job_request import JobRequest
from cloudcpt.wire import ML_ROOT, MlFolder

_DEFAULT_TENSORBOARD = str(MlFolder().tensorboard)


def model_uri(request: JobRequest) -> str:
    """Name the place of the model, as `ModelArtifacts.S3ModelArtifacts` does."""
    is_loose = request["OutputDataConfig"].get("CompressionType", "GZIP") == "NONE"
    return f"{_output_uri(request)}/{'model/' if is_loose else 'model.tar.gz'}"


def upload_results(back: Backstage, request: JobRequest, ml: MlFolder, *, with_model: bool) -> None:
    """Upload what one host leaves.

    Args:
        back: The service's access to S3.
        request: Of the job.
        ml: The host's folder.
        with_model: Upload the model too, which a failed job's is not.
    """
    config = request["OutputDataConfig"]
    key = config.get("KmsKeyId")
    extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
    uri = _output_uri(request)
    if config.get("CompressionType", "GZIP") == "NONE":
        _upload_folder(back.s3, ml.output / "data", f"{uri}/data", extra)
        if with_model:
            _upload_folder(back.s3, ml.model, f"{uri}/model", extra)
    else:
        _upload_tar(back.s3, ml.output, ("data", "failure"), f"{uri}/output.tar.gz", extra)
        if with_model:
            _upload_tar(back.s3, ml.model, ("",), f"{uri}/model.tar.gz", extra)
    _upload_tensorboard(back, request, ml, extra)


def _output_uri(request: JobRequest) -> str:
    return f"{request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{request['TrainingJobName']}/output"


def _upload_tensorboard(back: Backstage, request: JobRequest, ml: MlFolder, extra: dict[str, str]) -> None:
    config = request.get("TensorBoardOutputConfig")
    if config is None:
        return
    local = PurePosixPath(config.get("LocalPath", _DEFAULT_TENSORBOARD)).relative_to(ML_ROOT.as_posix())
    uri = f"{config['S3OutputPath'].rstrip('/')}/{request['TrainingJobName']}/tensorboard-output"
    _upload_folder(back.s3, ml.root / local, uri, extra)


def _upload_folder(s3: Any, folder: Path, uri: str, extra: dict[str, str]) -> None:
    bucket, prefix = split_uri(uri)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        s3.upload_file(str(path), bucket, f"{prefix}/{path.relative_to(folder).as_posix()}", ExtraArgs=extra)


def _upload_tar(s3: Any, folder: Path, names: tuple[str, ...], uri: str, extra: dict[str, str]) -> None:
    present = [folder / name for name in names if (folder / name).exists()]
    bucket, key = split_uri(uri)
    with tempfile.TemporaryDirectory() as scratch:
        packed = Path(scratch) / "packed.tar.gz"
        with tarfile.open(packed, "w:gz") as tar:
            for path in present:
                tar.add(path, arcname=path.relative_to(folder).as_posix())
        s3.upload_file(str(packed), bucket, key, ExtraArgs=extra)
