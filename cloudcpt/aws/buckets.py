"""Whether a bucket can hold a job's inputs or take its outputs: there, ours, in the region, private, and keeping them.

Everything here is read; nothing is written, not even to try.
"""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from cloudcpt.aws.errors import translated
from cloudcpt.jobs.access import split_uri
from cloudcpt.jobs.checks import Check, failed, not_checked, passed

_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


class BucketLook:
    """What can be seen of one bucket.

    Args:
        client: Of S3.
        bucket: Its name.
        owner: The account that it must belong to, twelve digits.
        region: Where the job is.
    """

    def __init__(self, client: Any, *, bucket: str, owner: str, region: str) -> None:
        self._client = client
        self._bound = {"Bucket": bucket, "ExpectedBucketOwner": owner}
        self._bucket = bucket
        self._owner = owner
        self._region = region

    def is_usable(self) -> Check:
        """Look whether it is there, ours, and in the region of the job."""
        name = f"bucket `{self._bucket}`"
        with translated(f"look at `s3://{self._bucket}`"):
            try:
                # botocore follows a redirect to another region, so the answer says where the bucket really is
                found = self._client.head_bucket(**self._bound)
            except ClientError as exc:
                if (known := self._known_refusal(name, exc)) is None:
                    raise
                return known
        where = found.get("BucketRegion") or "us-east-1"  # the oldest region is the one that S3 may leave out
        if where != self._region:
            message = f"bucket `{self._bucket}` is in `{where}`, the job in `{self._region}`"
            hint = f"run the job in `{where}` (`launch.region`), or name a bucket in `{self._region}`"
            return failed(name, "CPT406", message, hint=hint)
        return passed(name, f"in {where}, owned by {self._owner}")

    def _known_refusal(self, name: str, exc: ClientError) -> Check | None:
        """Word the answers of a HEAD that mean something; they have no body, so only the status tells."""
        status = exc.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == 404:
            hint = "check the name, or make the bucket in the region of the job"
            return failed(name, "CPT405", f"there is no bucket `{self._bucket}`", hint=hint)
        if status != 403:
            return None
        if self._is_open_without_owner():
            message = f"bucket `{self._bucket}` does not belong to account {self._owner}"
            hint = "check the name: a bucket of this name in another account lets you in"
            return failed(name, "CPT702", message, hint=hint)
        why = f"`s3:ListBucket` was denied, or the bucket does not belong to account {self._owner}"
        return not_checked(name, why, hint="`cloudcpt iam print` shows the permissions that are needed")

    def _is_open_without_owner(self) -> bool:
        """Ask once more, for anybody's bucket: only the owner can be why the first answer was no."""
        try:
            self._client.head_bucket(Bucket=self._bucket)
        except ClientError:
            return False
        return True

    def is_private(self) -> Check:
        """Look whether others may read it, now or after one careless change."""
        name = f"public access to `{self._bucket}`"
        with translated(f"see who may read `s3://{self._bucket}`"):
            if self._has_public_policy():
                hint = "take `Principal: *` out of the bucket's policy: corpora and models are in there"
                return failed(name, "CPT703", f"the policy of bucket `{self._bucket}` makes it public", hint=hint)
            off = [one for one in _BLOCKS if not self._public_access_block().get(one)]
        if off:
            message = f"nothing keeps bucket `{self._bucket}` from being made public: {', '.join(off)} off"
            hint = "turn on Block Public Access for the bucket, unless the account already has it on"
            return failed(name, "CPT703", message, hint=hint)
        return passed(name, "blocked")

    def _has_public_policy(self) -> bool:
        try:
            status = self._client.get_bucket_policy_status(**self._bound).get("PolicyStatus", {})
        except ClientError as exc:
            if exc.response["Error"]["Code"] != "NoSuchBucketPolicy":
                raise
            return False
        return bool(status.get("IsPublic"))

    def _public_access_block(self) -> Mapping[str, bool]:
        try:
            answer = self._client.get_public_access_block(**self._bound)
        except ClientError as exc:
            if exc.response["Error"]["Code"] != "NoSuchPublicAccessBlockConfiguration":
                raise
            return {}
        return dict(answer["PublicAccessBlockConfiguration"])

    def keeps(self, uris: tuple[str, ...], *, days: float) -> Check:
        """Look whether a lifecycle rule deletes what the job reads or writes while it still may run.

        Args:
            uris: `s3://bucket/prefix` in this bucket.
            days: How long the job may take.
        """
        name = f"lifecycle of `{self._bucket}`"
        with translated(f"read the lifecycle rules of `s3://{self._bucket}`"):
            rules = [rule for rule in self._rules() if any(_covers(rule, split_uri(uri)[1]) for uri in uris)]
        expiring = {_id_of(rule): rule["Expiration"]["Days"] for rule in rules if "Days" in rule.get("Expiration", {})}
        early = [f"`{rule}` after {age} days" for rule, age in expiring.items() if age <= days]
        if early:
            message = f"rules of bucket `{self._bucket}` delete what the job needs before it has ended: "
            hint = "give the job a prefix of its own that no rule covers"
            return failed(name, "CPT704", message + ", ".join(early), hint=hint)
        words = [f"`{rule}` deletes objects after {age} days" for rule, age in expiring.items()]
        for rule in rules:
            if after := rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"):
                words.append(f"`{_id_of(rule)}` drops unfinished uploads after {after} days")
        return passed(name, "; ".join(words) or "no rule deletes anything here")

    def _rules(self) -> list[Mapping[str, Any]]:
        try:
            answer = self._client.get_bucket_lifecycle_configuration(**self._bound)
        except ClientError as exc:
            if exc.response["Error"]["Code"] != "NoSuchLifecycleConfiguration":
                raise
            return []
        return [rule for rule in answer.get("Rules", ()) if rule.get("Status") == "Enabled"]


def _covers(rule: Mapping[str, Any], prefix: str) -> bool:
    """Tell whether a rule may apply to something below a prefix; one that asks for tags or sizes only may not."""
    within = rule.get("Filter", {})
    wanted = within.get("And", within).get("Prefix", rule.get("Prefix", ""))
    is_tagged = "Tag" in within or within.get("And", {}).get("Tags")
    return not is_tagged and (prefix.startswith(wanted) or wanted.startswith(prefix))


def _id_of(rule: Mapping[str, Any]) -> str:
    return str(rule.get("ID") or "a rule without a name")
