"""Everything about an account that can be known before a job is started in it, looked at and never changed.

Who the caller is comes first: without that nothing else means anything. The rest is asked for at once.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from cloudcpt.aws.account import check_identity, check_region
from cloudcpt.aws.buckets import BucketLook
from cloudcpt.aws.capacity import check_training_plan
from cloudcpt.aws.image import check_image
from cloudcpt.aws.job_name import check_job_name
from cloudcpt.aws.keys import check_key
from cloudcpt.aws.prices import PRICING_REGION, check_price
from cloudcpt.aws.quotas import check_quotas
from cloudcpt.aws.role import check_own_permissions, check_role, check_role_permissions
from cloudcpt.aws.session import AwsSession
from cloudcpt.aws.stored_inputs import check_stored_inputs
from cloudcpt.jobs.access import Access, access_of_plan, files_in_place
from cloudcpt.jobs.budget import check_budget
from cloudcpt.jobs.checks import Check, CheckOutcome, attempted, not_checked
from cloudcpt.plan.plan import Plan

_AT_ONCE = 8

Task = tuple[str, Callable[[], Check]]
"""The name of a check, for the case that it cannot be made, and the check."""


def preflight(session: AwsSession, plan: Plan) -> tuple[Check, ...]:
    """Look at everything that a plan needs of an account.

    Args:
        session: Of the caller, in the plan's region.
        plan: For `sagemaker` or `hyperpod`.

    Returns:
        The checks, always the same ones for the same plan. None raises; what could not be looked at says why.
    """
    launch = plan.launch
    assert launch is not None, f"a plan for `{plan.target}` has no account to look at"
    identity = check_identity(session, launch.account_id)
    is_known = identity.outcome is CheckOutcome.OK
    access = access_of_plan(plan, account_id=session.identity.account if is_known else "")
    tasks = [*_tasks(session, plan, access)]
    if not is_known:
        rest = tuple(not_checked(name, "who you are is not certain") for name, _ in tasks)
        return (identity, check_region(session, launch.region), *rest)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        checks = tuple(pool.map(lambda task: attempted(*task), tasks))
    return (identity, check_region(session, launch.region), *checks, *check_budget(plan, checks))


def _tasks(session: AwsSession, plan: Plan, access: Access) -> Iterator[Task]:
    """List what to look at. Clients are made here, on one thread: boto3's session is not made for several."""
    yield from _storage(session, plan, access)
    yield "price", partial(check_price, session.client("pricing", region=PRICING_REGION), plan)
    if plan.target != "sagemaker":
        return  # HyperPod has a cluster of its own: no role, quota, image or job of ours
    iam, sagemaker = session.client("iam"), session.client("sagemaker")
    yield "role", partial(check_role, iam, access)
    yield "role's permissions", partial(check_role_permissions, iam, access)
    yield "your permissions", lambda: check_own_permissions(iam, session.identity.arn, access)
    yield (
        "image",
        partial(check_image, session.client("ecr"), access.image, account_id=access.account_id, region=access.region),
    )
    yield "quota", partial(check_quotas, session.client("service-quotas"), plan)
    if access.training_plan_arn:
        yield "training plan", partial(check_training_plan, sagemaker, plan)
    yield "job name", partial(check_job_name, sagemaker, plan)


def _storage(session: AwsSession, plan: Plan, access: Access) -> Iterator[Task]:
    s3 = session.client("s3")
    days = plan.estimate.hours_high / 24 + 1  # at least a day: somebody has to fetch the model
    for bucket in access.buckets:
        look = BucketLook(s3, bucket=bucket, owner=access.account_id, region=access.region)
        inside = tuple(uri for uri in access.uris if uri.startswith((f"s3://{bucket}/", f"s3://{bucket}")))
        yield f"bucket `{bucket}`", look.is_usable
        yield f"public access to `{bucket}`", look.is_private
        yield f"lifecycle of `{bucket}`", partial(look.keeps, inside, days=days)
    for key in filter(None, dict.fromkeys((access.input_key, access.output_key, access.volume_key))):
        yield f"key `{key}`", partial(check_key, session.client("kms"), key, region=access.region)
    if files := files_in_place(plan):
        yield "inputs in S3", partial(check_stored_inputs, s3, files, owner=access.account_id)
