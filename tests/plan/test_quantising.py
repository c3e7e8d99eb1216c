"""Frozen weights in few bits and embeddings that learn: where they may be, and what one GPU then holds."""

from dataclasses import replace

import pytest

from cloudcpt.errors import PlanError
from cloudcpt.plan.instances import Machine
from cloudcpt.plan.memory import Load, memory_terms
from cloudcpt.plan.plan import Dropouts, Lora
from cloudcpt.plan.sizes import Sizes

GPU_BOX = Machine(gpus=4, gpu_memory_bytes=80 * 10**9, cpus=32, gpu_name="NVIDIA H100 80GB HBM3")
SMALL = {"training_config": {"peft": {"method": "lora", "bits": 4}}}
LLAMA_8B = Sizes(
    parameters=8_030_261_248,
    layers=32,
    hidden_size=4096,
    intermediate_size=14336,
    heads=32,
    kv_heads=8,
    head_dim=128,
    vocab_size=128_256,
    tied_embeddings=False,
)
EMBEDDINGS = 2 * 128_256 * 4096
LORA = Lora(
    rank=16, alpha=32.0, dropout=0.0, target_modules=("all-linear",), rslora=False, merge=True, bits=0, embedding_lr=0.0
)


def refused(desk, changes, **options):
    with pytest.raises(PlanError) as caught:
        desk.plan(desk.recipe(changes), **options)
    return {found.code: found.message for found in caught.value.diagnostics}


def test_few_bits_are_planned_on_gpus(desk):
    plan, _ = desk.plan(desk.recipe(SMALL), machine=GPU_BOX)
    assert plan.lora is not None
    assert (plan.lora.bits, plan.world.device) == (4, "cuda")


def test_few_bits_are_refused_on_a_cpu_with_the_place(desk):
    assert refused(desk, SMALL)["CPT517"] == "`bits: 4` is for GPUs, and this job computes on the CPU"
    on_cpu = {"launch": {"device": "cpu"}, "training_config": {"peft": {"method": "lora", "bits": 8}}}
    assert "`bits: 8` is for GPUs" in refused(desk, on_cpu, machine=GPU_BOX)["CPT517"]


def test_a_rehearsal_has_few_bits_anywhere(desk):
    plan, _ = desk.plan(desk.recipe(SMALL), stand_in=True)
    assert plan.lora is not None
    assert (plan.lora.bits, plan.world.device) == (4, "cpu")


def test_a_model_whose_maps_are_transposed_has_none(desk):
    desk.write_model(model_type="gpt2", n_layer=2, n_embd=8, n_head=2, n_positions=64, n_inner=16)
    assert "of type `gpt2`" in refused(desk, SMALL, machine=GPU_BOX)["CPT517"]


def terms_of(**changes):
    load = Load(
        sizes=LLAMA_8B,
        lora=replace(LORA, **changes),
        dropouts=Dropouts(hidden=0.0, attention=0.0, ffn=0.0),
        seq_len=8192,
        stored_bytes=2,
        compiled=False,
    )
    terms = memory_terms(load, shard_processes=1, micro_batch_rows=1, activations="full")
    return {term.name: term.size_bytes for term in terms}


@pytest.mark.parametrize(("bits", "bytes_per_weight"), [(4, 0.5625), (8, 1.0625)])
def test_weights_of_the_layers_take_few_bits_and_embeddings_stay_as_they_are(bits, bytes_per_weight):
    in_layers = 8_030_261_248 - EMBEDDINGS
    assert terms_of(bits=bits)["frozen weights"] == pytest.approx(bytes_per_weight * in_layers + 2 * EMBEDDINGS, abs=99)


def test_embeddings_that_learn_take_sixteen_bytes_each_and_are_frozen_no_longer():
    frozen, learning = terms_of(), terms_of(embedding_lr=1e-5)
    assert "fp32 embeddings, gradients and moments" not in frozen
    assert learning["fp32 embeddings, gradients and moments"] == 16 * EMBEDDINGS
    assert frozen["frozen weights"] - learning["frozen weights"] == 2 * EMBEDDINGS
    assert learning["gradients before they are reduced"] == 6 * EMBEDDINGS


ON_ONE_GPU = {
    "run": {"model_type": "llama-3.1-70b", "model_name_or_path": "meta-llama/Llama-3.1-70B"},
    "launch": {"target": "sagemaker", "instance_type": "ml.p5.4xlarge"},
}


@pytest.mark.parametrize(("peft", "fits"), [({"method": "none"}, False), ({"method": "lora", "bits": 4}, True)])
def test_fewer_bits_are_offered_where_they_make_it_fit_and_adapters_alone_do_not(peft, fits, desk, reported):
    training = {"max_length": 8192, "global_batch_size": 256, "peft": peft}
    loaded = desk.recipe({**ON_ONE_GPU, "training_config": training})
    reports = {"train": reported([30_000] * 2000)}
    if fits:
        assert desk.plan(loaded, reports)[0].memory.capacity_bytes
    else:
        with pytest.raises(PlanError) as caught:
            desk.plan(loaded, reports)
        (found,) = [one for one in caught.value.diagnostics if one.code == "CPT540"]
        assert found.hint is not None
        assert "`peft: {method: lora, bits: 4}` fits where it is" in found.hint
