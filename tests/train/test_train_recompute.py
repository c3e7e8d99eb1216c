"""What is computed again costs time and saves memory, and changes nothing else."""

import ctypes
import gc

import pytest
import torch
from torch._functorch import config as partitioner
from torch.utils._python_dispatch import TorchDispatchMode

from cloudcpt.plan.activations import BY_SPEED, activation_bytes
from cloudcpt.plan.plan import Dropouts, Lora
from cloudcpt.plan.sizes import Sizes
from cloudcpt.train.architectures import ARCHITECTURES, decoder_layers
from cloudcpt.train.dropout import place_dropouts
from cloudcpt.train.lora import add_lora
from cloudcpt.train.loss import CausalLoss, model_inputs
from cloudcpt.train.recompute import ATTENTION, PRODUCTS, keep_activations

pytestmark = pytest.mark.train

LORA = Lora(
    rank=4, alpha=8.0, dropout=0.1, target_modules=("all-linear",), rslora=False, merge=True, bits=0, embedding_lr=0.0
)


@pytest.fixture(autouse=True)
def no_budget_left_behind():
    yield
    partitioner.activation_memory_budget = 1.0


def gradients(model, packed, kept):
    keep_activations(decoder_layers(model), kept)
    torch.manual_seed(0)
    CausalLoss(model.train(), chunk_tokens=1024)(**model_inputs(packed, torch.device("cpu"))).backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("kept", ["selective", "full"])
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_gradients_are_the_same_to_the_bit_dropouts_included(model_type, kept, tiny_model, packed):
    whole, recomputed = tiny_model(model_type), tiny_model(model_type)
    for model in (whole, recomputed):
        place_dropouts(model, Dropouts(hidden=0.2, attention=0.2, ffn=0.2))
    expected = gradients(whole, packed, "none")
    for name, gradient in gradients(recomputed, packed, kept).items():
        assert torch.equal(gradient, expected[name]), name


@pytest.mark.parametrize("kept", ["selective", "full"])
def test_gradients_of_adapters_are_the_same_to_the_bit(kept, tiny_model, packed):
    found = []
    for choice in ("none", kept):
        model = tiny_model("llama")
        torch.manual_seed(1)
        add_lora(model, LORA)
        found.append(gradients(model, packed, choice))
    assert all(torch.equal(gradient, found[1][name]) for name, gradient in found[0].items())


class Counted(TorchDispatchMode):
    """Counts what is computed."""

    def __init__(self):
        super().__init__()
        self.products = self.attentions = 0

    def __torch_dispatch__(self, operation, _types, args=(), kwargs=None):
        self.products += str(operation.overloadpacket) in PRODUCTS
        self.attentions += str(operation.overloadpacket) in ATTENTION
        return operation(*args, **(kwargs or {}))


def test_selective_computes_neither_attention_nor_every_other_product_again(tiny_model, packed):
    """Of the seven products of a Llama layer three are; what the last one gives nobody needs again."""
    counted = {}
    for kept in ("none", "selective", "full"):
        with Counted() as counted[kept]:
            gradients(tiny_model("llama"), packed, kept)
    layers, none = 2, counted["none"]
    assert none.attentions >= layers
    again = {kept: (one.attentions - none.attentions, one.products - none.products) for kept, one in counted.items()}
    assert again["selective"] == (0, 3 * layers)
    assert again["full"] == (none.attentions, 6 * layers)


def test_the_names_of_parameters_stay_and_only_a_budget_speaks_to_the_compiler(tiny_model):
    for kept in BY_SPEED:
        model = tiny_model("llama")
        keep_activations(decoder_layers(model), kept)
        assert list(model.state_dict()) == list(tiny_model("llama").state_dict())
        assert partitioner.activation_memory_budget == (0.5 if kept == "budget" else 1.0)


# --- what the plan counts is what layers hold --------------------------------------------------------------------

POSITIONS = 256
SHAPE = {
    "hidden_size": 256,
    "intermediate_size": 896,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "vocab_size": 64,
    "max_position_embeddings": POSITIONS,
}


class _Allocated(ctypes.Structure):
    """`struct mallinfo2` of glibc: eight more fields, of which two are wanted here."""

    _fields_ = (
        *((f"unused{number}", ctypes.c_size_t) for number in range(4)),
        ("mapped", ctypes.c_size_t),
        ("unused4", ctypes.c_size_t),
        ("unused5", ctypes.c_size_t),
        ("in_use", ctypes.c_size_t),
        ("unused6", ctypes.c_size_t),
        ("unused7", ctypes.c_size_t),
    )


def allocated_bytes() -> int:
    """Ask malloc what it has handed out: nobody else sees what a checkpoint or a compiled layer keeps."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        pytest.skip("needs glibc 2.33 or newer to count what is allocated")
    libc.mallinfo2.restype = _Allocated
    found = libc.mallinfo2()
    return found.in_use + found.mapped


def held_bytes(tiny_model, layers: int, kept: str, backend: str, dropouts: Dropouts) -> int:
    """Count what a forward pass leaves behind for the backward pass, in bf16."""
    torch.compiler.reset()
    model = tiny_model("llama", **SHAPE, num_hidden_layers=layers).to(torch.bfloat16).train()
    model.set_attn_implementation("sdpa")
    place_dropouts(model, dropouts)
    keep_activations(decoder_layers(model), kept)
    if backend:
        for layer in decoder_layers(model):
            layer.compile(backend=backend, fullgraph=True)
    tokens, positions = torch.zeros(1, POSITIONS, dtype=torch.long), torch.arange(POSITIONS)[None]
    held = 0
    for _ in range(2):  # the first pass compiles
        model.zero_grad()
        gc.collect()
        before = allocated_bytes()
        hidden = model.model(input_ids=tokens, position_ids=positions, use_cache=False).last_hidden_state
        held = allocated_bytes() - before
        hidden.sum().backward()
    return held


@pytest.mark.parametrize(
    ("kept", "backend", "dropout"),
    [("selective", "", 0.0), ("full", "", 0.0)]
    + [(kept, "aot_eager_decomp_partition", 0.0) for kept in ("budget", "selective")]
    + [("none", "aot_eager_decomp_partition", 0.1)],
)
@pytest.mark.slow
def test_layers_hold_what_the_plan_counts(kept, backend, dropout, tiny_model):
    """The backend cuts forward from backward as inductor does, and generates no code, which would take minutes."""
    sizes = Sizes(
        parameters=1,
        layers=1,
        hidden_size=256,
        intermediate_size=896,
        heads=4,
        kv_heads=2,
        head_dim=64,
        vocab_size=64,
        tied_embeddings=False,
    )
    dropouts = Dropouts(hidden=dropout, attention=0.0, ffn=dropout)
    compiled = bool(backend)
    counted = activation_bytes(sizes, dropouts, kept, positions=POSITIONS, compiled=compiled)
    if kept != "none":  # the layer at work is whole only in the backward pass
        counted -= POSITIONS * sizes.saved_bytes_per_position(compiled=compiled)
    one, two = (held_bytes(tiny_model, layers, kept, backend, dropouts) for layers in (1, 2))
    # A checkpoint keeps the random state too, 5 kB on the CPU.
    assert 0.8 * counted < two - one < 1.07 * counted + 2 * 5056 + 1024
