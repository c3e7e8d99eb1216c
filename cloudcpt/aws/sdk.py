"""A plan as a ModelTrainer of AWS's SageMaker Python SDK, for notebooks and pipelines; see docs/sagemaker-sdk.md.

The SDK is an extra, `pip install 'cloudcpt[sagemaker]'`, and loads here only, when it is asked for: it takes more than
four seconds of CPU. cloudcpt itself never needs it.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cloudcpt.aws.errors import translated
from cloudcpt.aws.object_store import S3ObjectStore
from cloudcpt.aws.session import AwsSession
from cloudcpt.errors import PlanError, SetupError, Severity, UsageProblem, error
from cloudcpt.jobs.access import split_uri
from cloudcpt.jobs.consignment import send_inputs
from cloudcpt.jobs.journal import UploadJournal
from cloudcpt.jobs.limits import request_faults
from cloudcpt.jobs.request import training_job_request
from cloudcpt.jobs.tally import UploadProgress
from cloudcpt.plan.launch import CloudLaunch
from cloudcpt.plan.plan import Plan
from cloudcpt.plan.readiness import unready

if TYPE_CHECKING:
    from sagemaker.core.helper.session_helper import Session

    from cloudcpt.aws.plan_trainer import PlanTrainer

NO_TELEMETRY = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
"""The SDK's own defaults file, as far as we fill it in: no report of each call to AWS.

Source: sagemaker_core 2.27.0, sagemaker/core/config/config_schema.py, TELEMETRY_OPT_OUT_PATH.
"""


def upload_inputs(plan: Plan, paths: Mapping[str, Path], *, state: Path) -> UploadProgress:
    """Bring everything that a plan's job reads to S3; what is there already is not sent again.

    Args:
        plan: For the cloud.
        paths: Where the content of a BLAKE3 is on this machine: `Prepared.paths`.
        state: The state directory, `cloudcpt.local.folder.state_dir()`; it remembers uploads that were cut off.

    Raises:
        PlanError: the plan is no training job.
        CloudcptError: the files cannot be read, or not be sent; calling again goes on.
    """
    launch = _ready_launch(plan)
    session = AwsSession(region=launch.region)
    owner = launch.account_id or session.identity.account
    store = S3ObjectStore(session, bucket=split_uri(launch.input_uri)[0], owner=owner, kms_key_id=launch.input_kms_key)
    return send_inputs(store, plan, paths, journal=UploadJournal(state / "uploads"), resume="the same call")


def model_trainer(plan: Plan, *, session: "Session | None" = None) -> "PlanTrainer":
    """Turn a plan into a ModelTrainer whose `train()` starts the plan's one job.

    Nothing is sent yet. The inputs have to be in S3 when `train()` is called: `upload_inputs` brings them.

    Args:
        plan: For the cloud.
        session: Of the SDK, such as a PipelineSession; one of its own when None. It is copied, and the copy reports
            nothing to AWS; neither it nor the SDK's defaults file is changed.

    Returns:
        A trainer that sends the request of `cloudcpt submit`, and refuses to train when its settings were changed.

    Raises:
        SetupError: the SDK is not installed.
        PlanError: the plan is no training job, or the service would not take it.
        UsageProblem: the session is for another region than the plan.
    """
    launch = _ready_launch(plan)
    try:
        from cloudcpt.aws.plan_trainer import trainer_of
    except ModuleNotFoundError as exc:
        hint = "install it with `pip install 'cloudcpt[sagemaker]'`"
        message = f"the SageMaker Python SDK is not installed: no module `{exc.name}`"
        raise SetupError(error("CPT496", message, hint=hint)) from exc
    return trainer_of(plan, _silent(session or _session(launch.region), launch.region))


def _ready_launch(plan: Plan) -> CloudLaunch:
    """Refuse what `cloudcpt submit` would refuse before it asks anybody."""
    if plan.launch is None:
        hint = "set `launch.target: sagemaker` in the recipe"
        raise PlanError(error("CPT498", f"the plan is for target `{plan.target}`, not for a training job", hint=hint))
    if gaps := unready(plan):
        raise PlanError(*gaps)
    faults = [found for found in request_faults(training_job_request(plan)) if found.severity is Severity.ERROR]
    if faults:
        raise PlanError(*faults)
    return plan.launch


def _session(region: str) -> "Session":
    import boto3
    from sagemaker.core.helper.session_helper import Session

    with translated("set up the SageMaker SDK"):
        return Session(boto_session=boto3.Session(region_name=region), sagemaker_config=NO_TELEMETRY)


def _silent(session: "Session", region: str) -> "Session":
    if session.boto_region_name != region:
        message = f"the session is for {session.boto_region_name}, and the plan for {region}"
        raise UsageProblem(error("CPT498", message, hint="make the session with the region of `launch.region`"))
    silent = copy.copy(session)
    silent.sagemaker_config = NO_TELEMETRY
    return silent
