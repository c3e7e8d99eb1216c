"""The optimizer, gradient norm and clipping: NeMo's `distributed_fused_adam` on sharded parameters.

NeMo's update, all in float32, with t counted from 1:

    g' = g                 m = b1 m + (1-b1) g'    v = b2 v + (1-b2) g'^2
    p -= lr * ( m/(1-b1^t) / (sqrt(v/(1-b2^t)) + eps) + wd p )       adam_w_mode true
    g' = g + wd p before the moments, no separate decay              adam_w_mode false

which torch's AdamW and Adam compute in another order of the same operations. Weight decay is on every parameter that
learns, biases and norms included, as the recipe says it; NeMo's GPT models leave these two out in groups of their own.
Embeddings that learn beside adapters are a second group, the same in all but its rate (`cloudcpt.train.lora`). FSDP
shards the states as it shards the parameters.

Source: NVIDIA/NeMo nemo/core/optim/distributed_adam.py and NVIDIA/apex distributed_fused_adam.py, read 2026-11; for the
groups, `get_params_for_weight_decay_optimization` of NeMo 1's nemo/collections/nlp/modules/common/megatron/utils.py.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from cloudcpt.plan.plan import Optimizer as PlannedOptimizer


def make_optimizer(
    parameters: Iterable[nn.Parameter],
    planned: PlannedOptimizer,
    relative_rates: Mapping[nn.Parameter, float] = MappingProxyType({}),
) -> torch.optim.Optimizer:
    """Make Adam over the trainable parameters; the loop sets the learning rate before every step.

    Args:
        parameters: Frozen ones are left out.
        planned: Everything but the learning rate.
        relative_rates: Multiples of the schedule's rate, of the parameters that do not learn at that rate itself.
    """
    groups: defaultdict[float, list[nn.Parameter]] = defaultdict(list)
    for parameter in parameters:
        if parameter.requires_grad:
            groups[relative_rates.get(parameter, 1.0)].append(parameter)
    kind = torch.optim.AdamW if planned.adam_w_mode else torch.optim.Adam
    return kind(
        [{"params": members, "relative_rate": rate} for rate, members in groups.items()],
        lr=0.0,
        betas=(planned.beta1, planned.beta2),
        eps=planned.eps,
        weight_decay=planned.weight_decay,
        fused=True,
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Use this learning rate of the schedule from the next step on; each group takes its multiple of it."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["relative_rate"]


def gradient_norm(parameters: Iterable[nn.Parameter]) -> torch.Tensor:
    """Take the Euclidean norm of all gradients over all ranks, [] float32, the same on every rank."""
    norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def clip_gradients(parameters: Iterable[nn.Parameter], norm: torch.Tensor, max_norm: float) -> None:
    """Scale all gradients so that their norm is at most `max_norm`; 0 means that they stay as they are."""
    if 0 < max_norm < float(norm):  # else every gradient would be read and written to be multiplied by one
        torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)
