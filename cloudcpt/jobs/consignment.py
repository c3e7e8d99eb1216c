"""Everything that a job in the cloud reads, brought to where its request says it is: files first, then the papers.

    files      each distinct content once, under its hash                        `upload`
    papers     plan.json and one manifest per channel, under the plan's hash     `channels`

The papers name what the files are called, so they come last: where they are, every file is. Sending a consignment again
finds what is there and sends the rest.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from cloudcpt.dataset.checksum import as_text, crc64nvme
from cloudcpt.errors import ServiceRefused, SetupError, TransientError, error, note
from cloudcpt.jobs.channels import channel_documents
from cloudcpt.jobs.journal import UploadJournal
from cloudcpt.jobs.local_file import LocalFile
from cloudcpt.jobs.objects import BytesDamaged, ObjectExists, ObjectStore, WriteConflict
from cloudcpt.jobs.tally import UploadProgress
from cloudcpt.jobs.upload import upload
from cloudcpt.plan.keys import objects_prefix
from cloudcpt.plan.plan import Plan

ATTEMPTS = 5
"""How often a paper is written when somebody else writes the same one at the same moment."""


def inputs_to_send(plan: Plan, paths: Mapping[str, Path]) -> tuple[LocalFile, ...]:
    """List the files of a plan that this machine has to bring, each distinct content once, in plan order.

    Args:
        plan: Of a job in the cloud. What the user keeps in S3 is used where it lies and is not in the list.
        paths: Where the content of a BLAKE3 is on this machine.
    """
    assert plan.launch is not None, f"a job on `{plan.target}` reads from this machine, there is nothing to send"
    ours = objects_prefix(plan.launch.input_uri)
    named = [*(file for source in plan.sources for file in source.files), *plan.model.files]
    wanted = {file.uri: file for file in named if file.uri.startswith(ours) and file.blake3 in paths}
    return tuple(
        LocalFile(path=paths[file.blake3], size_bytes=file.size_bytes, blake3=file.blake3, key=_key(uri))
        for uri, file in wanted.items()
    )


def send_inputs(
    store: ObjectStore,
    plan: Plan,
    paths: Mapping[str, Path],
    *,
    journal: UploadJournal,
    resume: str,
    progress: Callable[[UploadProgress], None] | None = None,
) -> UploadProgress:
    """Make sure that everything the job of a plan reads is in the store, verified.

    Args:
        store: The bucket of the plan's `input_uri`.
        plan: Of a job in the cloud.
        paths: Where the content of a BLAKE3 is on this machine.
        journal: Remembers uploads in parts from one run to the next.
        resume: The command that goes on when this is cut off, for the message.
        progress: Called after every change, from the threads that send, never by two at once.

    Returns:
        What was sent and what was there.

    Raises:
        InputError: a file cannot be read, or is not the one that was validated.
        SetupError: credentials, permissions, or something else is where an input belongs.
        TransientError: the store cannot be reached.
        ServiceRefused: the store said no.
    """
    sent = upload(store, inputs_to_send(plan, paths), journal=journal, resume=resume, progress=progress)
    try:
        send_papers(store, channel_documents(plan))
    except (SetupError, TransientError, ServiceRefused) as exc:
        message = f"all {sent.size_bytes:,} bytes of data are in the store, plan and manifests are not"
        raise type(exc)(*exc.diagnostics, note("CPT418", message, hint=f"go on with `{resume}`")) from exc
    return sent


def send_papers(store: ObjectStore, papers: Mapping[str, bytes]) -> None:
    """Write what the client says about a job, by URI; what is there already stays.

    Raises:
        SetupError: credentials, permissions, or something else is where a paper belongs.
        TransientError: the store cannot be reached.
        ServiceRefused: the store said no.
    """
    for uri, content in papers.items():
        _put_once(store, uri, content)


def _put_once(store: ObjectStore, uri: str, content: bytes) -> None:
    """Write a paper unless it is there; nothing is ever written over."""
    key, checksum = _key(uri), as_text(crc64nvme(content))
    for attempt in range(ATTEMPTS):
        present = store.get(key)
        if present == content:
            return
        if present is not None:
            message = f"`{uri}` has {len(present):,} bytes that are not those of this plan"
            hint = "find out who wrote it and delete it, or set another `launch.input_s3_path`"
            raise SetupError(error("CPT760", message, hint=hint))
        try:
            store.put(key, content, crc64nvme=checksum)
        except (ObjectExists, WriteConflict, BytesDamaged):
            if attempt + 1 == ATTEMPTS:
                raise
        else:
            return


def _key(uri: str) -> str:
    """Give the part of an S3 URI behind the bucket."""
    return uri.removeprefix("s3://").partition("/")[2]
