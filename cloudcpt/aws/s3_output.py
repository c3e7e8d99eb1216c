"""An output in S3, made where it is needed: a task gets the words, and makes the client on its own machine."""

from cloudcpt.aws.object_store import S3ObjectStore
from cloudcpt.aws.s3_data import S3Data, address_of
from cloudcpt.aws.session import AwsSession
from cloudcpt.jobs.stored_output import StoredOutput


def s3_output(uri: str, region: str = "", owner: str = "", kms_key: str = "") -> StoredOutput:
    """Open a prefix to write to.

    Args:
        uri: `s3://bucket/prefix`, with or without a `/` at its end.
        region: Of AWS; the configured one when empty.
        owner: The account that the bucket must belong to; empty for that of the caller.
        kms_key: Encrypts what is written; empty for the bucket's default.

    Raises:
        DatasetError: the URI names no bucket that there could be.
        SetupError: there are no credentials.
    """
    bucket, key = address_of(uri)
    prefix = f"{key.rstrip('/')}/".lstrip("/")
    session = AwsSession(region=region)
    owner = owner or session.identity.account
    store = S3ObjectStore(session, bucket=bucket, owner=owner, kms_key_id=kms_key)
    listing = S3Data(region=region, owner=owner)
    return StoredOutput(store, prefix, is_empty=lambda: next(listing.objects(bucket, prefix), None) is None)
