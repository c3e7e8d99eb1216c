"""One input channel: the objects that the service brings to `/opt/ml/input/data/<channel>/`.

A manifest lists them, so that a job gets the files that were validated and nothing that lies beside them:

    [{"prefix": "s3://bucket/.../"}, "rest of a key", "rest of another", ...]

A file lands under the rest of its key, which is where the trainer looks for it (`DataFile.placed`). Everything that
the client writes about a plan, manifests included, lies in `<input_uri>/plans/<plan hash>/`.

Source: botocore, sagemaker 2017-07-24, S3DataSource.S3Uri (the form of a manifest).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from cloudcpt.jobs.order import Order
from cloudcpt.plan.plan import DataFile, Plan


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """One input channel, as a request names it.

    Args:
        name: Also the folder in the container.
        kind: What the URI names: the list of the objects, or how all their keys begin.
        uri: Of the list, or the beginning.
        papers: URI and content of what the client has to write for this channel.
    """

    name: str
    kind: Literal["ManifestFile", "S3Prefix"]
    uri: str
    papers: tuple[tuple[str, bytes], ...] = ()


def papers_uri(plan: Order) -> str:
    """Name the place of what the client writes about a plan, or about work on data, with its `/`."""
    assert plan.launch is not None, f"a plan for `{plan.target}` has no place in S3"
    return f"{plan.launch.input_uri}/plans/{plan.hash}/"


def manifest_channel(plan: Plan, name: str, files: Iterable[DataFile]) -> Channel:
    """List the files of a dataset or of the base model; all of them lie below one prefix."""
    listed = tuple(files)
    prefixes = {file.uri.removesuffix(file.placed) for file in listed}
    assert len(prefixes) == 1, f"the files of channel `{name}` lie below {sorted(prefixes)}, a manifest has one prefix"
    # The same content under the same name is one object, however often the dataset has it.
    return list_objects(plan, name, prefixes.pop(), list(dict.fromkeys(file.placed for file in listed)))


def list_objects(plan: Order, name: str, prefix: str, rests: Sequence[str]) -> Channel:
    """Make a channel of objects.

    Args:
        plan: Beside which the manifest lies.
        name: Of the channel.
        prefix: With which all keys begin: `s3://bucket/.../`.
        rests: How the keys go on, and where the objects land under the channel.
    """
    is_folder = prefix.startswith("s3://") and prefix.endswith("/")
    assert is_folder, f"the files of channel `{name}` lie below `{prefix}`, which is no folder in S3"
    uri = f"{papers_uri(plan)}{name}.manifest"
    content = json.dumps([{"prefix": prefix}, *rests], ensure_ascii=False, indent=0)
    return Channel(name=name, kind="ManifestFile", uri=uri, papers=((uri, content.encode()),))
