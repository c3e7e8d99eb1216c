"""The model made ready to train, in steps whose order matters.

    open        shapes and buffers, no numbers yet           cloudcpt.train.model
    adapt       low-rank adapters beside their targets       cloudcpt.train.lora
    quantise    frozen maps of 4 or 8 bits in their places   cloudcpt.train.quantise
    round       or maps that learn, and multiply in 8 bits   cloudcpt.train.float8
    drop        dropouts at their places                     cloudcpt.train.dropout
    multiply    on a CPU, by the faster of two libraries     cloudcpt.train.products
    recompute   what the backward pass computes again        cloudcpt.train.recompute
    compile     each layer by itself                         cloudcpt.train.compile
    shard       each rank keeps its rows of each parameter   cloudcpt.train.shard
    fill        and reads only those from the files          cloudcpt.train.weights

What replaces modules goes first, before anything hangs on them. Sharding goes last because its hooks must lie around
everything else: a layer's weights are then gathered once for recomputing and backward pass together.
"""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from peft import PeftModel
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from cloudcpt.plan.plan import Plan
from cloudcpt.train.adapters import fresh_adapters
from cloudcpt.train.architectures import decoder_layers
from cloudcpt.train.compile import compile_layers, compile_losses
from cloudcpt.train.dropout import place_dropouts
from cloudcpt.train.float8 import use_float8
from cloudcpt.train.lora import add_lora
from cloudcpt.train.loss import CausalLoss, chunk_tokens
from cloudcpt.train.model import OpenedModel, parameters_without_storage
from cloudcpt.train.products import use_fast_products
from cloudcpt.train.quantise import quantise_layers, quantised_rows
from cloudcpt.train.recompute import keep_activations
from cloudcpt.train.shard import fill, local_rows, shard
from cloudcpt.train.weights import StoredTensor, read_rows
from cloudcpt.train.world import World, seed_alike


@dataclass(frozen=True, kw_only=True)
class BuiltModel:
    """A model that is ready to train, seen from four sides.

    Args:
        loss: Sharded, in training mode; what the step calls.
        model: Inside `loss`; gives names and config.
        adapted: peft's view of `model`; None when every parameter learns.
        rounding: Its linear maps that multiply in 8 bits; empty without `float8`.
    """

    loss: CausalLoss
    model: PreTrainedModel
    adapted: PeftModel | None
    rounding: tuple[nn.Linear, ...]


def build_model(opened: OpenedModel, plan: Plan, world: World, mesh: DeviceMesh) -> BuiltModel:
    """Make the planned model out of an opened one, which is used up.

    Args:
        opened: With or without its numbers.
        plan: Says what learns, how activations are kept and in which dtype to compute.
        world: All ranks, each calling this with the same model.
        mesh: Over which parameters are divided.

    Raises:
        TrainingFailure: adapters that the model cannot take, or products in 8 bits that the device cannot.
    """
    model, float8 = opened.model, plan.compute.float8
    seed_alike(plan.seed)  # new weights are drawn whole on every rank
    with nullcontext() if opened.weights is None else parameters_without_storage():
        adapted = add_lora(model, plan.lora) if plan.lora else None
        if plan.lora and plan.lora.bits:
            quantise_layers(model, plan.lora.bits)
    rounding = () if float8 == "none" else use_float8(model, float8, world.device)
    place_dropouts(model, plan.dropouts)
    if world.device.type == "cpu" and plan.world.compute_dtype == "float32":
        use_fast_products(model)
    keep_activations(decoder_layers(model), plan.memory.activations)
    if plan.compute.compile:
        compile_layers(model)
    loss = CausalLoss(model, chunk_tokens=chunk_tokens(model.config.vocab_size))
    if plan.compute.compile and world.device.type == "cuda":
        compile_losses(loss)
    loss.train()  # transformers loads for inference, with every dropout off
    shard(loss, mesh, getattr(torch, plan.world.compute_dtype))
    if opened.weights is not None:
        numbers = _numbers(loss, opened.weights, plan.seed)
        fill(loss, quantised_rows(loss, numbers, world.device), world.device)
    return BuiltModel(loss=loss, model=model, adapted=adapted, rounding=rounding)


def _numbers(loss: CausalLoss, weights: Mapping[str, StoredTensor], seed: int) -> Iterator[tuple[str, torch.Tensor]]:
    """Give this rank's rows of every parameter of a sharded model, by name."""
    shards = loss.named_parameters()
    parts = {name: local_rows(parameter) for name, parameter in shards if isinstance(parameter, DTensor)}
    # What peft has wrapped has another name than in the file.
    names = {name.removeprefix("model.").replace(".base_layer.", "."): name for name in parts}
    for stored_name, rows in read_rows(weights, lambda name: parts[names[name]]):
        yield names[stored_name], rows
    seed_alike(seed)
    for name, whole in fresh_adapters(loss):
        yield name, whole[parts[name]]
