"""The plan: everything a job does, decided once and written as `plan.json`.

`cloudcpt.plan.make` decides; the trainer, the local engine and the cloud adapter only execute. After this point there
are no defaults, no None that means "decide later" and no environment. None here always means "there is none".

The plan's identity is the BLAKE3 of its canonical JSON (sorted keys, no spaces); a job's name ends in it, so one plan
can only ever be one job.
"""

import contextlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from cloudcpt.errors import PlanError, error
from cloudcpt.plan.launch import CloudLaunch
from cloudcpt.wire import SCHEMA_VERSION


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One input file, identified by its content.

    Args:
        name: Relative to the dataset, with `/`; how messages call it.
        uri: Where the job takes it from: an absolute path for a job on this machine, else s3://.
        size_bytes: Exact size.
        blake3: BLAKE3 of the content, 64 hex digits.
    """

    name: str
    uri: str
    size_bytes: int
    blake3: str

    @property
    def placed(self) -> str:
        """Say where in its channel the trainer finds it, with `/`.

        What the client uploaded lies under the hash of its content (`cloudcpt.plan.keys`), and a channel keeps the
        ends of its keys. Everything else is found under its name.
        """
        above, _, name = self.uri.rpartition("/")
        return f"{self.blake3}/{name}" if above.endswith(f"/{self.blake3}") else self.name


SourceRole = Literal["train", "replay", "validation", "general_validation"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """One set of documents and what it turns into.

    Args:
        name: `domain` for the training data, the recipe's name for a replay source, `domain`/`general` for the
            two held-out sets.
        role: What the source is for.
        channel: The input channel that carries it.
        files: In the order in which documents are numbered; empty when nothing was read and the amount is assumed, to
            see time and cost. Such a plan is no job.
        documents: Lines over all files.
        tokens: Token ids after tokenising, boundary tokens included.
        rows: Packed rows of `seq_len_tokens`.
        cut_documents: Documents that packing spreads over more than one row.
        cut_tokens: Tokens of these documents.
        exact: True when tokens and rows were counted with the model's tokenizer; the trainer then refuses any
            other count. False when they were estimated; the trainer reports the real ones.
        weight: Share of the training tokens, over the sources with role `train` or `replay`; 0 for the others.
    """

    name: str
    role: SourceRole
    channel: str
    files: tuple[DataFile, ...]
    documents: int
    tokens: int
    rows: int
    cut_documents: int
    cut_tokens: int
    exact: bool
    weight: float

    @property
    def is_assumed(self) -> bool:
        """Tell whether tokens and rows are what somebody said, of data that was not read."""
        return not self.files


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where `cloudcpt model stage` brought a model from.

    Args:
        source: `hub` is Hugging Face or a mirror of it.
        repo: The model's name there; of a model in S3 its URI.
        revision: The commit; where the source does not say it, the branch or tag that was asked for, or nothing.
    """

    source: Literal["hub", "modelscope", "s3"]
    repo: str
    revision: str

    @property
    def shown(self) -> str:
        """Name model and state: `Qwen/Qwen3-0.6B-Base at da87bfb608c1`; hashes are cut, as people do."""
        state = self.revision[:12] if len(self.revision) == 40 else self.revision
        return f"{self.repo} at {state}" if state else self.repo


@dataclass(frozen=True, kw_only=True)
class Ancestor:
    """An earlier job that led to the base model: its name and plan, and the steps and tokens that it trained."""

    job_name: str
    plan_hash: str
    steps: int
    tokens: int


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """The model that the job starts from.

    Args:
        model_type: `run.model_type` of the recipe.
        name_or_path: `run.model_name_or_path` of the recipe.
        family: `nova` when only AWS can load the weights, `open` otherwise.
        size_class: `micro`, `lite` or `pro`.
        architecture: Hugging Face `model_type` of config.json, such as `llama`; empty for Nova.
        parameters: Count of all parameters; 0 for Nova.
        layers: Decoder layers; 0 for Nova.
        hidden_size: Width of the residual stream; 0 for Nova.
        vocab_size: Rows of the embedding; 0 for Nova.
        tied_embeddings: Input and output embedding are one tensor.
        dtype: Of the export: that of the stored weights, unless the recipe chooses another.
        files: Weights, config and tokenizer; empty for Nova and for a stand-in.
        stand_in: A tiny random model takes the place of the named one, for a rehearsal.
        origin: Where the files were staged from, as far as they are still what was staged; None when nobody knows.
        lineage: The jobs of cloudcpt that led to it, the first one first; empty unless it is the output of one.
    """

    model_type: str
    name_or_path: str
    family: Literal["nova", "open"]
    size_class: str
    architecture: str
    parameters: int
    layers: int
    hidden_size: int
    vocab_size: int
    tied_embeddings: bool
    dtype: Literal["float32", "bfloat16", "float16"]
    files: tuple[DataFile, ...]
    stand_in: bool
    origin: Origin | None
    lineage: tuple[Ancestor, ...]


@dataclass(frozen=True, kw_only=True)
class World:
    """How many processes train, and on what.

    Args:
        nodes: Machines.
        processes_per_node: One per GPU, or as many as asked for on CPU.
        device: What each process computes on.
        instance_type: `ml.p5.48xlarge`, ...; `local` for the machine at hand.
        compute_dtype: Of forward and backward; masters and reductions are float32 always.
        timeout_s: Seconds that a process waits for the others in a step before it gives up.
        environment: Name and value of variables that every process gets, whatever the launcher would have chosen.
        image: ID of what the containers of a rehearsal run; empty elsewhere.
    """

    nodes: int
    processes_per_node: int
    device: Literal["cuda", "cpu"]
    instance_type: str
    compute_dtype: Literal["float32", "bfloat16"]
    timeout_s: int
    environment: tuple[tuple[str, str], ...]
    image: str

    @property
    def size(self) -> int:
        """Processes in all."""
        return self.nodes * self.processes_per_node


@dataclass(frozen=True, kw_only=True)
class Compute:
    """How the loop computes; nothing here changes the results beyond rounding, float8 apart.

    Args:
        compile: Decoder layers are compiled.
        float8: Recipe of torchao for the matrix products of the decoder layers, GPUs only; `none` computes in
            `World.compute_dtype`.
        shard_processes: Processes over which weights, gradients and moments are divided. The world is a multiple of
            it; where it is larger, each such group holds a replica (HSDP).
    """

    compile: bool
    float8: Literal["none", "tensorwise", "rowwise", "rowwise_with_gw_hp"]
    shard_processes: int


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Rows, batches and steps: integers only. A row is one packed sequence, the recipe's "sample".

    Args:
        seq_len_tokens: Positions in a row, the recipe's `max_length`.
        packing: `best_fit` keeps documents whole where they fit; `concat` cuts one long stream.
        global_batch_rows: Rows per optimizer step over all processes; shared out in parts that differ by at most one
            row (`cloudcpt.plan.geometry.rows_of_rank`).
        micro_batch_rows: Rows per forward pass of one process; 0 for Nova, where the service decides.
        accumulation: Forward passes of one process per optimizer step, the same on every process; 0 for Nova.
            `world.size * micro_batch_rows * accumulation` is `global_batch_rows`, or more where the batch does not
            divide evenly: what is more are rows of padding.
        steps: Optimizer steps of the whole job; the schedule's N and the loop's N. A rehearsal with a stand-in runs
            the first few steps of the whole job's schedule.
        bound: Which recipe key set `steps`.
        train_rows: Rows trained in all, `steps * global_batch_rows`.
        train_tokens: Tokens in those rows, padding not counted; an estimate where a source is not exact.
        epochs: Passes over the domain rows that the steps amount to.
    """

    seq_len_tokens: int
    packing: Literal["best_fit", "concat"]
    global_batch_rows: int
    micro_batch_rows: int
    accumulation: int
    steps: int
    bound: Literal["max_steps", "max_epochs"]
    train_rows: int
    train_tokens: int
    epochs: float


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The learning rate over the job; `cloudcpt.plan.schedule` turns it into a number for a step.

    Args:
        name: Shape after the warm-up.
        lr: Peak.
        min_lr: Floor.
        warmup_steps: W.
        constant_steps: C; for `cosine` a tail at `min_lr`, as NeMo defines it.
        steps: N.
    """

    name: Literal["cosine", "linear", "wsd", "constant"]
    lr: float
    min_lr: float
    warmup_steps: int
    constant_steps: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """AdamW, or Adam with L2 when `adam_w_mode` is false.

    Args:
        adam_w_mode: Decoupled weight decay.
        beta1: Decay rate of the first moment.
        beta2: Decay rate of the second moment.
        eps: Added to the denominator.
        weight_decay: On every parameter.
        max_grad_norm: 0 means no clipping.
        max_skipped_steps: Steps of the whole job that may be left out because their loss or gradient is not finite; one
            more ends the job. 0 ends it at the first.
    """

    adam_w_mode: bool
    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    max_grad_norm: float
    max_skipped_steps: int


@dataclass(frozen=True, kw_only=True)
class Dropouts:
    """Probabilities of the Nova recipe: residual branches, attention weights, inside the feed-forward block."""

    hidden: float
    attention: float
    ffn: float


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Low-rank adapters through peft.

    Args:
        rank: r.
        alpha: Numerator of the scale.
        dropout: On the adapter's input.
        target_modules: Module names, or the single name `all-linear`.
        rslora: Scale by alpha / sqrt(r) instead of alpha / r.
        merge: Export the base model with the adapter merged in; otherwise export the adapter alone.
        bits: The frozen weights are held in 4 or 8 bits, GPUs only; 0 holds them as they are stored.
        embedding_lr: Peak learning rate of the input and output embedding, which then learn too, with the shape of
            the schedule; 0 freezes them like the rest.
    """

    rank: int
    alpha: float
    dropout: float
    target_modules: tuple[str, ...]
    rslora: bool
    merge: bool
    bits: Literal[0, 4, 8]
    embedding_lr: float


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """What is kept beside the final model, all of it opt-in.

    Args:
        every_steps: A whole model in the layout of the final one, every so many optimizer steps; 0 for none.
        keep_last: How many of them stay; 0 for all.
        recovery_every_steps: State from which the same job goes on bit for bit after it was interrupted, every so many
            optimizer steps; only the newest stays, none after success. 0 for none.
    """

    every_steps: int
    keep_last: int
    recovery_every_steps: int


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Held-out measurement, always before the first and after the last step.

    Args:
        every_steps: Also every so many steps; 0 for only before and after.
        max_rows: Rows of each held-out set to use, from the start; 0 for all.
        prompts: Texts to continue before and after.
        sample_tokens: Length of each continuation.
    """

    every_steps: int
    max_rows: int
    prompts: tuple[str, ...]
    sample_tokens: int


@dataclass(frozen=True, kw_only=True)
class MemoryTerm:
    """One line of the memory estimate, in bytes on one GPU."""

    name: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class MemoryFit:
    """Whether one process fits on its device, by term.

    Args:
        terms: What takes memory; empty when the sizes are unknown (Nova) or do not matter (CPU).
        total_bytes: Sum of the terms.
        capacity_bytes: Of one GPU; 0 when unknown.
        activations: How activations are kept for the backward pass. `none`: all are kept, nothing is checkpointed.
            `budget`: the compiler chooses what to compute again. `selective`: matrix products and attention are kept,
            every second product excepted. `full`: each layer keeps its input only. On a GPU the trainer confirms it by
            a probe and takes the next one if it does not fit; the results are the same.
    """

    terms: tuple[MemoryTerm, ...]
    total_bytes: int
    capacity_bytes: int
    activations: Literal["none", "budget", "selective", "full"]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """How long and how much, with where the numbers come from.

    Args:
        hours: Expected wall-clock hours of the job.
        hours_low: Lower end of the interval.
        hours_high: Upper end.
        time_source: What the time rests on, in words with a date.
        usd_per_instance_hour: 0 when it runs on the machine at hand.
        usd: Expected cost.
        usd_low: Lower end.
        usd_high: Upper end.
        price_source: Where the price is from, with its date.
    """

    hours: float
    hours_low: float
    hours_high: float
    time_source: str
    usd_per_instance_hour: float
    usd: float
    usd_low: float
    usd_high: float
    price_source: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One job, whole.

    Args:
        schema_version: Of plan.json.
        made_by: `cloudcpt` and its version.
        name: `run.name` of the recipe.
        recipe_path: File name of the recipe, without its folder: the same recipe is the same plan from wherever it is
            named.
        recipe_blake3: Of the recipe's bytes.
        recipe_text: The recipe itself, so that the job can be explained and rerun.
        target: Where it runs.
        seed: Data order, dropout and sampling derive from it.
        log_every_steps: Distance of progress lines; the first and the last step are always logged.
        max_runtime_s: Stop the job after so many seconds; 0 for no limit.
        launch: What the cloud is told besides; None for a job on this machine.
    """

    schema_version: int
    made_by: str
    name: str
    recipe_path: str
    recipe_blake3: str
    recipe_text: str
    target: Literal["local", "container", "sagemaker", "hyperpod"]
    seed: int
    log_every_steps: int
    max_runtime_s: int
    model: ModelSpec
    sources: tuple[Source, ...]
    world: World
    compute: Compute
    geometry: Geometry
    schedule: Schedule
    optimizer: Optimizer
    dropouts: Dropouts
    lora: Lora | None
    evaluation: Evaluation
    checkpoints: Checkpoints
    memory: MemoryFit
    estimate: Estimate
    launch: CloudLaunch | None

    def sources_of(self, *roles: SourceRole) -> tuple[Source, ...]:
        """Pick the sources that play one of the roles, in plan order."""
        return tuple(source for source in self.sources if source.role in roles)

    def to_json(self) -> str:
        """Write plan.json: canonical, so that its bytes are its identity."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @cached_property
    def hash(self) -> str:
        """Identify the plan: BLAKE3 of its canonical JSON, 64 hex digits."""
        from blake3 import blake3

        return blake3(self.to_json().encode()).hexdigest()

    @property
    def job_name(self) -> str:
        """Name the one job of this plan: a slug of the recipe's name and the first ten digits of the hash.

        At most 63 characters of `[a-zA-Z0-9-]`, cut so that the hash survives: SageMaker's rule for names.
        """
        return f"{job_slug(self.name)}-{self.hash[:10]}"


def job_slug(name: str) -> str:
    """Reduce a recipe's name to what the names of its jobs begin with."""
    slug = "".join(char if char.isascii() and char.isalnum() else "-" for char in name)
    return "-".join(part for part in slug.split("-") if part)[: 63 - 11].rstrip("-") or "cpt"


def read_plan(path: Path) -> Plan:
    """Read plan.json and refuse whatever this version did not write.

    Raises:
        PlanError: not readable, not JSON, another schema version, or a field missing, unknown or of a wrong type.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as exc:
        hint = f"write it with `cloudcpt plan RECIPE --save {path}`"
        raise PlanError(error("CPT501", f"there is no file `{path}`", hint=hint)) from exc
    except (OSError, ValueError) as exc:
        raise PlanError(error("CPT501", f"`{path}` is not a plan: {exc}")) from exc
    try:
        version = json.loads(text).get("schema_version")
    except (ValueError, AttributeError) as exc:
        raise PlanError(error("CPT501", f"`{path}` is not a plan: {exc}")) from exc
    if version != SCHEMA_VERSION:
        raise PlanError(
            error(
                "CPT502",
                f"`{path}` has schema version `{version}`, this cloudcpt reads `{SCHEMA_VERSION}`",
                hint="make the plan again with the version that executes it",
            )
        )
    hint = "another cloudcpt made it: make the plan again, or build the image again with the one that made it"
    try:
        plan = TypeAdapter(Plan).validate_json(text, strict=True)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PlanError(error("CPT501", f"`{path}` is not a plan: `{where}`: {first['msg']}", hint=hint)) from exc
    # Dataclasses read past fields they do not know, and JSON has numbers that we never write (1e999 is infinite):
    # what is not ours shows when the plan is written again.
    with contextlib.suppress(ValueError):
        if json.loads(plan.to_json()) == json.loads(text):
            return plan
    message = f"`{path}` is not a plan: it has fields or numbers that a plan does not have"
    raise PlanError(error("CPT501", message, hint=hint))
