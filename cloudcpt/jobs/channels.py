"""Which input channels a job in the cloud has, and what the client writes to S3 for them.

    plan               plan.json alone
    train, replay-*,   one per dataset: its files, uploaded under their hashes or in the place where the user keeps them
    validation, ...
    model              config, tokenizer and weights; the trainer never fetches any

The container of a Nova job is AWS's: it gets what AWS's SDK would give it (`cloudcpt.jobs.nova`).
"""

from cloudcpt.jobs.manifests import Channel, list_objects, manifest_channel, papers_uri
from cloudcpt.jobs.nova import nova_channels
from cloudcpt.plan.plan import Plan
from cloudcpt.wire import MODEL_CHANNEL, PLAN_CHANNEL, PLAN_FILE


def channels(plan: Plan) -> tuple[Channel, ...]:
    """List the channels of a plan's job.

    Args:
        plan: With which a job can be submitted (`cloudcpt.plan.readiness`): all its files have been read.
    """
    if plan.model.family == "nova":
        return nova_channels(plan)
    own = [list_objects(plan, PLAN_CHANNEL, papers_uri(plan), [PLAN_FILE])]
    own += [manifest_channel(plan, source.channel, source.files) for source in plan.sources]
    if plan.model.files:
        own.append(manifest_channel(plan, MODEL_CHANNEL, plan.model.files))
    return tuple(own)


def channel_documents(plan: Plan) -> dict[str, bytes]:
    """Give what the client writes before it starts a plan's job, by URI: the plan first, then what each channel needs.

    Args:
        plan: With which a job can be submitted.
    """
    papers = [(f"{papers_uri(plan)}{PLAN_FILE}", plan.to_json().encode())]
    return dict([*papers, *(paper for channel in channels(plan) for paper in channel.papers)])
