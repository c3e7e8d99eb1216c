"""The next step's micro-batches, made and on the device while the device is busy with this step's.

One thread makes one step ahead: a step takes seconds, its batches milliseconds. On a GPU the thread also copies them,
from memory that the GPU can read by itself and on a stream of its own, so that no copy waits for computing, and none
delays it. What goes wrong in the thread is raised where its batches would have come out.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

import torch

from cloudcpt.train.batches import Batch

_Place = Callable[[list[Batch]], list[Batch]]


class Prefetched(Iterator[list[Batch]]):
    """The same micro-batches, on the device, each step's while the next one's are being made.

    Args:
        steps: Micro-batches of each step, on the CPU. Only the thread touches it from now on.
        device: Of this process.
    """

    def __init__(self, steps: Iterator[list[Batch]], device: torch.device) -> None:
        self._steps, self._device = steps, device
        self._place = _placing_on(device) if device.type == "cuda" else _leave
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="next-batches")
        self._ahead = self._thread.submit(_make, steps, self._place)

    def is_ready(self, within_s: float) -> bool:
        """Tell whether the next step's batches are there, or what went wrong with them, after so many seconds at most.

        They take milliseconds to make, unless the rows are still being prepared.
        """
        return bool(wait([self._ahead], within_s).done)

    def __next__(self) -> list[Batch]:
        batches = self._ahead.result()
        if batches is None:
            self.close()
            raise StopIteration
        self._ahead = self._thread.submit(_make, self._steps, self._place)
        return _claimed(batches, self._device)

    def close(self) -> None:
        """End the thread, once the step that it is making is made."""
        self._thread.shutdown()


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
