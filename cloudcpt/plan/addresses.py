"""Where the inputs of a cloud job lie: what is in S3 stays there, what is here goes under the hash of its content.

The address of a file follows from its content and the recipe alone, so the plan of a job is the same from every
machine, and says nothing about any of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from cloudcpt.dataset.check import DatasetReport
from cloudcpt.dataset.places import is_in_s3
from cloudcpt.plan.keys import object_key
from cloudcpt.plan.plan import DataFile, Plan
from cloudcpt.recipe.load import LoadedRecipe

_S3 = "s3://"

_NOT_BUCKETS_BEGIN = ("xn--", "sthree-", "amzn-s3-demo-")
_NOT_BUCKETS_END = ("-s3alias", "--ol-s3", ".mrap", "--table-s3")
"""Source: Amazon S3 user guide, general purpose bucket naming rules."""


def addressed(files: Iterable[DataFile], input_uri: str) -> tuple[DataFile, ...]:
    """Give local files the addresses under which the job finds them; what is in S3 already keeps its own.

    Args:
        files: As they were read.
        input_uri: `s3://bucket/prefix` to upload to; empty where the recipe does not say, and then so is the address.
    """
    bucket, _, prefix = input_uri.removeprefix(_S3).partition("/")
    return tuple(
        file
        if is_in_s3(file.uri)
        else replace(
            file,
            uri=f"{_S3}{bucket}/{object_key(prefix, blake3=file.blake3, name=file.name)}" if input_uri else "",
        )
        for file in files
    )


def local_paths(loaded: LoadedRecipe, reports: Mapping[str, DatasetReport], plan: Plan) -> dict[str, Path]:
    """Find what has to be uploaded for a plan on this machine, by BLAKE3; nothing for a plan that stays here.

    Args:
        loaded: The recipe of the plan.
        reports: Of its datasets, by channel.
        plan: Made of both.
    """
    if plan.launch is None:
        return {}
    data = (file for report in reports.values() for file in report.files)
    found = {file.blake3: Path(file.path) for file in data if not is_in_s3(file.path)}
    base = loaded.recipe.run.model_name_or_path
    model = () if is_in_s3(base) else plan.model.files
    return found | {file.blake3: loaded.folder / base / file.name for file in model}


def bucket_fault(uri: str) -> str | None:
    """Say why no bucket can have the name that an S3 URI gives; None when one can.

    Args:
        uri: With a bucket of 3 to 63 lower-case letters, digits, dots and hyphens, as every recipe has it.
    """
    bucket = uri.removeprefix(_S3).partition("/")[0]
    parts = bucket.split(".")
    if "" in parts:
        return "two dots follow each other"
    if len(parts) == 4 and all(part.isdigit() for part in parts):
        return "it looks like an IP address"
    if begin := next((word for word in _NOT_BUCKETS_BEGIN if bucket.startswith(word)), None):
        return f"names that begin with `{begin}` are reserved"
    if end := next((word for word in _NOT_BUCKETS_END if bucket.endswith(word)), None):
        return f"names that end with `{end}` are reserved"
    return None
