"""Parameters over ranks: FSDP2, one unit per decoder layer and one for the rest, for a single process too.

    world 8, shard_processes 4        group 0: ranks 0 1 2 3        group 1: ranks 4 5 6 7

Weights, gradients and moments are divided within a group; where there is more than one group (HSDP), each holds a
replica and gradients are averaged over both axes. A group is consecutive ranks, so the ranks of one node.

A world of one takes the same path as a world of hundreds, so what the tests see on a laptop is what runs. Masters and
gradient sums are float32; forward and backward compute in the plan's dtype. FSDP averages gradients over ranks; the
step undoes that with its one scale factor, because FSDP's own switch for it fails on gloo and, up to torch 2.13,
loses bfloat16 gradients on NCCL (pytorch issue 190745).
"""

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from cloudcpt.plan.plan import Plan
from cloudcpt.train.architectures import decoder_layers
from cloudcpt.train.loss import CausalLoss
from cloudcpt.train.world import World


def sharding_mesh(plan: Plan, world: World) -> DeviceMesh:
    """Arrange the ranks: one axis where all weights are divided over all of them, else replicas by shards."""
    shards = plan.compute.shard_processes
    if shards == world.size:
        return init_device_mesh(world.device.type, (world.size,), mesh_dim_names=("shard",))
    shape = (world.size // shards, shards)
    return init_device_mesh(world.device.type, shape, mesh_dim_names=("replicate", "shard"))


def shard(loss: CausalLoss, mesh: DeviceMesh, compute_dtype: torch.dtype) -> None:
    """Keep this rank's part of every parameter, on its device, in place.

    Parameters without storage stay so, now in parts; `fill` gives them their numbers. Buffers go to the device.
    """
    policy = MixedPrecisionPolicy(param_dtype=compute_dtype, reduce_dtype=torch.float32)
    layers = list(decoder_layers(loss.model))
    # The root comes last: it takes what no layer has taken, the embeddings above all. They stay whole from the start of
    # the forward to the end of the backward pass, since the loss reads the output embedding chunk by chunk.
    for module in (*layers, loss):
        _make_masters(module)
        # The last layer is the first one that the backward pass needs.
        fully_shard(module, mesh=mesh, mp_policy=policy, reshard_after_forward=module not in (layers[-1], loss))
    # In the backward pass FSDP fetches ahead by itself; in the forward pass it counts on a CPU that is ahead of its
    # GPU, and with small layers it is not.
    for layer, following in pairwise(layers):
        assert isinstance(layer, FSDPModule)
        assert isinstance(following, FSDPModule)
        layer.set_modules_to_forward_prefetch([following])


def _make_masters(module: nn.Module) -> None:
    """Turn trainable parameters into float32, unit by unit, so that no rank ever holds a whole float32 copy.

    Frozen parameters stay as they are stored: nothing is added to them, so more digits would only cost memory.
    """
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def local_rows(parameter: DTensor) -> slice:
    """Say which rows of a sharded parameter this rank keeps: equal parts, the last ones shorter or empty."""
    group, total = parameter.device_mesh["shard"], parameter.shape[0]
    part = -(-total // group.size())
    start = min(group.get_local_rank() * part, total)
    return slice(start, min(start + part, total))


def fill(loss: CausalLoss, numbers: Iterable[tuple[str, torch.Tensor]], device: torch.device) -> None:
    """Give sharded parameters without storage their numbers.

    Args:
        loss: After `shard`.
        numbers: Name of each such parameter, once, and its `local_rows`.
        device: Where the parameters live.
    """
    shards = dict(loss.named_parameters())
    filled: dict[nn.Parameter, nn.Parameter] = {}
    for name, rows in numbers:
        whole = shards[name]
        assert isinstance(whole, DTensor), f"`{name}` is not sharded"
        assert rows.shape == whole.to_local().shape, f"`{name}`: read {rows.shape}, keeps {whole.to_local().shape}"
        local = rows.to(device, whole.dtype, copy=True)
        part = DTensor.from_local(
            local, whole.device_mesh, whole.placements, run_check=False, shape=whole.shape, stride=whole.stride()
        )
        filled[whole] = nn.Parameter(part, requires_grad=whole.requires_grad)
    # A tied parameter has two names and must stay one object.
    state = {name: filled[whole] for name, whole in loss.named_parameters(remove_duplicate=False) if whole in filled}
    loss.load_state_dict(state, strict=False, assign=True)
    empty = [name for name, parameter in loss.named_parameters() if parameter.is_meta]
    assert not empty, f"{len(empty)} parameters have no numbers, such as `{empty[0]}`"
