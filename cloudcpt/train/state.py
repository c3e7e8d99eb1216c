"""What one process has to know to go on as if it had never been interrupted, as named tensors.

    weight/<name>             this rank's part of each parameter that learns
    optimizer/<key>/<name>    this rank's part of each state of the optimizer, such as `exp_avg`; `step` is a number
    random/cpu, random/<n>    the state of each random generator, bytes

Everything else follows from the plan and its inputs: frozen weights are read from the base model, the learning rate and
the rows of a step are functions of the step.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import nn
from torch.distributed.tensor import DTensor

_CPU = "random/cpu"
_GPU = "random/gpu"


def state_tensors(module: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> dict[str, torch.Tensor]:
    """Name all tensors of this process's state; they are not copied.

    Args:
        module: Sharded.
        optimizer: Of its trainable parameters.
        device: That dropout draws its numbers on.
    """
    named = {}
    for name, parameter in _learning(module):
        named[f"weight/{name}"] = _local(parameter)
        for key, value in optimizer.state[parameter].items():
            named[f"optimizer/{key}/{name}"] = _local(value)
    named[_CPU] = torch.get_rng_state()
    if device.type == "cuda":
        named[_GPU] = torch.cuda.get_rng_state(device)
    return named


def put_back(
    tensors: Mapping[str, torch.Tensor], module: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
) -> None:
    """Make this process's state that of `state_tensors`.

    Args:
        tensors: On the CPU; each is looked up once, so they may be read when they are asked for.
        module: Sharded alike.
        optimizer: New.
        device: As before.
    """
    of_optimizer = [entry.split("/", 2)[1:] for entry in tensors if entry.startswith("optimizer/")]
    for name, parameter in _learning(module):
        _fill(_local(parameter), tensors[f"weight/{name}"])
        for key in (key for key, owner in of_optimizer if owner == name):
            optimizer.state[parameter][key] = _state_of(parameter, tensors[f"optimizer/{key}/{name}"])
    torch.set_rng_state(tensors[_CPU])
    if device.type == "cuda":
        torch.cuda.set_rng_state(tensors[_GPU], device)


def _learning(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad)


def _local(tensor: torch.Tensor) -> torch.Tensor:
    return (tensor.to_local() if isinstance(tensor, DTensor) else tensor).detach()


def _state_of(parameter: nn.Parameter, saved: torch.Tensor) -> torch.Tensor:
    """Make a state of a parameter: divided over the ranks as the parameter is, or a number of its own."""
    if saved.dim() == 0:
        return saved.to(parameter.device)
    state = torch.empty_like(parameter, dtype=saved.dtype, requires_grad=False)
    _fill(_local(state), saved)
    return state


def _fill(local: torch.Tensor, saved: torch.Tensor) -> None:
    is_same = (local.shape, local.dtype) == (saved.shape, saved.dtype)
    assert is_same, f"saved as {saved.dtype} {[*saved.shape]}, kept as {local.dtype} {[*local.shape]}"
    with torch.no_grad():
        local.copy_(saved)
