"""What can be said of the kernels of a GPU without one: how they are judged."""

import pytest
import torch
from transformers import AutoConfig

from cloudcpt.train import kernels

pytestmark = pytest.mark.train


def test_no_newer_kernel_is_in_use_before_one_was_chosen():
    assert not kernels.has_newer_kernel()


@pytest.mark.parametrize("key_heads", [4, 2])
def test_bfloat16_alone_is_far_from_what_is_refused(key_heads):
    """The judge compares bfloat16 with float32; here both are by the same code, so only digits are lost."""
    config = AutoConfig.for_model(
        "llama", hidden_size=64, num_attention_heads=4, num_key_value_heads=key_heads, head_dim=16
    )
    error = kernels._largest_error(config, torch.device("cpu"))
    assert 0 < error < kernels._TOLERANCE / 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="kernels are those of a GPU")
def test_some_kernel_is_found():
    config = AutoConfig.for_model("llama", hidden_size=1024, num_attention_heads=8, num_key_value_heads=2)
    assert kernels.use_best_kernel(config, torch.device("cuda", 0)).startswith("kernel FA")
