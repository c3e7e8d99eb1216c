"""Two passes before step one show whether training fits; they leave no trace, and what does not fit keeps less."""

from functools import partial

import pytest
import torch

from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.loss import CausalLoss, model_inputs
from cloudcpt.train.model import open_model
from cloudcpt.train.probe import build_what_fits, probe
from cloudcpt.train.world import joined_world

pytestmark = pytest.mark.train

GB = 10**9


class FakeMeter:
    """A device of 100 GB on which each attempt has the next of the given peaks."""

    def __init__(self, *peaks_gb):
        self.peaks_gb = list(peaks_gb)
        self.limits = []

    def capacity_bytes(self):
        return 100 * GB

    def start(self, limit_bytes):
        self.limits.append(limit_bytes)

    def stop(self):
        return self.peaks_gb.pop(0) * GB


class FakeLog(list):
    """Keeps the messages of events."""

    def event(self, _step, name, message):
        assert name == "memory"
        self.append(message)


class OutOfMemory(torch.nn.Module):
    """A model that never fits."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))

    def forward(self, **_inputs):
        raise torch.OutOfMemoryError("tried to allocate")


@pytest.fixture
def world(tiny_job):
    with joined_world(tiny_job().plan.world) as world:
        yield world


@pytest.fixture
def attempt(tiny_job, tiny_model, packed, world, tmp_path):
    """Build a Llama within what a meter allows."""

    def build(meter, **changes):
        tiny_model("llama").save_pretrained(tmp_path)
        build.said = log = FakeLog()
        return build_what_fits(partial(open_model, tmp_path), tiny_job(**changes).plan, world, packed, log, meter)

    return build


def test_what_was_planned_is_built_when_it_fits_and_the_numbers_are_logged(attempt):
    meter = FakeMeter(80)
    attempt(meter)
    (said,) = attempt.said
    assert said.startswith("activations `none`: fits, 80.0 GB of 97.0 GB (80.0 GB at the peak of two passes")
    assert " s for a pass" in said
    assert meter.limits == [100 * GB]


@pytest.mark.parametrize(
    ("compiled", "tried"), [(False, ["none", "selective", "full"]), (True, ["none", "budget", "selective", "full"])]
)
def test_what_does_not_fit_keeps_less_and_less(compiled, tried, attempt):
    peaks = [120, 110, 98, 60][-len(tried) :]
    with torch.compiler.set_stance("force_eager"):  # what is compiled is not what is asked here
        attempt(FakeMeter(*peaks), compute={"compile": compiled, "shard_processes": 1})
    assert [said.split("`")[1] for said in attempt.said] == tried
    assert [" fits," in said for said in attempt.said] == [False] * (len(tried) - 1) + [True]


def test_a_choice_of_the_plan_is_where_the_search_begins(attempt):
    attempt(FakeMeter(120, 50), memory={"activations": "selective"})
    assert [said.split("`")[1] for said in attempt.said] == ["selective", "full"]


def test_the_model_of_a_later_attempt_has_the_same_numbers(attempt):
    first = attempt(FakeMeter(10))
    later = attempt(FakeMeter(120, 10))
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor.full_tensor(), later.model.state_dict()[name].full_tensor())


def test_what_never_fits_is_refused_with_the_numbers(attempt):
    with pytest.raises(TrainingFailure, match=r"CPT640: one GPU would need 99\.0 GB of the 97\.0 GB .* `full`"):
        attempt(FakeMeter(120, 110, 99))


def test_the_moments_of_the_optimizer_are_counted_before_they_exist(attempt, packed, world):
    built = attempt(FakeMeter(1))
    trained = sum(parameter.numel() for parameter in built.loss.parameters())
    finding = probe(built.loss, "none", packed, world, FakeMeter(1))
    assert finding.needed_bytes == GB + 8 * trained


def test_running_out_of_memory_is_a_finding(packed, world):
    finding = probe(OutOfMemory(), "none", packed, world, FakeMeter(3))
    assert not finding.fits
    assert (finding.peak_bytes, finding.seconds_per_pass) == (100 * GB, 0.0)


def test_two_passes_leave_no_trace(attempt, packed, world):
    built = attempt(FakeMeter(1), dropouts={"hidden": 0.3})

    def stretch(module, _inputs):
        module.inv_freq.add_(1.0)

    calls, buffers = [], [buffer.clone() for buffer in built.loss.buffers()]
    built.model.model.rotary_emb.register_forward_pre_hook(stretch)
    built.loss.register_forward_pre_hook(lambda *_: calls.append(torch.is_grad_enabled()))
    weights = {name: tensor.full_tensor().clone() for name, tensor in built.model.state_dict().items()}
    before = torch.get_rng_state()
    probe(built.loss, "none", packed, world, FakeMeter(1))
    assert calls == [True, True]
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in built.loss.parameters())
    assert all(map(torch.equal, built.loss.buffers(), buffers))
    assert all(torch.equal(tensor.full_tensor(), weights[name]) for name, tensor in built.model.state_dict().items())


def test_the_passes_see_full_rows_of_one_document_with_a_label_everywhere(packed, world, tiny_model):
    seen = []
    loss = CausalLoss(tiny_model("llama"), chunk_tokens=1024)
    loss.register_forward_pre_hook(lambda _module, _args, inputs: seen.append(inputs), with_kwargs=True)
    probe(loss, "none", packed, world, FakeMeter(1))
    assert seen[0].keys() == model_inputs(packed, world.device).keys()
    assert seen[0]["positions"].tolist() == [list(range(16))] * 2
    assert seen[0]["cu_seqlens"].tolist() == [0, 16, 32, 32, 32, 32, 32]
    assert (seen[0]["labels"] >= 0).all()
