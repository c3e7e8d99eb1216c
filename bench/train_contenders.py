"""One contender of `bench/train.py`: a process that trains, and stops after every few steps until it is told to go on.

    python bench/train_contenders.py NAME FOLDER SIZE LAYERS STEPS DEVICE DTYPE

Whole loops are measured as they are: `cloudcpt.train.run.train` and `transformers.Trainer.train`. Both end a step in
the optimizer of torch, which calls back; there the process reads how many steps to go, and writes what they took.
"""

import dataclasses
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook
from train_job import batches_of, make_plan, size_of

from cloudcpt.local.layout import lay_out
from cloudcpt.plan.plan import Plan
from cloudcpt.train.batches import Batch
from cloudcpt.wire import MlFolder


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ours:
    """The loop of cloudcpt.

    Args:
        is_compiled: As the plan says it.
        without: A part that is left out, to see what it costs or brings; see `LEFT_OUT`.
    """

    is_compiled: bool = False
    without: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Theirs:
    """The loop of transformers.

    Args:
        is_compiled: `torch_compile`.
        has_boundaries: Positions start again in every document, from which transformers makes its mask.
        attention: `attn_implementation`.
        has_liger: `use_liger_kernel`.
    """

    is_compiled: bool = False
    has_boundaries: bool = True
    attention: str = "sdpa"
    has_liger: bool = False


CONTENDERS: dict[str, Ours | Theirs] = {
    "cloudcpt": Ours(),
    "cloudcpt, compiled": Ours(is_compiled=True),
    "Trainer": Theirs(),
    "Trainer, compiled": Theirs(is_compiled=True),
    "Trainer, documents not apart": Theirs(has_boundaries=False),
    "Trainer, not apart, compiled": Theirs(has_boundaries=False, is_compiled=True),
    "Trainer, flex, compiled": Theirs(attention="flex_attention", is_compiled=True),
    "Trainer, FlashAttention 2": Theirs(attention="flash_attention_2"),
    "Trainer, Liger": Theirs(has_liger=True),
    "Trainer, Liger, compiled": Theirs(has_liger=True, is_compiled=True),
    "Trainer, not apart, Liger, compiled": Theirs(has_boundaries=False, has_liger=True, is_compiled=True),
}


class Turns:
    """What the optimizer of torch calls after each step."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._left = 0
        self._started = (0.0, 0.0)
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)  # whatever the loops print is not an answer
        self.first_loss: Callable[[], float | None] = lambda: None

    def __call__(self, *_step: object) -> None:
        """Count a step; when none is left, report and wait for the next order."""
        self._left -= 1
        if self._left > 0:
            return
        seconds = [now - then for now, then in zip(self._now(), self._started, strict=True)]
        wall_s, cpu_s = seconds
        self._say({"wall_s": wall_s, "cpu_s": cpu_s, "memory_bytes": self._memory(), "first_loss": self.first_loss()})
        order = sys.stdin.readline()
        if not order:
            os._exit(0)
        self._left = int(order)
        self._started = self._now()

    def _now(self) -> tuple[float, float]:
        if self._device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()

    def _memory(self) -> int:
        if self._device == "cuda":
            return torch.cuda.max_memory_allocated()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def _say(self, answer: dict[str, Any]) -> None:
        self._out.write(json.dumps(answer) + "\n")
        self._out.flush()


# --- cloudcpt ---------------------------------------------------------------------------------------------------


def _without_boundaries() -> None:
    from cloudcpt.train import batches

    make_batch = batches.make_batch

    def whole(picked: Any) -> Batch:
        batch = make_batch(picked)
        rows, length = batch.tokens.shape
        return dataclasses.replace(
            batch,
            positions=torch.arange(length).repeat(rows, 1),
            cu_seqlens=torch.arange(0, rows * length + 1, length, dtype=torch.int32),
        )

    batches.make_batch = whole


def _without_chunks() -> None:
    from cloudcpt.train import build

    build.chunk_tokens = lambda _vocab_size: 2**40


def _without_onednn() -> None:
    from cloudcpt.train import products

    products._IS_WIDE = False  # noqa: SLF001


def _without_blocks() -> None:
    from cloudcpt.train import attention

    def by_document(query: Any, key: Any, value: Any, cu_seqlens: Any, _seed: Any, scaling: float, *_: Any) -> Any:
        lengths = [length for length in cu_seqlens.diff().tolist() if length]
        pieces = (torch.split(states.transpose(0, 1), lengths, dim=1) for states in (query, key, value))
        mixed = [
            torch.nn.functional.scaled_dot_product_attention(
                q[None], k[None], v[None], is_causal=True, scale=scaling, enable_gqa=True
            )[0]
            for q, k, v in zip(*pieces, strict=True)
        ]
        return torch.cat(mixed, dim=1).transpose(0, 1)

    attention.attend = by_document


def _without_prefetch() -> None:
    from cloudcpt.train import run

    run.prefetched = lambda steps, _device: steps


def _without_metrics() -> None:
    from cloudcpt.train import run

    run.MetricsLog.step = lambda *_args, **_numbers: None


def _nothing() -> None:
    pass


LEFT_OUT: dict[str, tuple[Callable[[], None], dict[str, Any]]] = {
    "document boundaries": (_without_boundaries, {}),
    "chunks of the loss": (_without_chunks, {}),
    "batches made ahead": (_without_prefetch, {}),
    "clipping": (_nothing, {"optimizer": {"max_grad_norm": 0.0}}),
    "metrics": (_without_metrics, {}),
    "oneDNN": (_without_onednn, {}),
    "attention in blocks": (_without_blocks, {}),
}
"""By name: what leaves it out, and what of the plan changes."""

CONTENDERS |= {f"cloudcpt without {name}": Ours(without=name) for name in LEFT_OUT}


def train_ours(ours: Ours, plan: Plan, ml: MlFolder, turns: Turns) -> None:
    """Run the loop of cloudcpt, all of it."""
    from cloudcpt.train.run import train

    leave_out, changes = LEFT_OUT.get(ours.without, (_nothing, {}))
    leave_out()
    for name, change in changes.items():
        changed = dataclasses.replace(getattr(plan, name), **change) if isinstance(change, dict) else change
        plan = dataclasses.replace(plan, **{name: changed})
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}

    def first_loss() -> float | None:
        rows = [json.loads(line) for line in ml.metrics.read_text("utf-8").splitlines()]
        return next((row["loss"] for row in rows if row["kind"] == "step"), None)

    turns.first_loss = first_loss
    train(plan, ml)


# --- transformers -----------------------------------------------------------------------------------------------


def train_theirs(theirs: Theirs, plan: Plan, ml: MlFolder, base: Path, turns: Turns) -> None:
    """Run `transformers.Trainer` on the same rows, with the settings that mean the same."""
    from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

    steps = batches_of(plan, ml, base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation=theirs.attention)
    model.config.use_cache = False  # with a cache, transformers drops the boundaries without a word
    optimizer, schedule = plan.optimizer, plan.schedule
    trainer = Trainer(
        model=model,
        train_dataset=[item for step in steps for batch in step for item in _items(batch, theirs.has_boundaries)],
        args=TrainingArguments(
            output_dir=str(ml.scratch / "trainer"),
            per_device_train_batch_size=plan.geometry.micro_batch_rows,
            gradient_accumulation_steps=plan.geometry.accumulation,
            max_steps=plan.geometry.steps,
            train_sampling_strategy="sequential",
            learning_rate=schedule.lr,
            lr_scheduler_type="cosine_with_min_lr",
            lr_scheduler_kwargs={"min_lr": schedule.min_lr},
            warmup_steps=schedule.warmup_steps,
            optim="adamw_torch_fused",
            adam_beta1=optimizer.beta1,
            adam_beta2=optimizer.beta2,
            adam_epsilon=optimizer.eps,
            weight_decay=optimizer.weight_decay,
            max_grad_norm=optimizer.max_grad_norm,
            bf16=plan.world.compute_dtype == "bfloat16",
            use_cpu=plan.world.device == "cpu",
            torch_compile=theirs.is_compiled,
            use_liger_kernel=theirs.has_liger,
            logging_steps=plan.log_every_steps,
            logging_first_step=True,
            dataloader_pin_memory=plan.world.device == "cuda",
            remove_unused_columns=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
    )
    turns.first_loss = lambda: next((float(row["loss"]) for row in trainer.state.log_history if "loss" in row), None)
    trainer.train()


def _items(batch: Batch, has_boundaries: bool) -> Sequence[dict[str, torch.Tensor]]:
    """Give the rows of a micro-batch as transformers wants them: labels not shifted yet."""
    labels = torch.full_like(batch.labels, -100)
    labels[:, 1:] = batch.labels[:, :-1]
    rows = [{"input_ids": tokens, "labels": shifted} for tokens, shifted in zip(batch.tokens, labels, strict=True)]
    if has_boundaries:
        rows = [row | {"position_ids": places} for row, places in zip(rows, batch.positions, strict=True)]
    return rows


def main() -> None:
    """Read the command line, train until nobody asks for more."""
    name, folder, size, layers, steps, device, dtype = sys.argv[1:]
    contender, root = CONTENDERS[name], Path(folder)
    plan = make_plan(
        root,
        size_of(size, int(layers)),
        steps=int(steps),
        device=device,
        compute_dtype=dtype,
        is_compiled=contender.is_compiled,
    )
    ml = MlFolder(root / f"ml-{os.getpid()}")
    lay_out(ml, plan)
    turns = Turns(device)
    register_optimizer_step_post_hook(turns)
    if isinstance(contender, Ours):
        train_ours(contender, plan, ml, turns)
    else:
        train_theirs(contender, plan, ml, root / "base", turns)


if __name__ == "__main__":
    main()
