"""A whole job in one process: what it measures, what it leaves, and how it ends when it cannot go on."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from peft import AutoPeftModelForCausalLM
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from cloudcpt.plan.plan import Lora
from cloudcpt.plan.schedule import learning_rate
from cloudcpt.train.batches import eval_batches, step_places, train_batches
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.flops import count_flops
from cloudcpt.train.rows import open_rows
from cloudcpt.train.run import train
from cloudcpt.train.stand_in import build_stand_in
from cloudcpt.train.stop import request_stop
from cloudcpt.wire import METRICS_FILE, model_faults

pytestmark = pytest.mark.train

LORA = Lora(
    rank=4, alpha=8.0, dropout=0.0, target_modules=("all-linear",), rslora=False, merge=True, bits=0, embedding_lr=0.0
)


def untied(folder: Path) -> None:
    build_stand_in(folder, seed=7, context_tokens=64)
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.config.tie_word_embeddings = False
    fresh = AutoModelForCausalLM.from_config(model.config)
    fresh.save_pretrained(folder)


def tied_in_words_only(folder: Path) -> None:
    """Keep two different embeddings under a config.json that says they are one."""
    untied(folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"tie_word_embeddings": True}), "utf-8")


def in_bfloat16(folder: Path) -> None:
    build_stand_in(folder, seed=7, context_tokens=64)
    AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)


def with_a_poisoned_byte(folder: Path) -> None:
    """Make the input embedding of `Z` not a number; a text without it trains well."""
    untied(folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"][AutoTokenizer.from_pretrained(folder).encode("Z")[0]] = math.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def plain_losses(model, batches):
    """Compute the loss of each batch the textbook way: each document alone, logits in float64."""
    model = model.eval()
    sums = []
    for batch in batches:
        pieces = batch.tokens.flatten().split(batch.cu_seqlens.unique().diff().tolist())
        logits = torch.cat([model(input_ids=piece[None], use_cache=False).logits[0] for piece in pieces]).double()
        sums.append((F.cross_entropy(logits, batch.labels.flatten(), reduction="sum"), batch.num_labels))
    return sums


def rows_of(job):
    return {source.channel: open_rows(job.ml.scratch / "rows" / source.channel) for source in job.plan.sources}


@torch.no_grad()
def held_out_loss(model, job, channel):
    batches = eval_batches(rows_of(job)[channel], max_rows=0, micro_batch_rows=4, rank=0, world_size=1)
    sums = plain_losses(model, batches)
    return float(sum(loss for loss, _ in sums) / sum(labels for _, labels in sums))


def last_evaluation(job, name):
    return [row for row in job.records("eval") if row["set"] == name][-1]


def test_a_job_learns_and_leaves_a_sealed_model_with_its_provenance(tiny_job):
    job = tiny_job(evaluation={"prompts": ("the river", ""), "every_steps": 2}, geometry={"steps": 6})
    assert train(job.plan, job.ml) == "completed"
    assert model_faults(job.ml.model) == []
    provenance = job.ml.model / "provenance"
    assert (provenance / "plan.json").read_text("utf-8") == job.plan.to_json()
    assert (provenance / "recipe.yaml").read_text("utf-8") == job.plan.recipe_text
    assert job.ml.metrics.read_text("utf-8").startswith((provenance / METRICS_FILE).read_text("utf-8"))
    names = {path.name for path in job.ml.model.iterdir() if path.is_file()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md"} <= names
    domain = [row for row in job.records("eval") if row["set"] == "domain"]
    assert [row["step"] for row in domain] == [0, 2, 4, 6]
    assert domain[-1]["loss"] < domain[0]["loss"] - 0.3
    assert domain[-1]["perplexity"] == pytest.approx(math.exp(domain[-1]["loss"]))
    assert [(row["step"], row["prompt"]) for row in job.records("sample")] == [
        (step, prompt) for step in (0, 6) for prompt in ("the river", "")
    ]
    assert job.records("end")[0]["outcome"] == "completed"


def test_every_step_uses_the_learning_rate_of_the_schedule(tiny_job):
    job = tiny_job()
    train(job.plan, job.ml)
    assert job.curve("lr") == [learning_rate(job.plan.schedule, completed) for completed in range(6)]


@pytest.mark.parametrize("base", [None, untied, tied_in_words_only, in_bfloat16])
def test_the_exported_model_loads_plainly_and_has_the_measured_loss(base, tiny_job):
    job = tiny_job(base=base, model={"dtype": "bfloat16" if base is in_bfloat16 else "float32"})
    train(job.plan, job.ml)
    model = AutoModelForCausalLM.from_pretrained(job.ml.model)
    tolerance = 2e-3 if base is in_bfloat16 else 1e-6  # masters are rounded to the export's dtype
    for name, channel in (("domain", "validation"), ("general", "general-validation")):
        assert held_out_loss(model, job, channel) == pytest.approx(last_evaluation(job, name)["loss"], rel=tolerance)
    with safe_open(job.ml.model / "model.safetensors", "pt") as weights:
        assert ("lm_head.weight" in weights.keys()) is (base in (untied, tied_in_words_only))  # noqa: SIM118 - not a dict
        assert {str(weights.get_tensor(name).dtype) for name in weights.keys()} == {f"torch.{job.plan.model.dtype}"}  # noqa: SIM118
    assert json.loads((job.ml.model / "config.json").read_text("utf-8"))["dtype"] == job.plan.model.dtype
    assert AutoTokenizer.from_pretrained(job.ml.model)("river").input_ids


def test_loss_and_gradient_of_a_step_are_means_over_all_labels_not_means_of_means(tiny_job):
    job = tiny_job()
    train(job.plan, job.ml)
    model = AutoModelForCausalLM.from_pretrained(job.ml.channel("model"))
    first = next(train_batches(job.plan, rows_of(job), rank=0, world_size=1))
    sums = plain_losses(model, first)
    assert len({labels for _, labels in sums}) > 1
    by_token = sum(loss for loss, _ in sums) / sum(labels for _, labels in sums)
    naive = sum(loss / labels for loss, labels in sums) / len(sums)
    for mean, agrees in ((by_token, True), (naive, False)):
        model.zero_grad()
        mean.backward(retain_graph=True)
        norm = torch.stack([parameter.grad.norm() for parameter in model.parameters()]).norm()
        assert (job.curve("loss")[0] == pytest.approx(float(mean.detach()), rel=1e-6)) is agrees
        assert (job.curve("grad_norm")[0] == pytest.approx(float(norm), rel=1e-5)) is agrees


def test_the_same_seed_gives_the_same_curve_and_another_seed_another(tiny_job):
    dropouts = {"hidden": 0.1, "attention": 0.1, "ffn": 0.1}
    jobs = [tiny_job(seed=seed, dropouts=dropouts, lora=LORA) for seed in (3, 3, 4)]
    for job in jobs:
        train(job.plan, job.ml)
    curves = [(job.curve("loss"), job.curve("grad_norm")) for job in jobs]
    assert curves[0] == curves[1]
    assert curves[0] != curves[2]


def test_evaluation_in_the_middle_does_not_disturb_training(tiny_job):
    dropouts = {"hidden": 0.1, "attention": 0.1, "ffn": 0.1}
    jobs = [tiny_job(dropouts=dropouts, evaluation={"every_steps": every}) for every in (0, 1)]
    for job in jobs:
        train(job.plan, job.ml)
    assert jobs[0].curve("loss") == jobs[1].curve("loss")


@pytest.mark.parametrize("name", ["hidden", "attention", "ffn"])
def test_each_dropout_changes_training_but_not_the_first_evaluation(name, tiny_job):
    plain, dropped = tiny_job(geometry={"steps": 2}), tiny_job(geometry={"steps": 2}, dropouts={name: 0.2})
    for job in (plain, dropped):
        train(job.plan, job.ml)
    assert plain.curve("loss") != dropped.curve("loss")
    assert plain.records("eval")[0] == dropped.records("eval")[0]


def test_dropouts_act_also_in_a_job_that_measures_and_writes_nothing(tiny_job):
    texts = {"train": ["the river bank holds no water when wind runs"] * 60}
    plain, dropped = (tiny_job(texts=texts, dropouts=dict.fromkeys(("hidden", "ffn"), rate)) for rate in (0.0, 0.3))
    for job in (plain, dropped):
        train(job.plan, job.ml)
    assert all(with_it != without for with_it, without in zip(dropped.curve("loss"), plain.curve("loss"), strict=True))


def test_recomputed_activations_give_the_same_curve(tiny_job):
    dropouts = {"hidden": 0.1, "attention": 0.1, "ffn": 0.1}
    jobs = [tiny_job(dropouts=dropouts, memory={"activations": kept}) for kept in ("none", "full")]
    for job in jobs:
        train(job.plan, job.ml)
    assert jobs[1].curve("loss") == pytest.approx(jobs[0].curve("loss"), rel=1e-6)
    assert jobs[1].curve("grad_norm") == pytest.approx(jobs[0].curve("grad_norm"), rel=1e-5)


def test_bfloat16_compute_runs_on_a_cpu_and_stays_close(tiny_job):
    exact, rounded = tiny_job(), tiny_job(world={"compute_dtype": "bfloat16"})
    for job in (exact, rounded):
        train(job.plan, job.ml)
    assert rounded.curve("loss") != exact.curve("loss")
    assert rounded.curve("loss") == pytest.approx(exact.curve("loss"), rel=5e-3)


def test_masters_are_float32_whatever_the_base_is_stored_in_and_computed_with(tiny_job):
    job = tiny_job(base=in_bfloat16, world={"compute_dtype": "bfloat16"}, model={"dtype": "float32"})
    train(job.plan, job.ml)
    # In bfloat16, a step of 1e-3 would vanish beside larger weights.
    for weight in load_file(job.ml.model / "model.safetensors").values():
        assert (weight != weight.bfloat16().float()).float().mean() > 0.5


def test_lora_leaves_the_base_alone_and_merges_into_it(tiny_job):
    job = tiny_job(lora=LORA)
    train(job.plan, job.ml)
    before = load_file(job.ml.channel("model") / "model.safetensors")
    after = load_file(job.ml.model / "model.safetensors")
    changed = {name for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert before.keys() == after.keys()
    assert changed == {name for name in before if "_proj" in name}
    model = AutoModelForCausalLM.from_pretrained(job.ml.model)
    assert held_out_loss(model, job, "validation") == pytest.approx(last_evaluation(job, "domain")["loss"], rel=1e-6)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft 0.21 on transformers 5.23
def test_an_adapter_alone_equals_the_merged_model(tiny_job):
    merged, alone = tiny_job(lora=LORA), tiny_job(lora=Lora(**vars(LORA) | {"merge": False}))
    for job in (merged, alone):
        train(job.plan, job.ml)
    assert not (alone.ml.model / "model.safetensors").exists()
    assert model_faults(alone.ml.model) == []
    config = json.loads((alone.ml.model / "adapter_config.json").read_text("utf-8"))
    assert config["base_model_name_or_path"] == alone.plan.model.name_or_path
    (alone.ml.model / "adapter_config.json").write_text(
        json.dumps(config | {"base_model_name_or_path": str(alone.ml.channel("model"))}), "utf-8"
    )
    shutil.copy(alone.ml.channel("model") / "config.json", alone.ml.model)
    with_adapter = AutoPeftModelForCausalLM.from_pretrained(alone.ml.model)
    assert held_out_loss(with_adapter, alone, "validation") == pytest.approx(
        held_out_loss(AutoModelForCausalLM.from_pretrained(merged.ml.model), merged, "validation"), rel=1e-5
    )


def test_a_rehearsal_trains_a_stand_in_and_says_so(tiny_job):
    job = tiny_job(base=lambda _folder: None, model={"stand_in": True, "name_or_path": "nova-lite"})
    assert train(job.plan, job.ml) == "completed"
    assert "stand-in took the place of `nova-lite`" in (job.ml.model / "README.md").read_text("utf-8")


def test_a_wish_to_stop_ends_the_job_without_a_model(tiny_job):
    job = tiny_job()
    request_stop(job.ml, "SIGTERM")
    assert train(job.plan, job.ml) == "stopped"
    assert job.records("end")[0]["outcome"] == "stopped"
    assert not job.ml.model.exists()


def test_a_loss_that_is_not_finite_ends_the_job_before_the_optimizer_moves(tiny_job):
    texts = [f"the river {number}" for number in range(40)]
    job = tiny_job(
        base=with_a_poisoned_byte, texts={"train": [*texts, "the line with a Z in it"]}, geometry={"steps": 9}
    )
    with pytest.raises(TrainingFailure, match=r"CPT604: the loss \(`nan`\) is not finite at step \d+") as caught:
        train(job.plan, job.ml)
    steps = job.records("step")
    assert f"step {len(steps) + 1}," in str(caught.value)
    assert all(math.isfinite(row["loss"]) for row in steps)
    assert job.records("end")[0]["outcome"] == "failed"
    assert not job.ml.model.exists()


def steps_with(job, word, texts):
    """Number the steps whose batch holds a document with a word, from the rows themselves."""
    line = next(number for number, text in enumerate(texts, start=1) if word in text)
    steps = range(job.plan.geometry.steps)
    return [step + 1 for step in steps if f"train/data.jsonl:{line}" in step_places(job.plan, rows_of(job), step)]


def test_steps_that_are_not_finite_are_left_out_as_often_as_the_recipe_says(tiny_job):
    texts = [*(f"the river {number} runs over stone and sand" for number in range(40)), "the line with a Z in it"]
    changes = {"base": with_a_poisoned_byte, "texts": {"train": texts}, "geometry": {"steps": 9}}
    job = tiny_job(**changes, optimizer={"max_skipped_steps": 9})
    assert train(job.plan, job.ml) == "completed"
    bad = steps_with(job, "Z", texts)
    assert 0 < len(bad) < 9
    skips = [row for row in job.records("event") if row["name"] == "skipped-step"]
    assert [row["step"] for row in skips] == bad
    # Schedule and data go on, and the optimizer has not moved: the steps between learn as if nothing had been.
    assert [row["step"] for row in job.records("step") if row["loss"] is None] == bad
    assert job.curve("lr") == [learning_rate(job.plan.schedule, completed) for completed in range(9)]
    assert job.records("step")[-1]["skipped"] == len(bad)
    weights = load_file(job.ml.model / "model.safetensors")
    assert not [name for name, weight in weights.items() if "embed" not in name and not weight.isfinite().all()]

    stricter = tiny_job(**changes, optimizer={"max_skipped_steps": len(bad) - 1})
    with pytest.raises(TrainingFailure, match=rf"CPT604: .* at step {bad[-1]}, .*; {len(bad)} such steps"):
        train(stricter.plan, stricter.ml)


def test_bits_per_byte_are_those_of_the_text(tiny_job):
    job = tiny_job()
    train(job.plan, job.ml)
    # The stand-in has one token for a byte and one for the end of a document.
    for name, channel in (("domain", "validation"), ("general", "general-validation")):
        lines = (job.ml.channel(channel) / "data.jsonl").read_text("utf-8").splitlines()
        num_bytes = sum(len(json.loads(line)["text"].encode()) for line in lines)
        for row in (row for row in job.records("eval") if row["set"] == name):
            expected = row["loss"] * (num_bytes + len(lines)) / num_bytes / math.log(2)
            assert row["bits_per_byte"] == pytest.approx(expected, rel=1e-9)
    rows = rows_of(job)["train"].header
    assert rows.num_tokens - rows.text_bytes == 60  # documents
    for row in job.records("step"):
        expected = row["loss"] * rows.num_tokens / rows.text_bytes / math.log(2)
        assert row["bits_per_byte"] == pytest.approx(expected, rel=1e-9)


def test_every_evaluation_says_how_far_the_loss_has_moved_since_before_the_first_step(tiny_job):
    job = tiny_job(evaluation={"every_steps": 2}, geometry={"steps": 4})
    train(job.plan, job.ml)
    for name in ("domain", "general"):
        rows = [row for row in job.records("eval") if row["set"] == name]
        assert [row["step"] for row in rows] == [0, 2, 4]
        assert [row["change_nats"] for row in rows] == [row["loss"] - rows[0]["loss"] for row in rows]


def test_a_step_counts_the_operations_of_its_documents(tiny_job):
    job = tiny_job(geometry={"steps": 2})
    train(job.plan, job.ml)
    flops = count_flops(AutoModelForCausalLM.from_pretrained(job.ml.channel("model")))
    for step, row in enumerate(job.records("step")):
        batches = list(train_batches(job.plan, rows_of(job), rank=0, world_size=1))[step]
        pieces = np.concatenate([batch.piece_lengths for batch in batches])
        seconds = row["seconds"]
        assert row["flops_per_s_document"] * seconds == pytest.approx(flops.document(pieces), rel=1e-6)
        assert row["flops_per_s_full"] * seconds == pytest.approx(flops.full(int(pieces.sum()), 48), rel=1e-6)
        assert row["mfu_full"] is None
    (remark,) = [row["message"] for row in job.records("event") if row["name"] == "gauges"]
    assert (
        remark == "no MFU, because the peak of a CPU is not in the table; no GPU utilisation, because there is no GPU"
    )


def test_a_batch_in_which_nothing_follows_anything_ends_the_job_with_a_reason(tiny_job):
    job = tiny_job(texts={"train": ["the river"] * 3}, geometry={"seq_len_tokens": 1})
    with pytest.raises(TrainingFailure, match=r"CPT612: step 1 has no token that follows another; .* `train/data"):
        train(job.plan, job.ml)


def test_what_the_plan_estimated_is_told_as_it_was_counted(tiny_job):
    job = tiny_job(geometry={"steps": 6, "train_rows": 48})
    train(job.plan, job.ml)
    found = rows_of(job)
    told = {row["message"].partition(":")[0]: row["message"] for row in job.records("event") if row["name"] == "data"}
    assert told.keys() == found.keys()
    counted = f"60 documents, {found['train'].header.num_tokens} tokens in {len(found['train'])} rows"
    passes = f"{48 / len(found['train']):.3g} times"
    padding = f"{1 - found['train'].header.num_tokens / found['train'].tokens.size:.1%} padding"
    waste = f"0.0% of the tokens in 0 cut documents, {padding}"
    assert told["train"] == f"train: {counted}, estimated as 1 in 1, passed over {passes}; {waste}"
    assert " rows, estimated as 1 in 1; " in told["validation"]


def test_a_model_whose_positions_depend_on_the_batch_is_refused_before_the_first_step(tiny_job):
    def stretching(folder):
        build_stand_in(folder, seed=7, context_tokens=32)
        path = folder / "config.json"
        rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"rope_parameters": rope}), "utf-8")

    job = tiny_job(base=stretching)
    with pytest.raises(TrainingFailure, match=r"CPT602: .*`dynamic`.* more than 32 tokens, and rows have 48"):
        train(job.plan, job.ml)


def test_a_gradient_that_is_not_finite_ends_the_job_too(tiny_job):
    job = tiny_job(schedule={"lr": 1e38, "min_lr": 0.0, "warmup_steps": 0}, optimizer={"max_grad_norm": 0.0})
    with pytest.raises(TrainingFailure, match=r"CPT604: the .* is not finite at step 2"):
        train(job.plan, job.ml)


def test_held_out_text_that_the_base_model_cannot_read_is_told_before_training(tiny_job):
    job = tiny_job(base=with_a_poisoned_byte, texts={"train": ["river"] * 60, "validation": ["a Z"]})
    with pytest.raises(TrainingFailure, match="CPT609"):
        train(job.plan, job.ml)
    assert job.records("step") == []


def test_tokens_that_the_model_does_not_know_are_refused(tiny_job):
    def smaller(folder):
        build_stand_in(folder, seed=7, context_tokens=64)
        model = AutoModelForCausalLM.from_pretrained(folder)
        model.resize_token_embeddings(200)
        model.save_pretrained(folder)

    job = tiny_job(base=smaller)
    with pytest.raises(
        TrainingFailure, match="CPT603: the tokenizer makes token 256 of the data, the model knows tokens 0 to 199"
    ):
        train(job.plan, job.ml)
