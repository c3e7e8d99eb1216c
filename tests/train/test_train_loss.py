"""The loss is a float32 sum, whatever the chunks and the compute dtype."""

import pytest
import torch
import torch.nn.functional as F

from cloudcpt.plan.memory import LOSS_CHUNK_TOKENS
from cloudcpt.train.batches import IGNORE
from cloudcpt.train.likelihood import losses_and_gradient, summed_losses
from cloudcpt.train.loss import CausalLoss, chunk_tokens, model_inputs

pytestmark = pytest.mark.train

CPU = torch.device("cpu")


def loss_and_gradients(model, packed, chunk):
    loss_of = CausalLoss(model, chunk_tokens=chunk)
    loss_of.zero_grad()
    loss = loss_of(**model_inputs(packed, CPU))
    loss.backward()
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    return loss.detach(), {name: parameter.grad.clone() for name, parameter in learning.items()}


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


def textbook(logits, labels, cap):
    """Sum the losses of capped logits, in float64, and let autograd find the gradient."""
    logits = logits.double().requires_grad_()
    capped = logits if cap is None else cap * torch.tanh(logits / cap)
    loss = F.cross_entropy(capped, labels, reduction="sum")
    loss.backward()
    return loss.detach(), logits.grad


@pytest.mark.parametrize("cap", [None, 5.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("vocab_size", [30, 300_000], ids=["in one slice", "in several"])
def test_losses_and_their_gradient_are_those_of_a_textbook(cap, dtype, vocab_size):
    generator = torch.Generator().manual_seed(6)
    logits = (8 * torch.randn(11, vocab_size, generator=generator)).to(dtype)
    labels = torch.randint(vocab_size, (11,), generator=generator)
    labels[[0, 4]] = IGNORE
    loss, gradient = losses_and_gradient(logits, labels, cap)
    expected_loss, expected_gradient = textbook(logits, labels, cap)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(expected_loss), rel=1e-5)
    tolerance = 1e-6 if dtype == torch.float32 else 4e-3
    torch.testing.assert_close(gradient.double(), expected_gradient, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("chunk", [1024, 5])
def test_only_what_learns_in_the_head_gets_a_gradient(chunk, tiny_model, packed):
    model = tiny_model("llama", tie_word_embeddings=False)
    _, whole = loss_and_gradients(model, packed, 1024)
    model.zero_grad()
    model.get_output_embeddings().requires_grad_(False)
    _, gradients = loss_and_gradients(model, packed, chunk)
    assert whole.keys() - gradients.keys() == {"lm_head.weight"}
    assert model.lm_head.weight.grad is None
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, whole[name], atol=1e-5, rtol=1e-4)


def test_a_head_that_is_more_than_one_map_gets_its_gradients_too(tiny_model, packed):
    """An adapter on the output embedding, as peft would put it there."""

    class Adapted(torch.nn.Module):
        def __init__(self, base):
            super().__init__()
            self.base = base.requires_grad_(False)
            self.down = torch.nn.Linear(32, 2, bias=False)
            self.up = torch.nn.Linear(2, 128, bias=False)

        def forward(self, states):
            return self.base(states) + self.up(self.down(states))

    model = tiny_model("llama", tie_word_embeddings=False)
    model.set_output_embeddings(Adapted(model.get_output_embeddings()))
    _, gradients = loss_and_gradients(model, packed, 5)
    hidden = model.base_model(
        packed.tokens, position_ids=packed.positions, use_cache=False, cu_seqlens=packed.cu_seqlens
    )
    logits = model.get_output_embeddings()(hidden.last_hidden_state).flatten(0, 1)
    model.zero_grad()
    F.cross_entropy(logits, packed.labels.flatten(), reduction="sum").backward()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, model.get_parameter(name).grad, atol=1e-5, rtol=1e-4)


def test_many_chunks_lose_no_digits_of_the_heads_gradient_in_bfloat16():
    """Added up in bfloat16, the last of 512 chunks would hardly count."""
    head = torch.nn.Linear(4, 6, bias=False).bfloat16()
    hidden = torch.randn(512, 4, generator=torch.Generator().manual_seed(8)).bfloat16() + 1
    labels = torch.zeros(512, dtype=torch.long)
    settings = {"cap": None, "chunk_tokens": 1, "judge": losses_and_gradient}
    summed_losses(head, hidden.requires_grad_(), labels, **settings).backward()
    exact = torch.nn.Linear(4, 6, bias=False).double()
    exact.load_state_dict(head.state_dict())
    F.cross_entropy(exact(hidden.detach().double()), labels, reduction="sum").backward()
    assert float((head.weight.grad - exact.weight.grad).norm() / exact.weight.grad.norm()) < 4e-3


def test_only_one_chunk_of_logits_exists_at_a_time(tiny_model, packed):
    largest = []
    model = tiny_model("llama")
    model.get_output_embeddings().register_forward_hook(lambda _head, _inputs, logits: largest.append(logits.shape[0]))
    loss_and_gradients(model, packed, 8)
    assert max(largest) == 8
    assert len(largest) == 32 // 8  # computed once


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
