"""What everybody in `bench/train.py` trains: one random Llama, one set of documents, one order of packed rows.

Token ids are drawn by Zipf's law. The length of a document is drawn from a lognormal distribution with a median of 400
tokens and a mean of 660, which is about that of a web page after cleaning; or every document fills its row. The
tokenizer knows the words `1`, `2`, `3`, ... and nothing else, so a document has the length that was drawn.

Source of the mean: HuggingFaceFW/fineweb, 15 trillion tokens in 23 billion pages, read 2026-11.
"""

import contextlib
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from cloudcpt.cli.prepare import prepare
from cloudcpt.plan.plan import Plan
from cloudcpt.train.batches import Batch, train_batches
from cloudcpt.train.prepare import prepare_rows
from cloudcpt.wire import MlFolder

END = 0
"""Token id of the end of a text."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large the measurement is.

    Args:
        model: Of the Llama, as its config calls them.
        seq_len_tokens: Positions of a row.
        micro_batch_rows: Rows of one forward pass.
        accumulation: Forward passes of one optimizer step.
        rows: Packed rows in the data, about.
    """

    model: dict[str, int]
    seq_len_tokens: int
    micro_batch_rows: int
    accumulation: int
    rows: int

    @property
    def full_flops_per_token(self) -> float:
        """Operations of forward and backward pass, in the convention that counts the whole square of attention."""
        width, layers = self.model["hidden_size"], self.model["num_hidden_layers"]
        kv_width = width * self.model["num_key_value_heads"] // self.model["num_attention_heads"]
        layer = 2 * width * width + 2 * width * kv_width + 3 * width * self.model["intermediate_size"]
        return 6 * (layers * layer + width * self.model["vocab_size"]) + 12 * layers * width * self.seq_len_tokens


SIZES = {
    "tiny": Size(
        model={
            "hidden_size": 128,
            "intermediate_size": 352,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "vocab_size": 2048,
        },
        seq_len_tokens=256,
        micro_batch_rows=2,
        accumulation=2,
        rows=40,
    ),
    "small": Size(
        model={
            "hidden_size": 512,
            "intermediate_size": 1408,
            "num_hidden_layers": 8,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "vocab_size": 16384,
        },
        seq_len_tokens=1024,
        micro_batch_rows=2,
        accumulation=1,
        rows=120,
    ),
    "8b-width": Size(
        model={
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 16,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "vocab_size": 128256,
        },
        seq_len_tokens=8192,
        micro_batch_rows=1,
        accumulation=2,
        rows=120,
    ),
}
"""By name: to try the script out; for a CPU; half of the layers of Llama-3-8B, for one GPU of 141 GB."""


def size_of(name: str, layers: int) -> Size:
    """Find a size by its name, with so many layers instead of its own; 0 leaves them."""
    size = SIZES[name]
    return replace(size, model=size.model | {"num_hidden_layers": layers}) if layers else size


_RECIPE = """
run:
  name: bench
  model_type: hf
  model_name_or_path: base
  replicas: 1
  data_s3_path: documents.jsonl
training_config:
  max_length: {seq_len}
  global_batch_size: 32
  micro_batch_size: {micro}
  compile: "{compile}"
  trainer:
    max_steps: {steps}
  optim:
    lr: 1.0e-5
    weight_decay: 0.1
    sched:
      warmup_steps: 10
      min_lr: 1.0e-6
launch:
  target: local
"""


def make_inputs(folder: Path, size: Size, *, one_document_per_row: bool) -> None:
    """Write the base model and the documents into a folder."""
    _write_model(folder / "base", size)
    chance = np.random.default_rng(0)
    with (folder / "documents.jsonl").open("w", encoding="utf-8") as file:
        written = 0
        while written < size.rows * size.seq_len_tokens:
            drawn = max(2, int(chance.lognormal(np.log(400), 1.0)))
            length = size.seq_len_tokens if one_document_per_row else drawn
            words = chance.zipf(1.3, length - 1) % (size.model["vocab_size"] - 1) + 1
            file.write(json.dumps({"text": " ".join(map(str, words))}) + "\n")
            written += length


def _write_model(base: Path, size: Size) -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        **size.model,
        max_position_embeddings=size.seq_len_tokens,
        rope_theta=500000.0,
        tie_word_embeddings=False,
        bos_token_id=END,
        eos_token_id=END,
        dtype=torch.float32,
    )
    LlamaForCausalLM(config).save_pretrained(base)
    vocabulary = {"<end>": END} | {str(word): word for word in range(1, size.model["vocab_size"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<end>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["<end>"])
    tokenizer.save(str(base / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>"}
    (base / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")


def make_plan(folder: Path, size: Size, *, steps: int, device: str, compute_dtype: str, is_compiled: bool) -> Plan:
    """Plan the job as `cloudcpt submit` does; only the batch is smaller than any recipe may have it."""
    recipe = folder / f"recipe-{os.getpid()}.yaml"
    text = _RECIPE.format(
        seq_len=size.seq_len_tokens, micro=size.micro_batch_rows, steps=steps, compile="on" if is_compiled else "off"
    )
    recipe.write_text(text, "utf-8")
    with contextlib.redirect_stderr(io.StringIO()):  # advice on such a strange recipe
        plan = prepare(recipe).require_plan()
    rows = size.micro_batch_rows * size.accumulation
    return replace(
        plan,
        world=replace(plan.world, processes_per_node=1, device=device, compute_dtype=compute_dtype),
        memory=replace(plan.memory, activations="none"),
        geometry=replace(
            plan.geometry,
            global_batch_rows=rows,
            micro_batch_rows=size.micro_batch_rows,
            accumulation=size.accumulation,
            steps=steps,
            train_rows=steps * rows,
        ),
    )


def batches_of(plan: Plan, ml: MlFolder, base: Path) -> Sequence[Sequence[Batch]]:
    """Make the micro-batches of every step, as the loop does."""
    rows = prepare_rows(plan, ml, tokenizer_folder=base, is_node_main=True, barrier=lambda: None)
    return list(train_batches(plan, rows, rank=0, world_size=1))
