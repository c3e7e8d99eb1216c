"""Bytes on one GPU against hand-worked numbers, saved tensors of real layers, and what is chosen so that it fits."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.plan.memory import RESERVE_BYTES, Load, memory_terms, place
from cloudcpt.plan.plan import Lora
from cloudcpt.plan.sizes import Sizes

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
FULL_8B = Load(sizes=LLAMA_8B, lora=None, seq_len=8192, stored_bytes=2)
LORA = Lora(rank=16, alpha=32.0, dropout=0.0, target_modules=("all-linear",), rslora=False, merge=True)


def terms_of(load: Load, *, gpus: int, rows: int = 1, activations: str = "recompute") -> dict[str, int]:
    terms = memory_terms(load, world_size=gpus, micro_batch_rows=rows, activations=activations)
    return {term.name: term.size_bytes for term in terms}


def test_an_8b_model_on_eight_gpus_is_what_the_hand_says():
    layer = (8_030_261_248 - 2 * 525_336_576) // 32
    assert terms_of(FULL_8B, gpus=8) == {
        "fp32 weights": 4_015_130_624,
        "fp32 gradients": 4_015_130_624,
        "fp32 moments (two)": 8_030_261_248,
        "bf16 weights at work (two layers, embeddings)": 2 * (2 * layer + 2 * 525_336_576),
        "gradients before they are reduced": 6 * 2 * 525_336_576,
        # 2.1 GB of layer inputs, and one layer of 16 * 4096 + 10 * 5120 + 8 * 14336 bytes per position
        "activations (recomputed)": 32 * 8192 * 4096 * 2 + 8192 * 231_424,
        "logits of one chunk": 1024 * 128_256 * 10,
        "CUDA, communication, fragmentation (assumed)": RESERVE_BYTES,
    }


@pytest.mark.parametrize(
    ("parameters", "gpus", "gigabytes"),
    [(8.03e9, 8, 16.1), (32.76e9, 32, 16.4), (70.55e9, 16, 70.6), (70.55e9, 32, 35.3), (70.55e9, 64, 17.6)],
)
def test_states_are_sixteen_bytes_per_parameter_over_all_gpus(parameters, gpus, gigabytes):
    load = replace(FULL_8B, sizes=replace(LLAMA_8B, parameters=int(parameters)))
    states = sum(size for name, size in terms_of(load, gpus=gpus).items() if name.startswith("fp32"))
    assert states / 1e9 == pytest.approx(gigabytes, abs=0.06)


def test_adapters_freeze_the_weights_as_they_are_stored():
    terms = terms_of(replace(FULL_8B, lora=LORA), gpus=8)
    assert terms["frozen weights"] == 2 * 8_030_261_248 // 8
    assert terms["fp32 adapters, gradients and moments"] == 16 * 16 * 32 * 81_920 // 8
    assert "gradients before they are reduced" not in terms


@given(gpus=st.integers(1, 64), rows=st.integers(1, 8))
def test_recomputing_never_takes_more_than_keeping(gpus, rows):
    kept = sum(terms_of(FULL_8B, gpus=gpus, rows=rows, activations="all").values())
    recomputed = sum(terms_of(FULL_8B, gpus=gpus, rows=rows, activations="recompute").values())
    assert recomputed < kept


@pytest.mark.parametrize(
    ("capacity_gb", "expected"),
    [
        (400, (4, "all")),
        (200, (2, "all")),
        (92, (1, "all")),
        (80, (4, "recompute")),
        (35, (1, "recompute")),
    ],
)
def test_activations_are_kept_before_they_are_recomputed_before_rows_get_few(capacity_gb, expected):
    chosen = place(FULL_8B, world_size=8, capacity_bytes=capacity_gb * 10**9, micro_batches=(4, 2, 1))
    assert chosen.fits
    assert (chosen.micro_batch_rows, chosen.memory.activations) == expected
    assert chosen.memory.total_bytes == sum(term.size_bytes for term in chosen.memory.terms)


def test_short_rows_are_recomputed_rather_than_starving_the_gpu():
    """With 512 positions a row, a micro-batch of 16 just keeps a GPU busy; 8 with everything kept would not."""
    short = replace(FULL_8B, seq_len=512)
    kept = sum(terms_of(short, gpus=8, rows=16, activations="all").values())
    chosen = place(short, world_size=8, capacity_bytes=kept - 1, micro_batches=(32, 16, 8, 4, 2, 1))
    assert (chosen.micro_batch_rows, chosen.memory.activations) == (32, "recompute")


def test_what_cannot_fit_says_so_with_the_smallest_arrangement():
    chosen = place(FULL_8B, world_size=1, capacity_bytes=80 * 10**9, micro_batches=(4, 2, 1))
    assert not chosen.fits
    assert (chosen.micro_batch_rows, chosen.memory.activations) == (1, "recompute")


@pytest.mark.train
@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_activations_cover_what_a_real_layer_saves(family):
    """Count the tensors that autograd saves for one more layer, in bf16."""
    import torch
    import transformers

    shape = {"hidden_size": 128, "intermediate_size": 448, "num_attention_heads": 4, "num_key_value_heads": 2}
    names = {"llama": ("LlamaConfig", "LlamaForCausalLM"), "qwen3": ("Qwen3Config", "Qwen3ForCausalLM")}[family]
    positions = 64

    def saved_bytes(layers: int) -> int:
        config = getattr(transformers, names[0])(num_hidden_layers=layers, vocab_size=32, head_dim=32, **shape)
        model = getattr(transformers, names[1])(config).to(torch.bfloat16).train()
        known = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        kept: dict[int, torch.Tensor] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            output = model.model(input_ids=torch.zeros(1, positions, dtype=torch.long), use_cache=False)
        assert output.last_hidden_state.requires_grad
        return sum(tensor.untyped_storage().nbytes() for at, tensor in kept.items() if at not in known)

    sizes = Sizes(
        parameters=1_000_000,
        layers=1,
        hidden_size=128,
        intermediate_size=448,
        heads=4,
        kv_heads=2,
        head_dim=32,
        vocab_size=32,
        tied_embeddings=False,
    )
    load = Load(sizes=sizes, lora=None, seq_len=positions, stored_bytes=2)
    counted = terms_of(load, gpus=1, activations="all")["activations (all kept)"]
    measured = (saved_bytes(3) - saved_bytes(1)) / 2
    assert 0.8 * counted < measured <= 1.01 * counted
