"""The next step's micro-batches, made and on the device while the device is busy with this step's.

One thread makes one step ahead: a step takes seconds, its batches milliseconds. On a GPU the thread also copies them,
from memory that the GPU can read by itself and on a stream of its own, so that no copy waits for computing, and none
delays it. What goes wrong in the thread is raised where its batches would have come out.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import torch

from cloudcpt.train.batches import Batch

_Place = Callable[[list[Batch]], list[Batch]]


def prefetched(steps: Iterator[list[Batch]], device: torch.device) -> Iterator[list[Batch]]:
    """Yield the same micro-batches, on the device, each step's while the next one's are being made.

    Args:
        steps: Micro-batches of each step, on the CPU. Only the thread touches it from now on.
        device: Of this process.
    """
    place = _placing_on(device) if device.type == "cuda" else _leave
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="next-batches") as thread:
        ahead = thread.submit(_make, steps, place)
        while (batches := ahead.result()) is not None:
            ahead = thread.submit(_make, steps, place)
            yield _claimed(batches, device)


def _make(steps: Iterator[list[Batch]], place: _Place) -> list[Batch] | None:
    batches = next(steps, None)
    return None if batches is None else place(batches)


def _leave(batches: list[Batch]) -> list[Batch]:
    return batches


def _placing_on(device: torch.device) -> _Place:
    """Make the copier of a GPU. Needs a GPU; not covered by CPU tests."""
    stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def place(batches: list[Batch]) -> list[Batch]:
        with torch.cuda.stream(stream):
            moved = [
                _moved(batch, lambda tensor: tensor.pin_memory().to(device, non_blocking=True)) for batch in batches
            ]
        stream.synchronize()  # in this thread: the loop's own waits for nothing
        return moved

    return place


def _claimed(batches: list[Batch], device: torch.device) -> list[Batch]:
    """Tell the allocator which stream will use what another one has made."""
    if device.type == "cuda":
        for batch in batches:
            for tensor in (batch.tokens, batch.labels, batch.positions, batch.cu_seqlens):
                tensor.record_stream(torch.cuda.current_stream(device))
    return batches


def _moved(batch: Batch, move: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
    return replace(
        batch,
        tokens=move(batch.tokens),
        labels=move(batch.labels),
        positions=move(batch.positions),
        cu_seqlens=move(batch.cu_seqlens),
    )
