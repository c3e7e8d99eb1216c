"""The group of processes: what is planned, what is agreed on, and whose random numbers are whose."""

import pytest
import torch
import torch.distributed as dist

from cloudcpt.plan.plan import World as PlannedWorld
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.world import joined_world, seed_alike, seed_apart

pytestmark = pytest.mark.train


def planned(**changes):
    settings = {
        "nodes": 1,
        "processes_per_node": 1,
        "device": "cpu",
        "instance_type": "local",
        "compute_dtype": "float32",
        "timeout_s": 600,
        "environment": (),
        "image": "",
    }
    return PlannedWorld(**settings | changes)


def test_a_lone_process_is_a_world(lone_process):
    with joined_world(planned()) as world:
        world.barrier()
        assert (world.rank, world.size, world.is_main, world.is_node_main) == (0, 1, True, True)
        assert world.sum(1.5, 2) == [1.5, 2.0]
        assert world.sum(2**53 - 1) == [2**53 - 1]  # counts of tokens stay exact
        assert not world.any(False)
        assert world.any(True)
    assert not dist.is_initialized()


def test_the_group_is_left_when_the_job_fails(lone_process):
    with pytest.raises(ZeroDivisionError), joined_world(planned()):
        raise ZeroDivisionError
    assert not dist.is_initialized()


def test_another_number_of_processes_than_planned_is_refused(lone_process):
    refused = pytest.raises(TrainingFailure, match="CPT605: the plan is for 16 processes, 1 were started")
    with refused, joined_world(planned(nodes=2, processes_per_node=8)):
        pass


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_plan_for_gpus_is_refused_where_there_are_none(lone_process):
    refused = pytest.raises(
        TrainingFailure, match="CPT606: the plan wants GPUs, this node has none: Torch not compiled with CUDA"
    )
    with refused, joined_world(planned(device="cuda")):
        pass


def test_weights_are_drawn_alike_and_dropout_apart():
    def drawn(seed):
        seed()
        return torch.rand(3).tolist()

    alike = drawn(lambda: seed_alike(5))
    apart = [drawn(lambda rank=rank: seed_apart(5, rank)) for rank in range(4)]
    assert drawn(lambda: seed_alike(5)) == alike
    assert drawn(lambda: seed_apart(5, 3)) == apart[3]
    assert len({tuple(numbers) for numbers in [alike, *apart]}) == 5
