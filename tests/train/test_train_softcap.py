"""Soft-capped logits: of classes that have them, and of no others."""

import pytest
import torch
from transformers import AutoConfig

from cloudcpt.train.softcap import logit_cap, soft_capped

pytestmark = pytest.mark.train


def test_what_is_not_capped_stays_and_what_is_never_passes_the_cap():
    numbers = torch.tensor([-1e4, -1.0, 0.0, 0.01, 3.0])
    assert soft_capped(numbers, None) is numbers
    capped = soft_capped(numbers, 2.0)
    assert float(capped.abs().max()) <= 2.0
    assert float(capped[3]) == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize(
    ("model_type", "settings", "cap"),
    [
        ("gemma2", {}, 30.0),
        ("gemma2", {"final_logit_softcapping": None}, None),
        ("gemma3_text", {}, None),
        ("gemma3_text", {"final_logit_softcapping": 20.0}, 20.0),
        ("llama", {"final_logit_softcapping": 20.0}, None),  # transformers' class leaves it out
    ],
)
def test_only_a_class_that_caps_its_logits_has_a_cap(model_type, settings, cap):
    assert logit_cap(AutoConfig.for_model(model_type, **settings)) == cap
