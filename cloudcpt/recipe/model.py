"""The recipe as a frozen model: what a recipe may say, and one way to ask for what was written in two.

One class per section (`training.py`, `extras.py`); the docstring under a field feeds the published schema and the
reference. Single values are judged by their types, sections against each other by `conditions.py`; together they
give exactly the verdict of the schema in `schema.py`. What a schema cannot say is in `rules.py`.
"""

from typing import Annotated, Any, Self

from pydantic import Field, ModelWrapValidatorHandler, Strict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from cloudcpt.recipe.catalog import ModelRow, find_model
from cloudcpt.recipe.conditions import condition_faults
from cloudcpt.recipe.extras import Checkpoint, DataMixing, DataRules, Evaluation, Export, Launch
from cloudcpt.recipe.fields import (
    NAME_PATTERN,
    Flag,
    Maybe,
    ModelType,
    OptionalPath,
    OptionalS3,
    PathText,
    Positive,
    Section,
    Text,
    Whole,
)
from cloudcpt.recipe.training import Optim, TrainingConfig


class Run(Section):
    """What to train, on what, and where the results go."""

    name: Annotated[str, Strict(), Field(pattern=NAME_PATTERN, max_length=63)]
    """Name of the run: letters, digits and hyphens, at most 63; the job's name is made from it."""

    model_type: ModelType
    """Which model; a row of the catalog, or `hf` for any other model whose weights are at hand."""

    model_name_or_path: PathText
    """The weights: for Nova the name that AWS gives, otherwise a folder or an s3:// URI."""

    replicas: Positive
    """Machines; each model has its own set of allowed numbers."""

    data_s3_path: OptionalPath = ""
    """Training data: JSONL with one `text` per line; an s3:// URI, a file, a folder or a glob."""

    validation_data_s3_path: OptionalPath = ""
    """Held-out text of the same kind, never trained on."""

    output_s3_path: OptionalS3 = ""
    """Where the results go, an s3:// URI."""

    mlflow_tracking_uri: Text = ""
    """MLflow server, a key of newer Nova recipes; passed on to AWS, not used by cloudcpt's own trainer."""

    mlflow_experiment_name: Text = ""
    """MLflow experiment; AWS's recipes say to leave it non-empty."""

    mlflow_run_name: Text = ""
    """MLflow run; AWS's recipes say to leave it non-empty."""

    seed: Whole = Field(default=42, ge=0, le=2**32 - 1)
    """Data order, dropout and sampling derive from it. Open models only."""

    model_package_group: Text = ""
    """SageMaker model package group that the result is registered in."""


class Recipe(Section):
    """A continued-pretraining job."""

    display_name: Text = ""
    """Title of the recipe, as newer AWS recipes carry it; not used."""

    versions: Annotated[tuple[Text, ...], Field(max_length=32)] = ()
    """Versions of the recipe, as newer AWS recipes carry them; not used."""

    instance_types: Annotated[tuple[Text, ...], Field(max_length=32)] = ()
    """Machines that the recipe is meant for, as newer AWS recipes carry them; not used, see `launch.instance_type`."""

    skip_recipe_validation: Flag = False
    """A switch of AWS's launcher; cloudcpt always validates."""

    run: Run
    """What to train, on what, and where the results go."""

    training_config: TrainingConfig
    """How to train."""

    data: DataRules = DataRules()
    """What to hold the data of `run` against, for every model."""

    data_mixing: Maybe[DataMixing] = None
    """General data to train on beside the domain data. Open models only."""

    eval: Evaluation = Evaluation()
    """What to measure before, during and after training. Open models only."""

    export: Export = Export()
    """How the final model is written. Open models only."""

    checkpoint: Checkpoint = Checkpoint()
    """What to keep beside the final model. Open models only."""

    launch: Launch = Launch()
    """Where and under which limits to run."""

    @model_validator(mode="wrap")
    @classmethod
    def _check_conditions(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Report broken conditions along with bad values, not only once every value is good."""
        details = [
            InitErrorDetails(
                type=PydanticCustomError("condition", "{message}", {"message": fault.message, "fault": fault}),
                loc=fault.loc,
                input=None,
            )
            for fault in condition_faults(data)
        ]
        try:
            recipe = handler(data)
        except ValidationError as exc:
            details = [*_details(exc), *details]
        if details:
            raise ValidationError.from_exception_data(cls.__name__, details)
        return recipe

    @property
    def row(self) -> ModelRow:
        """Look up the model's row of the catalog."""
        row = find_model(self.run.model_type)
        assert row is not None, f"`{self.run.model_type}` passed validation and is not in the catalog"
        return row

    @property
    def is_nova(self) -> bool:
        """Tell whether only AWS can load the weights."""
        return self.row.family == "nova"

    @property
    def optim(self) -> Optim:
        """The optimizer, wherever the recipe's generation writes it."""
        optim = self.training_config.optim or self.training_config.model.optim
        assert optim is not None, "validation asks for exactly one `optim`"
        return optim

    @property
    def beta1(self) -> float:
        """Decay rate of the first moment."""
        if self.optim.betas is not None:
            return self.optim.betas[0]
        return 0.9 if self.optim.adam_beta1 is None else self.optim.adam_beta1

    @property
    def beta2(self) -> float:
        """Decay rate of the second moment; the default is that of the generation whose shape the recipe has."""
        if self.optim.betas is not None:
            return self.optim.betas[1]
        if self.optim.adam_beta2 is not None:
            return self.optim.adam_beta2
        return 0.999 if self.training_config.optim is None else 0.95

    @property
    def eval_every_steps(self) -> int:
        """Optimizer steps between evaluations, from `eval.every_steps` or `trainer.val_check_interval`; 0 for none."""
        return self.eval.every_steps or self.training_config.trainer.val_check_interval or 0

    @property
    def eval_max_rows(self) -> int:
        """Rows of each held-out set, from `eval.max_rows` or `trainer.limit_val_batches`; 0 for all."""
        batches = self.training_config.trainer.limit_val_batches or 0
        return self.eval.max_rows or batches * self.training_config.global_batch_size


def _details(exc: ValidationError) -> list[InitErrorDetails]:
    """Turn the errors of one pass into the form from which a joint exception is made."""
    details = []
    for found in exc.errors(include_url=False):
        kind: Any = found["type"]  # a built-in type by name, or our own with its message
        if kind in ("null", "unknown_model"):
            kind = PydanticCustomError(kind, found["msg"])
        details.append(InitErrorDetails(type=kind, loc=found["loc"], input=found["input"], ctx=found.get("ctx", {})))
    return details
