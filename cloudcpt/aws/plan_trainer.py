"""`PlanTrainer`: a ModelTrainer of the SageMaker SDK whose one job is the job of a plan.

Only `cloudcpt.aws.sdk` imports this module: loading the SDK takes seconds.

    plan --training_job_request--> request --SDK's spelling--> settings that one can look at in a notebook
                                      '--------------------------> what `train()` sends

The settings cannot carry the whole request: a ModelTrainer has no place for the job's name, for the MLflow server, or
for the switch of the metrics' time series, and it adds defaults of its own. So the request is sent as it is, and a
trainer whose settings were changed is refused: nobody should find out from the bill that a change was ignored.
"""

from typing import Any

from pydantic import Field, PrivateAttr
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.shapes import (
    CheckpointConfig,
    MetricDefinition,
    ModelPackageConfig,
    RetryStrategy,
    TensorBoardOutputConfig,
)
from sagemaker.core.training.configs import Channel, Compute, Networking, OutputDataConfig, StoppingCondition, Tag
from sagemaker.core.utils.code_injection.codec import transform
from sagemaker.core.utils.utils import serialize
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.train.model_trainer import ModelTrainer

from cloudcpt.errors import UsageProblem, error
from cloudcpt.jobs.request import training_job_request
from cloudcpt.plan.plan import Plan

Words = dict[str, Any]  # a request in the SDK's spelling, as various as the service's model

_CHOSEN_LATER = (
    "_tensorboard_output_config",
    "_retry_strategy",
    "_infra_check_config",
    "_session_chaining_config",
    "_remote_debug_config",
    "_metric_definitions",
)
"""What the SDK's `with_...` methods set. Source: sagemaker_train 1.27.0, sagemaker/train/model_trainer.py."""


class PlanTrainer(ModelTrainer):  # type: ignore[misc]  # the SDK has no types where it is not installed
    """A ModelTrainer that starts the one job of a plan; made by `cloudcpt.aws.sdk.model_trainer`."""

    plan: Plan = Field(frozen=True)

    _as_made: Words = PrivateAttr(default_factory=dict)

    def model_post_init(self, _context: Any) -> None:
        """Set what a ModelTrainer takes by its `with_...` methods, and remember all settings.

        The SDK's own method is left out on purpose: it fills in defaults, and asks IAM whether the role may do what
        any training job might need, network interfaces included. A role of least privilege may not. The pre-flight of
        `cloudcpt validate --online` asks about the role what this job needs.
        """
        words = spelled(training_job_request(self.plan))
        metrics = words["algorithm_specification"].get("metric_definitions")
        self._metric_definitions = [MetricDefinition(**metric) for metric in metrics] if metrics else None
        self._tensorboard_output_config = _shape(TensorBoardOutputConfig, words.get("tensor_board_output_config"))
        self._retry_strategy = _shape(RetryStrategy, words.get("retry_strategy"))
        self._as_made = self._settings()

    def _create_training_job_args(self, input_data_config: Any = None, boto3: bool = False) -> Words:
        """Give the plan's request to the SDK's `train()`, which sends it, or hands it to a pipeline.

        Raises:
            UsageProblem: the trainer was changed since it was made.
        """
        self._require_unchanged(input_data_config)
        request = training_job_request(self.plan)
        # A step of a pipeline takes the service's own spelling. It drops the job's name, unless the pipeline is told to
        # begin the names of its jobs with it: every execution starts another job.
        return request if boto3 or isinstance(self.sagemaker_session, PipelineSession) else spelled(request)

    def _require_unchanged(self, input_data_config: Any) -> None:
        now = self._settings()
        changed = [name.lstrip("_") for name, made in self._as_made.items() if now[name] != made]
        if input_data_config:
            changed.append("input_data_config")
        if changed:
            names = ", ".join(f"`{name}`" for name in changed)
            message = f"this trainer is that of the plan `{self.plan.job_name}`, and its settings were changed: {names}"
            raise UsageProblem(error("CPT497", message, hint="change the recipe, and make a trainer of the new plan"))

    def _settings(self) -> Words:
        # Not `model_dump`: pydantic warns of each member that the SDK has left unassigned.
        fields = type(self).model_fields.keys() - {"plan", "sagemaker_session", "config_mgr", "training_mode"}
        settings = {name: serialize(getattr(self, name)) for name in (*fields, *_CHOSEN_LATER)}
        return {**settings, "training_mode": self.training_mode}


def trainer_of(plan: Plan, session: Session) -> PlanTrainer:
    """Make the trainer of a plan: its settings are the plan's request in the SDK's words."""
    words = spelled(training_job_request(plan))
    return PlanTrainer(
        plan=plan,
        sagemaker_session=session,
        role=words["role_arn"],
        base_job_name=words["training_job_name"],
        training_image=words["algorithm_specification"]["training_image"],
        training_input_mode=words["algorithm_specification"]["training_input_mode"],
        compute=_compute(words),
        networking=Networking(
            **words.get("vpc_config", {}),
            enable_network_isolation=words["enable_network_isolation"],
            enable_inter_container_traffic_encryption=words["enable_inter_container_traffic_encryption"],
        ),
        stopping_condition=StoppingCondition(**words["stopping_condition"]),
        output_data_config=OutputDataConfig(**words["output_data_config"]),
        input_data_config=[Channel(**channel) for channel in words["input_data_config"]],
        hyperparameters=words["hyper_parameters"],
        tags=[Tag(**tag) for tag in words["tags"]],
        checkpoint_config=_shape(CheckpointConfig, words.get("checkpoint_config")),
        model_package_config=_shape(ModelPackageConfig, words.get("model_package_config")),
    )


def spelled(request: Words) -> Words:
    """Spell the members of a CreateTrainingJob request as the SDK does: `RoleArn` is `role_arn`."""
    words: Words = transform(request, "CreateTrainingJobRequest")
    return words


def _compute(words: Words) -> Compute:
    # The SDK's default volume of 30 GB would be sent for machines whose disks have a fixed size, too.
    spot = words["enable_managed_spot_training"]
    return Compute(**{"volume_size_in_gb": None, **words["resource_config"]}, enable_managed_spot_training=spot)


def _shape(kind: Any, members: Words | None) -> Any:
    return None if members is None else kind(**members)
