"""The loss is a float32 sum, whatever the chunks and the compute dtype."""

import pytest
import torch
import torch.nn.functional as F

from cloudcpt.plan.memory import LOSS_CHUNK_TOKENS
from cloudcpt.train.loss import CausalLoss, chunk_tokens, model_inputs

pytestmark = pytest.mark.train

CPU = torch.device("cpu")


def loss_and_gradients(model, packed, chunk):
    loss_of = CausalLoss(model, chunk_tokens=chunk)
    loss_of.zero_grad()
    loss = loss_of(**model_inputs(packed, CPU))
    loss.backward()
    return loss.detach(), {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("chunk", [1, 5, 16, 31])
@pytest.mark.parametrize("tied", [True, False])
def test_chunks_change_neither_loss_nor_gradients(chunk, tied, tiny_model, packed):
    model = tiny_model("llama", tie_word_embeddings=tied)
    whole, whole_gradients = loss_and_gradients(model, packed, 1024)
    loss, gradients = loss_and_gradients(model, packed, chunk)
    torch.testing.assert_close(loss, whole)
    assert gradients.keys() == whole_gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, whole_gradients[name], atol=1e-5, rtol=1e-4)


def test_only_one_chunk_of_logits_exists_at_a_time(tiny_model, packed):
    largest = []
    model = tiny_model("llama")
    model.get_output_embeddings().register_forward_hook(lambda _head, _inputs, logits: largest.append(logits.shape[0]))
    loss_and_gradients(model, packed, 8)
    assert max(largest) == 8
    assert len(largest) == 2 * 32 // 8  # once forward, once again for the backward pass


def test_a_bfloat16_model_still_has_a_float32_loss(tiny_model, packed):
    model = tiny_model("llama").to(torch.bfloat16).eval()
    with torch.no_grad():
        loss = CausalLoss(model, chunk_tokens=8)(**model_inputs(packed, CPU))
        logits = torch.cat(
            [CausalLoss(model, chunk_tokens=8)(**one_token_at_a_time(packed, place)) for place in range(5)]
        )
    assert loss.dtype == torch.float32
    assert logits.dtype == torch.float32
    assert float(loss.to(torch.bfloat16)) != float(loss)


def one_token_at_a_time(packed, place):
    """Ask for the prediction after the first tokens of the first document."""
    count = place + 1
    return {
        "tokens": packed.tokens[:1, :count],
        "positions": packed.positions[:1, :count],
        "cu_seqlens": torch.tensor([0, count], dtype=torch.int32),
        "segment_lengths": (count,),
        "labels": None,
    }


def test_without_labels_it_predicts_the_token_after_the_last_position(tiny_model, packed):
    model = tiny_model("llama").eval()
    with torch.no_grad():
        logits = torch.cat(
            [CausalLoss(model, chunk_tokens=8)(**one_token_at_a_time(packed, place)) for place in range(4)]
        )
        expected = model.set_attn_implementation("eager") or model(packed.tokens[:1, :4], use_cache=False).logits[0]
    torch.testing.assert_close(logits, expected)
    loss = F.cross_entropy(logits, packed.labels[0, :4], reduction="sum")
    assert float(loss) > 0


def test_a_batch_without_labels_costs_nothing_and_gives_no_gradient(tiny_model, packed):
    model = tiny_model("llama")
    empty = {**model_inputs(packed, CPU), "labels": torch.full((2, 16), -100)}
    loss = CausalLoss(model, chunk_tokens=8)(**empty)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert all(not parameter.grad.any() for parameter in model.parameters())


def test_a_chunk_is_what_the_memory_estimate_counts_on_and_more_for_small_vocabularies():
    assert chunk_tokens(128_256) == LOSS_CHUNK_TOKENS
    assert chunk_tokens(4096) * 4096 * 4 <= 64 * 2**20
    assert chunk_tokens(4096) > LOSS_CHUNK_TOKENS
