"""Whether a KMS key can encrypt what a job reads and writes.

Only its description is read. To ask for a data key as a trial, even with `DryRun`, would prove nothing: a good policy
allows that through S3 only (`kms:ViaService`), and a direct call is refused although every upload works.
"""

import re
from typing import Any

from botocore.exceptions import ClientError

from cloudcpt.aws.errors import translated
from cloudcpt.jobs.checks import Check, failed, passed

_ARN = re.compile(r"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):\d{12}:.+")


def check_key(client: Any, key: str, *, region: str) -> Check:
    """Describe a key.

    Args:
        client: Of KMS.
        key: Id, ARN or alias.
        region: Of the job.
    """
    name = f"key `{key}`"
    match = _ARN.fullmatch(key)
    if match and match["region"] != region:
        message = f"the key `{key}` is in `{match['region']}`, the job in `{region}`"
        return failed(name, "CPT406", message, hint="name a key of the job's region")
    with translated(f"describe the key `{key}`"):
        try:
            found = client.describe_key(KeyId=key)["KeyMetadata"]
        except ClientError as exc:
            if exc.response["Error"]["Code"] != "NotFoundException":
                raise
            return failed(name, "CPT410", f"there is no key `{key}` in `{region}`")
    if found["KeyState"] != "Enabled":
        return failed(name, "CPT410", f"the key `{key}` is {found['KeyState']}", hint="enable it, or name another")
    if found.get("KeySpec", "SYMMETRIC_DEFAULT") != "SYMMETRIC_DEFAULT":
        message = f"the key `{key}` is of kind {found['KeySpec']}, S3 encrypts with symmetric keys only"
        return failed(name, "CPT410", message)
    return passed(name, "enabled")
