"""Who the caller is, where, and whether AWS and this machine agree on the time."""

import time
from email.utils import parsedate_to_datetime

from cloudcpt.aws.errors import translated
from cloudcpt.aws.session import AwsSession
from cloudcpt.errors import CloudcptError
from cloudcpt.jobs.checks import BLOCKING, Check, failed, not_checked, passed

ROUGH_CLOCK_S = 120.0
"""A clock that is this far off is wrong; AWS refuses at 5 or 15 minutes, depending on the service."""


def check_identity(session: AwsSession, account_id: str) -> Check:
    """Ask AWS whose credentials these are.

    Args:
        session: Whose.
        account_id: The account that it must be; empty for any.
    """
    name = "identity"
    try:
        identity = session.identity
    except CloudcptError as exc:
        first = exc.diagnostics[0]
        if first.code not in BLOCKING:
            return not_checked(name, first.message, hint=first.hint)
        return failed(name, first.code, first.message, hint=first.hint)
    if account_id and identity.account != account_id:
        message = f"`{identity.arn}` is of account {identity.account}, the recipe says {account_id}"
        hint = "choose another profile with $AWS_PROFILE, or correct `launch.account_id`"
        return failed(name, "CPT701", message, hint=hint)
    return passed(name, f"{identity.arn}, account {identity.account}")


def check_region(session: AwsSession, region: str) -> Check:
    """Compare the region of the session with that of a plan."""
    if session.region != region:
        message = f"the session works in `{session.region}`, the plan is for `{region}`"
        return failed("region", "CPT406", message, hint="plan again, or open the session for the plan's region")
    return passed("region", region)


def check_clock(session: AwsSession) -> Check:
    """Compare this machine's clock with that of AWS, to the second: every answer has a date."""
    with translated("read the clock of AWS"):
        answer = session.client("sts").get_caller_identity()
    # Taken after the answer: it is at most as old as the way back.
    served_at = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
    return judge_clock(time.time() - served_at)


def judge_clock(ahead_s: float) -> Check:
    """Say whether a clock is good enough to sign requests with.

    Args:
        ahead_s: Seconds by which this machine is ahead of AWS.
    """
    side = "ahead of" if ahead_s > 0 else "behind"
    words = f"{abs(ahead_s):.0f} s {side} AWS" if abs(ahead_s) >= 2 else "agrees with AWS"
    if abs(ahead_s) < ROUGH_CLOCK_S:
        return passed("clock", words)
    hint = "set the clock, or let NTP do it (`timedatectl set-ntp true`): AWS soon refuses every request"
    return failed("clock", "CPT714", f"the clock of this machine is {words}", hint=hint)
