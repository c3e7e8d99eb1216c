"""What a person calls a model, and where that is published: a name of the catalog, an id of a hub, or a URI of S3."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloudcpt.dataset.places import is_in_s3
from cloudcpt.errors import UsageProblem, error
from cloudcpt.jobs.published import SourceName
from cloudcpt.recipe.catalog import find_model

if TYPE_CHECKING:
    from cloudcpt.jobs.published import Publisher

_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_PAGE = re.compile(r"https?://[^/]+/(?:models/)?([\w.-]+/[\w.-]+)", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelPlace:
    """A published model.

    Args:
        source: The kind of place.
        repo: What it is called there.
    """

    source: SourceName
    repo: str

    @property
    def folder(self) -> Path:
        """Propose a folder: `models/`, and the last part of the name."""
        return Path("models") / self.repo.rstrip("/").rpartition("/")[2]


def model_place(name: str, source: SourceName | None) -> ModelPlace:
    """Find out which model is meant.

    Args:
        name: As typed.
        source: As asked for; None leaves it to the name.

    Raises:
        UsageProblem: it is no name of a model, or of none that could be there.
    """
    if is_in_s3(name) or source == "s3":
        if not is_in_s3(name) or source not in (None, "s3"):
            raise _no_name(
                f"`{name}` is not at `{source}`", "a model in S3 is named `s3://bucket/folder/`, no other is"
            )
        return ModelPlace(source="s3", repo=name)
    row = find_model(name)
    if row and row.family == "nova":
        message = f"the weights of `{name}` stay with AWS"
        raise UsageProblem(error("CPT513", message, hint="its jobs read them there; nothing has to be staged"))
    if row and not row.hugging_face:
        raise _no_name(f"`{name}` stands for any model", "give the id of the one you mean, such as `org/model`")
    if found := _PAGE.match(name):
        raise _no_name(f"`{name}` is the address of a page", f"give the id of the model: `{found[1]}`")
    if not _REPO_ID.fullmatch(name):
        hint = "an id looks like `Qwen/Qwen3-0.6B-Base`; `cloudcpt models` lists the names of the catalog"
        raise _no_name(f"`{name}` is no id of a model", hint)
    return ModelPlace(source=source or "hub", repo=row.hugging_face if row else name)


def open_publisher(place: ModelPlace, endpoint: str) -> "Publisher":
    """Open the place where a model is published; boto3 loads for S3 only.

    Raises:
        UsageProblem: the endpoint is no address of a hub.
        SetupError: a hub may not be asked.
    """
    if place.source == "s3":
        from cloudcpt.aws.s3_data import S3Data
        from cloudcpt.aws.s3_publisher import S3Publisher

        return S3Publisher(S3Data())
    from cloudcpt.hub.access import open_hub

    return open_hub(place.source, endpoint, sleep=time.sleep)


def _no_name(message: str, hint: str) -> UsageProblem:
    return UsageProblem(error("CPT742", message, hint=hint))
