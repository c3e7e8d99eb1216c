"""What AWS answers when it says no, in our words: the one table from a service's code to our exception.

Every adapter wraps its calls in `translated`; the foreign exception stays as the cause. What is not in the table and is
not plainly somebody's refusal goes up as it is: a wrong parameter is our bug and must look like one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError

from cloudcpt.aws.answer import facts_of
from cloudcpt.errors import CloudcptError, ServiceRefused, SetupError, TransientError, error
from cloudcpt.jobs.objects import BytesDamaged, CredentialsExpired, ObjectExists, UploadGone, WriteConflict


@dataclass(frozen=True, slots=True)
class Rule:
    """What an answer turns into.

    Args:
        raises: The exception.
        code: Of its diagnostic.
        message: A sentence; `{doing}`, `{code}`, `{text}`, `{action}`, `{resource}`, `{skew}` and `{attempts}` are
            filled in.
        hint: What to do, filled in likewise.
    """

    raises: type[CloudcptError]
    code: str
    message: str
    hint: str | None = None


_NONE = Rule(
    SetupError,
    "CPT400",
    "there are no AWS credentials to {doing}: {text}",
    "run `aws configure sso` or `aws configure`, or name a profile in $AWS_PROFILE",
)
_EXPIRED = Rule(
    CredentialsExpired,
    "CPT401",
    "the AWS credentials have expired, cannot {doing}: {code}: {text}",
    "sign in again, for example with `aws sso login`",
)
_REJECTED = Rule(
    SetupError,
    "CPT402",
    "AWS does not accept the credentials, cannot {doing}: {code}: {text}",
    "`aws sts get-caller-identity` shows who you are",
)
_DENIED = Rule(
    SetupError,
    "CPT403",
    "not allowed to {doing}: {action} on {resource} was denied",
    "`cloudcpt iam print` shows the permissions that are needed; AWS said: {text}",
)
_CLOCK = Rule(
    SetupError,
    "CPT404",
    "the clock of this machine is {skew} off, so AWS refuses to {doing}",
    "set the clock, or let NTP do it",
)
_NO_BUCKET = Rule(SetupError, "CPT405", "cannot {doing}: there is no such bucket", "check the name, or make the bucket")
_REGION = Rule(
    SetupError,
    "CPT406",
    "cannot {doing} in this region: {code}: {text}",
    "bucket and job must be in one region; set `launch.region`",
)
_BUSY = Rule(
    TransientError, "CPT407", "the service could not {doing}, {attempts}: {code}: {text}", "wait a little and try again"
)
_NETWORK = Rule(TransientError, "CPT408", "cannot reach AWS to {doing}: {text}", "check the network and try again")
_CERTIFICATE = Rule(
    SetupError,
    "CPT408",
    "cannot {doing}: the other side's certificate is not trusted: {text}",
    "behind a proxy that opens TLS, name its certificate in $AWS_CA_BUNDLE",
)
_REFUSED = Rule(ServiceRefused, "CPT409", "the service refused to {doing}: {code}: {text}")
_KEY = Rule(SetupError, "CPT410", "cannot {doing}: the KMS key cannot be used: {code}: {text}")
_DAMAGED = Rule(BytesDamaged, "CPT414", "bytes arrived damaged, cannot {doing}: {code}: {text}")
_GONE = Rule(UploadGone, "CPT415", "cannot {doing}: the upload was ended by somebody else")
_EXISTS = Rule(ObjectExists, "CPT415", "cannot {doing}: something is there already")
_CONFLICT = Rule(WriteConflict, "CPT415", "cannot {doing}: somebody else was writing there: {code}")
_QUOTA = Rule(
    ServiceRefused, "CPT419", "a limit of the account does not allow to {doing}: {text}", "ask AWS for a higher quota"
)

CODES: dict[str, Rule] = {
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired", "ExpiredTokenError"),
        _EXPIRED,
    ),
    **dict.fromkeys(
        (
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidToken",
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
            "UnrecognizedClientException",
            "MissingAuthenticationToken",
            "IncompleteSignature",
            "InvalidSecurity",
            "AuthFailure",
        ),
        _REJECTED,
    ),
    **dict.fromkeys(
        (
            "AccessDenied",
            "AccessDeniedException",
            "AllAccessDisabled",
            "UnauthorizedOperation",
            "NotAuthorized",
            "AuthorizationError",
            "Forbidden",
            "403",
        ),
        _DENIED,
    ),
    **dict.fromkeys(("RequestTimeTooSkewed", "RequestInTheFuture"), _CLOCK),
    "NoSuchBucket": _NO_BUCKET,
    **dict.fromkeys(
        (
            "PermanentRedirect",
            "TemporaryRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "OptInRequired",
            "301",
            "307",
        ),
        _REGION,
    ),
    **dict.fromkeys(
        (
            "SlowDown",
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "TooManyRequestsException",
            "RequestLimitExceeded",
            "RequestThrottled",
            "BandwidthLimitExceeded",
            "ProvisionedThroughputExceededException",
            "PriorRequestNotComplete",
            "RequestTimeout",
            "RequestTimeoutException",
            "429",
        ),
        _BUSY,
    ),
    **dict.fromkeys(
        (
            "KMS.DisabledException",
            "KMS.NotFoundException",
            "KMS.KMSInvalidStateException",
            "KMS.InvalidKeyUsageException",
            "KMS.KeyUnavailableException",
            "DisabledException",
            "KMSInvalidStateException",
            "InvalidArnException",
        ),
        _KEY,
    ),
    **dict.fromkeys(
        ("BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "IncompleteBody", "InvalidPart"), _DAMAGED
    ),
    "NoSuchUpload": _GONE,
    **dict.fromkeys(("PreconditionFailed", "412"), _EXISTS),
    **dict.fromkeys(("ConditionalRequestConflict", "OperationAborted"), _CONFLICT),
    **dict.fromkeys(
        ("ResourceLimitExceeded", "LimitExceededException", "ServiceQuotaExceededException", "TooManyBuckets"), _QUOTA
    ),
}
"""Source: Amazon S3 API reference, "Error responses", common errors of the AWS APIs, and botocore 1.44.5's own lists of
what it retries; 2026-11. A code that is not here counts by its HTTP status."""

LOCAL: tuple[tuple[type[BotoCoreError], Rule], ...] = (
    (boto.NoCredentialsError, _NONE),
    (boto.PartialCredentialsError, _NONE),
    (boto.ProfileNotFound, _NONE),
    (boto.SSOTokenLoadError, _NONE),
    (boto.LoginTokenLoadError, _NONE),
    (boto.NoAuthTokenError, _NONE),
    (boto.UnauthorizedSSOTokenError, _EXPIRED),
    (boto.TokenRetrievalError, _EXPIRED),
    (boto.LoginRefreshRequired, _EXPIRED),
    (boto.RefreshWithMFAUnsupportedError, _EXPIRED),
    (boto.CredentialRetrievalError, _REJECTED),
    (boto.MetadataRetrievalError, _REJECTED),
    (boto.LoginError, _REJECTED),
    (boto.SSOError, _REJECTED),
    (boto.NoRegionError, _REGION),
    (boto.InvalidRegionError, _REGION),
    (boto.FlexibleChecksumError, _DAMAGED),
    (boto.IncompleteReadError, _NETWORK),
    (boto.ConnectionError, _NETWORK),
    (boto.HTTPClientError, _NETWORK),
)
"""What fails before or below the service; the first class that fits counts."""


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise what AWS answers within as one of our errors.

    Args:
        doing: What we are about to do, to follow "cannot": `read `s3://bucket/key``.

    Raises:
        CloudcptError: by the table of this module, with botocore's exception as its cause.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as exc:
        if ours := our_error(exc, doing):
            raise ours from exc
        raise


def our_error(exc: ClientError | BotoCoreError, doing: str) -> CloudcptError | None:
    """Look an exception of botocore up; None when it is nobody's refusal."""
    rule = _rule_of_answer(exc) if isinstance(exc, ClientError) else _rule_of_local(exc)
    if rule is None:
        return None
    facts = facts_of(exc) if isinstance(exc, ClientError) else {"code": type(exc).__name__, "text": str(exc)}
    facts["doing"] = doing
    hint = rule.hint.format_map(facts) if rule.hint else None
    return rule.raises(error(rule.code, rule.message.format_map(facts), hint=hint))


def _rule_of_answer(exc: ClientError) -> Rule:
    code = str(exc.response.get("Error", {}).get("Code", ""))
    if code in CODES:
        return CODES[code]
    status = int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return _BUSY if status >= 500 else _REFUSED


def _rule_of_local(exc: BotoCoreError) -> Rule | None:
    if isinstance(exc, boto.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(exc):
        return _CERTIFICATE
    return next((rule for kind, rule in LOCAL if isinstance(exc, kind)), None)
