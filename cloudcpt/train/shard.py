"""Parameters over ranks: FSDP2, one unit per decoder layer and one for the rest, for a single process too.

A world of one takes the same path as a world of hundreds, so what the tests see on a laptop is what runs. Masters and
gradient sums are float32; forward and backward compute in the plan's dtype. FSDP averages gradients over ranks; the
step undoes that with its one scale factor, because FSDP's own switch for it fails on gloo and, up to torch 2.13,
loses bfloat16 gradients on NCCL (pytorch issue 190745).
"""

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from cloudcpt.plan.plan import World as PlannedWorld
from cloudcpt.train.architectures import decoder_layers
from cloudcpt.train.loss import CausalLoss
from cloudcpt.train.world import World


def shard(loss: CausalLoss, planned: PlannedWorld, world: World) -> None:
    """Keep this rank's part of every parameter, on its device, in place."""
    mesh = init_device_mesh(world.device.type, (world.size,))
    policy = MixedPrecisionPolicy(param_dtype=getattr(torch, planned.compute_dtype), reduce_dtype=torch.float32)
    # The root comes last: it takes what no layer has taken.
    for module in (*decoder_layers(loss.model), loss):
        _make_masters(module)
        fully_shard(module, mesh=mesh, mp_policy=policy)


def _make_masters(module: nn.Module) -> None:
    """Turn trainable parameters into float32, unit by unit, so that no rank ever holds a whole float32 copy.

    Frozen parameters stay as they are stored: nothing is added to them, so more digits would only cost memory.
    """
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
