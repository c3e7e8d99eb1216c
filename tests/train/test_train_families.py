"""Every class of model through a whole job: what is exported loads in plain transformers and is what was measured."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from peft import AutoPeftModelForCausalLM
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from cloudcpt.plan.base_model import read_base_model
from cloudcpt.plan.model_folder import LocalModel
from cloudcpt.plan.plan import Lora
from cloudcpt.train.architectures import ARCHITECTURES
from cloudcpt.train.batches import eval_batches
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.rows import open_rows
from cloudcpt.train.run import train
from cloudcpt.train.stand_in import build_stand_in
from cloudcpt.wire import model_faults

pytestmark = pytest.mark.train
every_architecture = pytest.mark.parametrize("model_type", ARCHITECTURES)

OTHER_EMBEDDINGS = {"bloom": False, "gemma2": False, "gpt2": False, "gpt_neox": True, "llama": True, "qwen2": True}
"""Classes with the choice for `tie_word_embeddings` that most of their models do not make."""

SHAPE = {
    "vocab_size": 257,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "sliding_window": 16,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": 0,
}


def base_of(model_type, **settings):
    """Write a random model with the tokenizer of the stand-in."""

    def write(folder: Path) -> None:
        build_stand_in(folder, seed=7, context_tokens=64)
        known = AutoConfig.for_model(model_type).to_dict()
        shape = {name: size for name, size in SHAPE.items() if name in known}
        torch.manual_seed(5)
        AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **shape, **settings)).save_pretrained(folder)

    return write


@torch.no_grad()
def plain_loss(model, job):
    """Measure a model of transformers on the held-out rows, each document alone, logits in float64."""
    rows = open_rows(job.ml.scratch / "rows" / "validation")
    batches = list(eval_batches(rows, max_rows=0, micro_batch_rows=4, rank=0, world_size=1))
    total = 0.0
    for batch in batches:
        pieces = batch.tokens.flatten().split(batch.cu_seqlens.unique().diff().tolist())
        logits = torch.cat([model(input_ids=piece[None], use_cache=False).logits[0] for piece in pieces])
        total += float(F.cross_entropy(logits.double(), batch.labels.flatten(), reduction="sum"))
    return total / sum(batch.num_labels for batch in batches)


def eager(folder):
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()


def losses(job):
    return [row["loss"] for row in job.records("eval") if row["set"] == "domain"]


def trained(job):
    assert train(job.plan, job.ml) == "completed"
    assert model_faults(job.ml.model) == []
    return job


def lora(**changes):
    settings = {"rank": 4, "alpha": 8.0, "dropout": 0.0, "target_modules": ("all-linear",), "rslora": False}
    return Lora(**settings | {"merge": True, "bits": 0, "embedding_lr": 0.0} | changes)


@every_architecture
def test_an_exported_model_is_the_measured_one_in_plain_transformers(model_type, tiny_job):
    job = trained(tiny_job(base=base_of(model_type), dropouts={"hidden": 0.05, "attention": 0.05, "ffn": 0.05}))
    before, after = losses(job)
    assert after < before - 0.05
    assert before == pytest.approx(plain_loss(eager(job.ml.channel("model")), job), rel=1e-5)
    assert after == pytest.approx(plain_loss(eager(job.ml.model), job), rel=1e-5)
    folders = job.ml.channel("model"), job.ml.model
    base, final = (json.loads((folder / "config.json").read_text("utf-8")) for folder in folders)
    assert final == base
    base, final = (set(load_file(folder / "model.safetensors")) for folder in folders)
    assert final == base


@pytest.mark.parametrize(("model_type", "tied"), OTHER_EMBEDDINGS.items())
def test_embeddings_stay_tied_or_apart(model_type, tied, tiny_job):
    job = trained(tiny_job(base=base_of(model_type, tie_word_embeddings=tied)))
    final = eager(job.ml.model)
    assert (final.get_input_embeddings().weight is final.get_output_embeddings().weight) == tied
    assert losses(job)[-1] == pytest.approx(plain_loss(final, job), rel=1e-5)


@pytest.mark.parametrize("model_type", ["bloom", "gpt2", "gpt_neox", "phi3", "qwen3"])
def test_adapters_are_counted_trained_and_merged(model_type, tiny_job):
    job = tiny_job(base=base_of(model_type), lora=lora())
    sizes = read_base_model(LocalModel(job.ml.channel("model")), None).sizes
    trained(job)
    (told,) = (row["message"] for row in job.records("event") if row["name"] == "model")
    assert f", {sizes.adapter_parameters(4, ('all-linear',))} of them learn" in told
    assert losses(job)[-1] < losses(job)[0]
    assert losses(job)[-1] == pytest.approx(plain_loss(eager(job.ml.model), job), rel=1e-5)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft 0.21 on transformers 5.23
@pytest.mark.parametrize("model_type", ["bloom", "gpt2", "gpt_neox"])
def test_an_exported_adapter_loads_with_its_base(model_type, tiny_job):
    job = tiny_job(base=base_of(model_type), lora=lora(merge=False))
    trained(job)
    path = job.ml.model / "adapter_config.json"
    config = json.loads(path.read_text("utf-8")) | {"base_model_name_or_path": str(job.ml.channel("model"))}
    path.write_text(json.dumps(config), "utf-8")
    adapted = AutoPeftModelForCausalLM.from_pretrained(job.ml.model).eval()
    assert losses(job)[-1] == pytest.approx(plain_loss(adapted, job), rel=1e-5)


@pytest.mark.parametrize(("model_type", "prefix"), [("bloom", "transformer."), ("gpt2", "transformer.")])
def test_weights_under_their_old_names_and_masks_beside_them_are_read(model_type, prefix, tiny_job):
    """As bigscience/bloom-560m and openai-community/gpt2 are published."""

    def old(folder):
        base_of(model_type)(folder)
        weights = load_file(folder / "model.safetensors")
        bare = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
        if model_type == "gpt2":
            bare |= {f"h.{layer}.attn.bias": torch.ones(64, 64).tril()[None, None] for layer in range(2)}
        save_file(bare, folder / "model.safetensors", metadata={"format": "pt"})

    new, job = tiny_job(base=base_of(model_type)), tiny_job(base=old)
    sizes = [read_base_model(LocalModel(one.ml.channel("model")), None).sizes for one in (new, job)]
    assert sizes[0] == sizes[1]
    trained(job)
    assert losses(job)[-1] == pytest.approx(plain_loss(eager(job.ml.model), job), rel=1e-5)


def test_a_job_with_rows_behind_the_end_of_a_table_of_positions_is_refused(tiny_job):
    job = tiny_job(base=base_of("gpt2"), geometry={"seq_len_tokens": 65})
    with pytest.raises(TrainingFailure, match=r"CPT602: .* learned positions for 64 tokens"):
        train(job.plan, job.ml)
