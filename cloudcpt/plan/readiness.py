"""What a plan for the cloud still lacks before it can be submitted; time and cost can be seen without it."""

from collections.abc import Iterator
from dataclasses import dataclass

from cloudcpt.errors import Diagnostic, error, warning
from cloudcpt.plan.launch import CloudLaunch
from cloudcpt.plan.plan import Plan
from cloudcpt.recipe.load import LoadedRecipe

_NOT_READY = "CPT580"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Gap:
    """One thing that is not there: the key that would fill it, why it is needed, and what to write."""

    keys: tuple[str, str]
    message: str
    hint: str

    @property
    def name(self) -> str:
        return ".".join(self.keys)


def unready(plan: Plan, *, loaded: LoadedRecipe | None = None) -> tuple[Diagnostic, ...]:
    """Say everything that keeps a plan for the cloud from being submitted; nothing for one that runs here.

    Args:
        plan: Any.
        loaded: Its recipe, to say where the keys belong.
    """
    if plan.launch is None:
        return ()
    gaps = (*_launch_gaps(plan, plan.launch), *_input_gaps(plan))
    return tuple(
        error(_NOT_READY, gap.message, place=loaded.place(*gap.keys) if loaded else None, hint=gap.hint) for gap in gaps
    )


def readiness_advice(loaded: LoadedRecipe, plan: Plan) -> Iterator[Diagnostic]:
    """Warn once of all the keys that the recipe does not have yet; about its data, others have spoken."""
    gaps = [*_launch_gaps(plan, plan.launch)] if plan.launch else []
    if gaps:
        keys = ", ".join(f"`{gap.name}`" for gap in gaps)
        hint = "time and cost are right without; `cloudcpt explain CPT580` says what to write"
        place = loaded.place(*gaps[0].keys)
        yield warning(_NOT_READY, f"not ready to submit, not set: {keys}", place=place, hint=hint)


def _launch_gaps(plan: Plan, launch: CloudLaunch) -> Iterator[_Gap]:
    is_job = plan.target == "sagemaker" or bool(launch.image)
    uploads = any(not file.uri for file in (*plan.model.files, *(one for had in plan.sources for one in had.files)))
    if is_job and not launch.region:
        hint = "write `region: us-east-1` or another, or set $AWS_REGION"
        yield _Gap(
            keys=("launch", "region"), message="neither the recipe nor your AWS configuration names a Region", hint=hint
        )
    if is_job and not launch.role_arn:
        hint = "`role: arn:aws:iam::<account>:role/<name>`; `cloudcpt iam print` shows what it has to allow"
        yield _Gap(keys=("launch", "role"), message="the job has no `role` to act as", hint=hint)
    if is_job and not launch.image:
        yield _no_image(plan)
    if (is_job and not launch.output_uri) or (uploads and not launch.input_uri):
        hint = "`output_s3_path: s3://my-bucket/cpt`, in a bucket of the job's Region"
        message = "there is no `output_s3_path` to write the model to, nor to upload to"
        yield _Gap(keys=("run", "output_s3_path"), message=message, hint=hint)


def _no_image(plan: Plan) -> _Gap:
    keys = ("launch", "image")
    if plan.model.family == "nova":
        message = f"no public image trains `{plan.model.model_type}` in a training job"
        hint = "choose target `hyperpod`, where AWS's own container does, or name an image that AWS gave you"
        return _Gap(keys=keys, message=message, hint=hint)
    hint = "build it as container/README.md says, push it to ECR, and name it with the digest that the push printed"
    return _Gap(keys=keys, message="the job has no `image` to run", hint=hint)


def _input_gaps(plan: Plan) -> Iterator[_Gap]:
    if assumed := [source.channel for source in plan.sources if source.is_assumed]:
        hint = "name data that is here, or that you may read in S3"
        message = f"data was assumed, not read: {', '.join(f'`{channel}`' for channel in assumed)}"
        yield _Gap(keys=("run", "data_s3_path"), message=message, hint=hint)
    if plan.model.family == "open" and not (plan.model.files or plan.model.stand_in):
        hint = "name a folder, here or in S3, with config.json, tokenizer.json and safetensors files"
        message = f"the base model `{plan.model.name_or_path}` was planned by its name, not read"
        yield _Gap(keys=("run", "model_name_or_path"), message=message, hint=hint)
