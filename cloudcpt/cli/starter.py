"""The recipe that `cloudcpt init` writes: short, commented, and valid for its model.

Three shapes: Nova 1 (`optim` under `model`), Nova 2 (`optim` beside `model`, steps instead of epochs), and open models.
Learning rates are written `1.0e-5`, because a reader of YAML 1.1 takes `1e-5` for text.
"""

from cloudcpt.recipe.catalog import ModelRow

_HEAD = """\
# A continued-pretraining recipe for {model_type}.
# `cloudcpt explain KEY` says more about a key, `cloudcpt validate {path}` checks all of it.
run:
  name: {name}  # letters, digits and hyphens; the job's name starts with it
  model_type: {model_type}
  model_name_or_path: {weights}
  replicas: {replicas}  # machines; this model takes {allowed}
  data_s3_path: {data}  # JSONL, one {{"text": "..."}} per line: a file, a folder, a quoted pattern, or s3://
  validation_data_s3_path: ""  # held-out text of the same kind; shows what was learned
"""

_NOVA_1 = """\
  output_s3_path: ""  # s3:// folder for manifest and logs

training_config:
  max_length: 8192  # tokens in a row, at most 8192
  global_batch_size: 256  # rows per optimizer step: 32, 64, 128 or 256
  trainer:
    max_epochs: 2  # passes over the data; fewer when there is a lot of it
  model:
    hidden_dropout: 0.0  # up to 0.2 when the data is small
    attention_dropout: 0.0
    ffn_dropout: 0.0
    optim:
      name: distributed_fused_adam
      lr: 1.0e-5  # 1e-6 to 1e-4
      adam_w_mode: true
      eps: 1.0e-6
      weight_decay: 0.0  # 0.01 to 0.1 when not 0
      betas: [0.9, 0.999]
      sched:
        warmup_steps: 10  # 1 to 20
        constant_steps: 0
        min_lr: 1.0e-6  # below lr
"""

_NOVA_2 = """\
  output_s3_path: ""  # s3:// folder for manifest and logs

training_config:
  task_type: cpt
  max_length: 8192  # tokens in a row, at most 8192
  global_batch_size: 256  # rows per optimizer step: 32, 64, 128 or 256
  trainer:
    max_steps: 100  # optimizer steps
  model:
    hidden_dropout: 0.0  # up to 0.2 when the data is small
    attention_dropout: 0.0
  optim:
    name: distributed_fused_adam
    optimizer: adam
    lr: 1.0e-5  # 1e-6 to 1e-4
    adam_w_mode: true
    eps: 1.0e-6
    weight_decay: 0.0  # 0.01 to 0.1 when not 0
    adam_beta1: 0.9
    adam_beta2: 0.95
    sched:
      warmup_steps: 10  # 1 to 20
      constant_steps: 0
      min_lr: 1.0e-6  # below lr
"""

_OPEN = """\

training_config:
  max_length: {max_length}  # tokens in a row, at most {max_length} for this model
  global_batch_size: 32  # rows per optimizer step: 32, 64, 128 or 256
  trainer:
    max_epochs: 1  # passes over the data; may be a fraction
  optim:
    lr: 1.0e-5  # 1e-6 to 1e-4; for LoRA 2e-5 to 2e-3
    weight_decay: 0.01
    sched:
      name: cosine  # or linear, wsd, constant
      warmup_ratio: 0.02  # share of all steps
      min_lr: 1.0e-6  # below lr

# Replay some general text so that the model keeps what it knows, and measure what it forgets:
# data_mixing:
#   general_ratio: 0.05
#   sources:
#     - name: general
#       path: data/general.jsonl
# eval:
#   general_data_path: data/general-held-out.jsonl

launch:
  target: local  # or container, sagemaker, hyperpod
  # sagemaker needs `run.output_s3_path`, and of your account:
  # region: us-east-1
  # role: arn:aws:iam::123456789012:role/cloudcpt-training
  # image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/cloudcpt@sha256:...  # the digest that `docker push` prints
  # budget_usd: 100  # refuses a dearer plan, and stops a job before it costs more
"""


def starter_recipe(row: ModelRow, *, path: str, name: str, data: str) -> str:
    """Write the smallest recipe for a model that says everything a person should decide.

    Args:
        row: Which model.
        path: Where the recipe will be, for the comment on top.
        name: `run.name`.
        data: `run.data_s3_path`.
    """
    body = {0: _OPEN, 1: _NOVA_1, 2: _NOVA_2}[row.generation]
    return (_HEAD + body).format(
        path=path,
        name=name,
        model_type=row.model_type,
        weights=_weights(row),
        replicas=row.replicas[0],
        allowed=_listed(row.replicas),
        data=data,
        max_length=min(8192, row.context),
    )


def _weights(row: ModelRow) -> str:
    if row.checkpoints:
        return f"{row.checkpoints[0]}  # or s3:// of a trained checkpoint"
    origin = f"; published as {row.hugging_face}" if row.hugging_face else ""
    folder = "base" if row.model_type == "hf" else row.model_type
    return f"models/{folder}  # folder with config.json, tokenizer.json and safetensors files{origin}"


def _listed(numbers: tuple[int, ...]) -> str:
    *others, last = (str(number) for number in numbers)
    return f"{', '.join(others)} or {last}" if others else last
