"""Where a job in the cloud stands: record, description and log numbers as one `JobStatus`."""

from cloudcpt.aws.adoption import hash_of
from cloudcpt.aws.console import console_link
from cloudcpt.aws.numbers import Numbers
from cloudcpt.aws.reasons import end_of, failure_of
from cloudcpt.aws.records import CloudRecord
from cloudcpt.aws.timeline import billed_s, is_final, phases_of
from cloudcpt.aws.training_jobs import Description
from cloudcpt.errors import Blame
from cloudcpt.jobs.ports import JobState, JobStatus, Phase
from cloudcpt.jobs.resume import with_way_on
from cloudcpt.plan.instances import instances
from cloudcpt.wire import Failure

NEVER_CREATED = Failure(
    code="CPT448",
    blame=Blame.PLATFORM,
    message="the job was prepared, but the client ended before the service had taken it",
    hint="submit again: there will be one job",
)


def standing(
    record: CloudRecord,
    described: Description,
    numbers: Numbers,
    *,
    now: float,
    kept: tuple[int, ...] = (),
    states: tuple[int, ...] = (),
) -> JobStatus:
    """Say where a job stands.

    Args:
        record: What it is.
        described: What the service says.
        numbers: What its log says.
        now: Seconds since 1970.
        kept: Steps of which there is a checkpoint.
        states: Steps after which there is a recovery state.
    """
    has_ended = is_final(described)
    phases = phases_of(described, end_of(described) if has_ended else None)
    failure = failure_of(described, phases) if has_ended else None
    recovery_step = max(states, default=None)
    return JobStatus(
        name=record.name,
        target=record.target,
        plan_hash=hash_of(described),
        phases=phases,
        failure=failure and with_way_on(failure, recovery_step),
        progress=numbers.progress,
        evaluations=numbers.evaluations,
        files=record.output_uri,
        model=_model(record, described) if phases[-1].state is JobState.COMPLETED else None,
        is_rehearsal=record.is_rehearsal,
        checkpoints=kept,
        recovery_step=recovery_step,
        cost_usd=_cost_usd(record, described, billed_s(described, phases, now)),
        link=console_link(record.region, record.name),
    )


def never_created(record: CloudRecord) -> JobStatus:
    """Say where a job stands that has a record and that the service does not know."""
    phases = tuple(Phase(state=state, at=record.created_at) for state in (JobState.PENDING, JobState.FAILED))
    return JobStatus(
        name=record.name,
        target=record.target,
        plan_hash=record.plan_hash,
        phases=phases,
        failure=NEVER_CREATED,
        progress=None,
        evaluations=(),
        files=record.output_uri,
        model=None,
        is_rehearsal=record.is_rehearsal,
    )


def _model(record: CloudRecord, described: Description) -> str | None:
    """Say where the model is: our own container leaves loose files, that of a Nova job what AWS makes of them."""
    if not record.makes_model:
        return None
    if described["OutputDataConfig"].get("CompressionType") == "NONE":
        return record.model_uri
    return str(described.get("ModelArtifacts", {}).get("S3ModelArtifacts", record.model_uri))


def _cost_usd(record: CloudRecord, described: Description, seconds: float) -> float | None:
    """Price the billed time; None when the price of the machines that the service chose is not known."""
    resources = described.get("ResourceConfig", {})
    chosen = resources.get("SelectedInstanceType") or resources.get("InstanceType") or record.instance_type
    count = resources.get("SelectedInstanceCount") or resources.get("InstanceCount") or record.instances
    price = record.usd_per_instance_hour
    if chosen != record.instance_type:
        price = instances()[chosen].price_usd_per_hour if chosen in instances() else 0.0
    return seconds * count * price / 3600 if price else None
