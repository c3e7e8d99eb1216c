"""Recomputing costs time and saves memory, and nothing else."""

import pytest
import torch

from cloudcpt.plan.plan import Dropouts
from cloudcpt.train.architectures import decoder_layers
from cloudcpt.train.dropout import place_dropouts
from cloudcpt.train.loss import CausalLoss, model_inputs
from cloudcpt.train.recompute import recompute_activations

pytestmark = pytest.mark.train


def saved_bytes_and_gradients(model, packed):
    """Run forward and backward, counting what the forward pass kept."""
    kept = {}

    def keep(tensor):
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    torch.manual_seed(0)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = CausalLoss(model.train(), chunk_tokens=1024)(**model_inputs(packed, torch.device("cpu")))
    loss.backward()
    return sum(kept.values()), {name: parameter.grad for name, parameter in model.named_parameters()}


def test_a_layer_keeps_its_input_only_and_gets_the_same_gradients(tiny_model, packed):
    whole, recomputed = tiny_model("llama"), tiny_model("llama")
    for model in (whole, recomputed):
        place_dropouts(model, Dropouts(hidden=0.2, attention=0.2, ffn=0.2))
    for layer in decoder_layers(recomputed):
        recompute_activations(layer)
    much, gradients = saved_bytes_and_gradients(whole, packed)
    little, same_gradients = saved_bytes_and_gradients(recomputed, packed)
    assert little < much / 2
    assert all(torch.equal(gradient, same_gradients[name]) for name, gradient in gradients.items())
