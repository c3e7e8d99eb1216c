"""Attention stays within a document, within its window, and fails loudly when boundaries are lost."""

import pytest
import torch

from cloudcpt.train.attention import document_attention

pytestmark = pytest.mark.train

LENGTHS = (6, 10, 3, 13)


def states(heads, *, device="cpu", dtype=torch.float32, size=16):
    generator = torch.Generator().manual_seed(heads)
    return torch.randn(2, heads, 16, size, generator=generator).to(device, dtype)


def bounds(device="cpu"):
    return torch.tensor([0, 6, 16, 19, 32], dtype=torch.int32, device=device)


def by_mask(query, key, value, *, window=None):
    """Attend with one explicit mask over both rows: the plain definition."""
    document = torch.repeat_interleave(torch.arange(4), torch.tensor(LENGTHS))
    place = torch.arange(32)
    allowed = (document[:, None] == document) & (place[:, None] >= place)
    if window is not None:
        allowed &= place[:, None] - place < window
    groups = query.shape[1] // key.shape[1]
    query, key, value = (flat.transpose(0, 1).flatten(1, 2).double() for flat in (query, key, value))  # [heads, 32, D]
    key, value = key.repeat_interleave(groups, 0), value.repeat_interleave(groups, 0)
    scores = query @ key.transpose(1, 2) / query.shape[-1] ** 0.5
    mixed = scores.masked_fill(~allowed, -torch.inf).softmax(-1) @ value
    return mixed.transpose(0, 1).reshape(2, 16, query.shape[0], -1)


@pytest.mark.parametrize("key_heads", [4, 2, 1])
@pytest.mark.parametrize("window", [None, 4, 13, 100])
def test_each_segment_attends_to_itself_only(key_heads, window):
    query, key, value = states(4), states(key_heads), states(key_heads) + 1
    mixed, weights = document_attention(None, query, key, value, None, cu_seqlens=bounds(), sliding_window=window)
    torch.testing.assert_close(mixed.double(), by_mask(query, key, value, window=window), atol=1e-6, rtol=1e-5)
    assert weights is None


def test_dropout_on_the_probabilities_keeps_their_mean():
    query, key, value = torch.zeros(2, 1, 16, 4), torch.zeros(2, 1, 16, 4), torch.ones(2, 1, 16, 4)
    torch.manual_seed(0)
    mixed = torch.stack(
        [document_attention(None, query, key, value, None, cu_seqlens=bounds(), dropout=0.3)[0] for _ in range(300)]
    )
    assert float(mixed.std()) > 0.1
    assert float(mixed.mean()) == pytest.approx(1.0, abs=0.01)


def test_a_model_that_loses_the_boundaries_on_the_way_fails(tiny_model):
    with pytest.raises(TypeError, match="cu_seqlens"):
        tiny_model("llama")(input_ids=torch.zeros(1, 4, dtype=torch.long), use_cache=False)


def test_a_mask_means_that_the_model_was_called_wrongly():
    one = states(1)
    with pytest.raises(AssertionError, match="mask"):
        document_attention(None, one, one, one, torch.ones(16, 16), cu_seqlens=bounds())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="the variable-length kernel needs a GPU")
@pytest.mark.parametrize("key_heads", [4, 1])
@pytest.mark.parametrize("window", [None, 4])
def test_the_kernel_equals_the_definition(key_heads, window):
    sizes = {"device": "cuda", "dtype": torch.bfloat16, "size": 64}
    query, key, value = states(4, **sizes), states(key_heads, **sizes), states(key_heads, **sizes)
    mixed, _ = document_attention(None, query, key, value, None, cu_seqlens=bounds("cuda"), sliding_window=window)
    expected = by_mask(query.cpu(), key.cpu(), value.cpu(), window=window)
    torch.testing.assert_close(mixed.cpu().double(), expected, atol=2e-2, rtol=2e-2)
