"""Whole jobs with adapters: embeddings beside them, few bits below them, and what comes out of either."""

import json
import shutil

import pytest
import torch
from peft import AutoPeftModelForCausalLM
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from cloudcpt.plan.plan import Lora
from cloudcpt.train.quantise import QuantisedLinear
from cloudcpt.train.run import train
from cloudcpt.wire import model_faults
from tests.train.test_train_recovery import LONG, learnt, stopped_at
from tests.train.test_train_run import held_out_loss, last_evaluation, untied

pytestmark = pytest.mark.train

LORA = Lora(
    rank=4, alpha=8.0, dropout=0.0, target_modules=("all-linear",), rslora=False, merge=True, bits=0, embedding_lr=0.0
)


def with_lora(**changes):
    return Lora(**vars(LORA) | changes)


def weights_of(folder):
    return load_file(folder / "model.safetensors")


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft 0.21 on transformers 5.23
@pytest.mark.parametrize("base", [None, untied])
@pytest.mark.parametrize(
    "settings",
    [{"embedding_lr": 5e-4}, {"rslora": True, "rank": 96, "dropout": 0.1, "target_modules": ("q_proj", "down_proj")}],
)
def test_merged_model_and_adapter_on_its_base_are_what_was_measured(settings, base, tiny_job):
    merged, alone = (tiny_job(base=base, lora=with_lora(**settings, merge=merge)) for merge in (True, False))
    for job in (merged, alone):
        train(job.plan, job.ml)
        assert model_faults(job.ml.model) == []
    measured = last_evaluation(merged, "domain")["loss"]
    whole = AutoModelForCausalLM.from_pretrained(merged.ml.model)
    assert held_out_loss(whole, merged, "validation") == pytest.approx(measured, rel=1e-6)
    config = json.loads((alone.ml.model / "adapter_config.json").read_text("utf-8"))
    assert config["base_model_name_or_path"] == alone.plan.model.name_or_path
    (alone.ml.model / "adapter_config.json").write_text(
        json.dumps(config | {"base_model_name_or_path": str(alone.ml.channel("model"))}), "utf-8"
    )
    shutil.copy(alone.ml.channel("model") / "config.json", alone.ml.model)
    on_base = AutoPeftModelForCausalLM.from_pretrained(alone.ml.model)
    assert held_out_loss(on_base, alone, "validation") == pytest.approx(measured, rel=1e-5)


def test_embeddings_learn_at_their_own_rate_and_count_in_the_gradient_norm(tiny_job):
    """The first update of Adam moves a weight by its learning rate, whatever the gradient."""
    one_step = {"geometry": {"steps": 1}, "schedule": {"lr": 1e-2, "min_lr": 1e-3, "warmup_steps": 0}}
    optimizer = {"weight_decay": 0.0, "eps": 1e-12}
    jobs = [tiny_job(**one_step, optimizer=optimizer, lora=with_lora(embedding_lr=rate)) for rate in (0.0, 2e-4)]
    for job in jobs:
        train(job.plan, job.ml)
    name = "model.embed_tokens.weight"
    before, plain, moved = (weights_of(folder)[name] for folder in (jobs[0].ml.channel("model"), *each_model(jobs)))
    assert torch.equal(plain, before)
    assert float((moved - before).abs().max()) == pytest.approx(2e-4, rel=1e-3)
    assert jobs[1].curve("grad_norm")[0] > jobs[0].curve("grad_norm")[0] * 1.1
    assert jobs[1].curve("loss") == jobs[0].curve("loss")


def each_model(jobs):
    return [job.ml.model for job in jobs]


@pytest.mark.parametrize(("bits", "distance"), [(4, 0.01), (8, 0.001)])
def test_a_base_in_few_bits_starts_near_the_whole_one_learns_and_is_merged_as_it_was_trained(bits, distance, tiny_job):
    whole, small = (tiny_job(lora=with_lora(bits=count)) for count in (0, bits))
    for job in (whole, small):
        train(job.plan, job.ml)
    rows = [[row["loss"] for row in job.records("eval") if row["set"] == "domain"] for job in (whole, small)]
    first, last = zip(*rows, strict=True)
    for plain, quantised in (first, last):
        assert plain != quantised == pytest.approx(plain, rel=distance)
    assert last[1] < first[1] - 0.02
    merged = AutoModelForCausalLM.from_pretrained(small.ml.model)
    assert held_out_loss(merged, small, "validation") == pytest.approx(
        last_evaluation(small, "domain")["loss"], rel=1e-6
    )


def test_codes_are_counted_as_the_weights_that_they_stand_for(tiny_job):
    jobs = [tiny_job(lora=with_lora(bits=bits), geometry={"steps": 1}) for bits in (0, 4)]
    for job in jobs:
        train(job.plan, job.ml)
    counts, expected = ([row for row in job.records("event") if row["name"] == "model"] for job in jobs)
    assert (
        [row["message"] for row in counts]
        == [row["message"] for row in expected]
        == ["98688 parameters, 8192 of them learn"]
    )


def test_frozen_maps_without_an_adapter_are_exported_as_they_were_held(tiny_job):
    job = tiny_job(lora=with_lora(bits=4, target_modules=("q_proj",)), geometry={"steps": 1})
    train(job.plan, job.ml)
    before, after = weights_of(job.ml.channel("model")), weights_of(job.ml.model)
    assert before.keys() == after.keys()
    for name, weight in before.items():
        if "q_proj" in name:
            assert not torch.equal(after[name], weight)
        elif "_proj" in name:
            linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
            linear.weight.data = weight
            small = QuantisedLinear(linear.requires_grad_(False), 4)
            assert torch.equal(after[name], small.whole(small.weight))
        else:
            assert torch.equal(after[name], weight)


def test_a_run_on_few_bits_with_embeddings_goes_on_to_the_bit(tiny_job):
    """The second group's rate is a function of the schedule, and codes are made anew from the base model."""
    plain, stopped = (tiny_job(**LONG, lora=with_lora(bits=4, embedding_lr=5e-4, dropout=0.1)) for _ in range(2))
    train(plain.plan, plain.ml)
    stopped_at(stopped, "5|")
    assert train(stopped.plan, stopped.ml) == "completed"
    assert learnt(stopped) == learnt(plain)
