"""Bytes on one GPU against hand-worked numbers, saved tensors of real layers, and what is chosen so that it fits."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.plan.activations import BY_SPEED, activation_bytes, activation_choices
from cloudcpt.plan.memory import RESERVE_BYTES, Load, memory_terms, place
from cloudcpt.plan.plan import Dropouts, Lora
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
NO_DROPOUT = Dropouts(hidden=0.0, attention=0.0, ffn=0.0)
FULL_8B = Load(sizes=LLAMA_8B, lora=None, dropouts=NO_DROPOUT, seq_len=8192, stored_bytes=2, compiled=False)
EAGER = ("none", "selective", "full")
LORA = Lora(
    rank=16, alpha=32.0, dropout=0.0, target_modules=("all-linear",), rslora=False, merge=True, bits=0, embedding_lr=0.0
)


def terms_of(load: Load, *, gpus: int, rows: int = 1, activations: str = "full") -> dict[str, int]:
    terms = memory_terms(load, shard_processes=gpus, micro_batch_rows=rows, activations=activations)
    return {term.name: term.size_bytes for term in terms}


def test_an_8b_model_on_eight_gpus_is_what_the_hand_says():
    layer = (8_030_261_248 - 2 * 525_336_576) // 32
    assert terms_of(FULL_8B, gpus=8) == {
        "fp32 weights": 4_015_130_624,
        "fp32 gradients": 4_015_130_624,
        "fp32 moments (two)": 8_030_261_248,
        "bf16 weights at work (two layers, embeddings)": 2 * (2 * layer + 2 * 525_336_576),
        "gradients before they are reduced": 6 * 2 * 525_336_576,
        # 2.1 GB of layer inputs, and one layer of 17 * 4096 + 5 * 5120 + 8 * 14336 bytes per position
        "activations (recomputed)": 32 * 8192 * 4096 * 2 + 8192 * 209_920,
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


@given(gpus=st.integers(1, 64), rows=st.integers(1, 8), compiled=st.booleans(), dropout=st.sampled_from([0.0, 0.1]))
def test_what_is_slower_never_takes_more(gpus, rows, compiled, dropout):
    load = replace(FULL_8B, compiled=compiled, dropouts=Dropouts(hidden=dropout, attention=dropout, ffn=dropout))
    totals = [sum(terms_of(load, gpus=gpus, rows=rows, activations=choice).values()) for choice in BY_SPEED]
    assert totals == sorted(totals, reverse=True)


def activations_of(load: Load, kept: str) -> int:
    """Bytes of one position."""
    return activation_bytes(load.sizes, load.dropouts, kept, positions=1, compiled=load.compiled)


def test_a_compiled_layer_keeps_less_and_half_of_that_is_the_budget():
    compiled = replace(FULL_8B, compiled=True)
    layer = 8 * 4096 + 4 * 5120 + 6 * 14336
    assert activations_of(compiled, "none") == 32 * layer
    assert activations_of(compiled, "budget") == 16 * (layer + 2 * 4096) + layer


def test_selective_keeps_the_input_attention_and_every_other_product_from_the_first_on():
    """Of q, k, v, o, gate, up and down those are q, v, gate and down."""
    kept = 2 * (4096 + 4096 + (4096 + 1024 + 14336 + 4096))
    assert activations_of(FULL_8B, "selective") == 32 * kept + 209_920


def test_a_dropout_keeps_a_byte_for_each_number_on_both_branches_and_inside_the_feed_forward_block():
    for dropouts, masks in ((Dropouts(hidden=0.1, attention=0.0, ffn=0.0), 2 * 4096), (DROPS, 2 * 4096 + 14336)):
        more = activations_of(replace(FULL_8B, dropouts=dropouts), "none") - activations_of(FULL_8B, "none")
        assert more == 32 * masks


DROPS = Dropouts(hidden=0.1, attention=0.1, ffn=0.1)


@pytest.mark.parametrize(
    ("wanted", "compiled", "choices"),
    [
        ("auto", True, ("none", "budget", "selective", "full")),
        ("auto", False, ("none", "selective", "full")),
        ("selective", True, ("selective",)),
    ],
)
def test_only_a_compiler_can_keep_to_a_budget_and_a_forced_choice_is_the_only_one(wanted, compiled, choices):
    assert activation_choices(wanted, compiled=compiled) == choices


def chosen_for(load: Load, *, gpus: int = 8, capacity: int, rows: tuple[int, ...] = (4, 2, 1), choices=EAGER):
    chosen = place(load, shard_processes=gpus, capacity_bytes=capacity, micro_batches=rows, choices=choices)
    assert chosen.memory.total_bytes == sum(term.size_bytes for term in chosen.memory.terms)
    return chosen, (chosen.micro_batch_rows, chosen.memory.activations)


@pytest.mark.parametrize(
    ("capacity_gb", "expected"),
    [
        (400, (4, "none")),
        (200, (2, "none")),
        (92, (1, "none")),
        (80, (2, "selective")),
        (60, (1, "selective")),
        (45, (2, "full")),
        (35, (1, "full")),
    ],
)
def test_activations_are_kept_before_some_and_then_all_are_recomputed_before_rows_get_few(capacity_gb, expected):
    chosen, arrangement = chosen_for(FULL_8B, capacity=capacity_gb * 10**9)
    assert chosen.fits
    assert arrangement == expected


def test_short_rows_are_recomputed_rather_than_starving_the_gpu():
    """With 512 positions a row, a micro-batch of 16 just keeps a GPU busy; 8 with everything kept would not."""
    short = replace(FULL_8B, seq_len=512)
    kept = sum(terms_of(short, gpus=8, rows=16, activations="selective").values())
    assert chosen_for(short, capacity=kept - 1, rows=(32, 16, 8, 4, 2, 1))[1] == (32, "full")


def test_a_forced_choice_takes_as_many_rows_as_fit():
    assert chosen_for(FULL_8B, capacity=92 * 10**9, choices=("none",))[1] == (1, "none")


def test_what_cannot_fit_says_so_with_the_smallest_arrangement():
    chosen, arrangement = chosen_for(FULL_8B, gpus=1, capacity=80 * 10**9)
    assert not chosen.fits
    assert arrangement == (1, "full")
