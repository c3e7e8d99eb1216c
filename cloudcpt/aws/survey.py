"""What can be said about an account without a recipe, for `cloudcpt doctor`."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cloudcpt.aws.account import check_clock, check_identity
from cloudcpt.aws.errors import translated
from cloudcpt.aws.quotas import SPOT, TRAINING, WARM_POOL, quotas
from cloudcpt.aws.role import check_everywhere
from cloudcpt.aws.session import AwsSession
from cloudcpt.errors import CloudcptError
from cloudcpt.jobs.access import unnamed_access
from cloudcpt.jobs.checks import BLOCKING, Check, CheckOutcome, attempted, failed, not_checked, passed
from cloudcpt.jobs.policies import actions_of, client_policy
from cloudcpt.plan.instances import instances

ATTEMPTS = 3
"""Whoever asks what is wrong should not wait a minute for each answer that does not come."""

USAGES = (TRAINING, SPOT, WARM_POOL)


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What was found.

    Args:
        checks: In the order in which to read them.
        quotas: Instances that may be used, by type and usage; empty when they could not be read.
    """

    checks: tuple[Check, ...]
    quotas: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def survey(region: str) -> Survey:
    """Look at credentials, account, clock, permissions and quotas.

    Args:
        region: Where; the configured one when empty.
    """
    try:
        session = AwsSession(region=region, attempts=ATTEMPTS)
    except CloudcptError as exc:
        first = exc.diagnostics[0]
        return Survey(checks=(failed("region", first.code, first.message, hint=first.hint),))
    known = (passed("region", session.region), _certain("credentials", lambda: _credentials(session)))
    if any(check.blocks for check in known):
        return Survey(checks=known)
    identity = check_identity(session, "")
    if identity.outcome is not CheckOutcome.OK:
        return Survey(checks=(*known, identity))
    iam, service_quotas = session.client("iam"), session.client("service-quotas")
    found: dict[str, Mapping[str, float]] = {}
    wanted = sorted(actions_of(client_policy(unnamed_access())))
    tasks: tuple[tuple[str, Callable[[], Check]], ...] = (
        ("clock", lambda: check_clock(session)),
        ("your permissions", lambda: check_everywhere(iam, session.identity.arn, wanted)),
        ("quotas", lambda: _quotas(service_quotas, found)),
    )
    with ThreadPoolExecutor(len(tasks)) as pool:
        checks = tuple(pool.map(lambda task: attempted(*task), tasks))
    return Survey(checks=(*known, identity, *checks), quotas=found)


def _certain(name: str, check: Callable[[], Check]) -> Check:
    """Make a check whose errors are findings, where they are certain."""
    try:
        return check()
    except CloudcptError as exc:
        first = exc.diagnostics[0]
        if first.code in BLOCKING:
            return failed(name, first.code, first.message, hint=first.hint)
        return not_checked(name, first.message, hint=first.hint)


def _credentials(session: AwsSession) -> Check:
    found = session.credentials
    words = f"from {found.source}"
    if found.expires_at is None:
        return passed("credentials", words)
    hours = (found.expires_at - datetime.now(UTC)).total_seconds() / 3600
    return passed("credentials", f"{words}, until {found.expires_at:%Y-%m-%d %H:%M} UTC, {hours:.1f} hours from now")


def _quotas(client: Any, found: dict[str, Mapping[str, float]]) -> Check:
    """Read the quotas of every type that a recipe can name."""
    names = {(one, usage): f"{one} for {usage}" for one in instances() for usage in USAGES}
    with translated("read the quotas of SageMaker"):
        values = quotas(client, names.values())
    for one in instances():
        found[one] = {usage: values[names[one, usage]] for usage in USAGES if names[one, usage] in values}
    usable = [f"{one} {row[TRAINING]:.0f}" for one, row in found.items() if row.get(TRAINING) and instances()[one].gpus]
    if not usable:
        hint = "ask for more in the Service Quotas console, service `Amazon SageMaker`; it takes hours to days"
        message = "the quota of every type with GPUs is 0 for training jobs"
        return failed("quotas", "CPT715", message, hint=hint)
    return passed("quotas", f"for training jobs: {', '.join(usable)}")
