"""Whether the name of a plan's job is free, or taken by the very job."""

from typing import Any

from cloudcpt.aws.adoption import hash_of
from cloudcpt.aws.training_jobs import TrainingJobs
from cloudcpt.jobs.checks import Check, failed, passed
from cloudcpt.plan.plan import Plan


def check_job_name(client: Any, plan: Plan) -> Check:
    """Ask for a job of the plan's name.

    Args:
        client: Of SageMaker.
        plan: Whose job.
    """
    assert plan.launch is not None, f"a plan for `{plan.target}` has no name in the cloud"
    name = "job name"
    found = TrainingJobs(client, plan.launch.region).describe(plan.job_name)
    if found is None:
        return passed(name, f"`{plan.job_name}` is free")
    if hash_of(found) == plan.hash:
        return passed(name, f"`{plan.job_name}` is there already, {found['TrainingJobStatus']}, and is this very job")
    message = f"the name `{plan.job_name}` is taken by a job that is not of this plan"
    return failed(name, "CPT457", message, hint="give this one another `run.name`")
