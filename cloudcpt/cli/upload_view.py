"""How an upload reads while it goes on: a bar on a terminal, a line per tenth elsewhere, and why it is slow."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cloudcpt.cli import render
from cloudcpt.cli.quantities import duration, plural, size
from cloudcpt.jobs.tally import UploadProgress

LINES = 10
"""Lines of a whole upload where there is no terminal."""


@contextmanager
def upload_progress(
    target: str, *, clock: Callable[[], float] = time.monotonic
) -> Iterator[Callable[[UploadProgress], None]]:
    """Give what an upload calls after every change.

    Args:
        target: Where it goes, such as `s3://bucket/prefix`.
        clock: Gives seconds, for the rate.
    """
    start, shown = clock(), 0
    with render.live_progress(f"uploading to {target}") as bar:

        def show(reached: UploadProgress) -> None:
            nonlocal shown
            if bar.is_live:
                bar.update(reached.done_bytes, reached.size_bytes, _detail(reached, clock() - start))
                return
            tenth = reached.done_bytes * LINES // max(reached.size_bytes, 1)
            if tenth > shown:
                shown = tenth
                # Not "uploaded": what S3 has already counts too.
                bar.line(f"upload at {tenth * 100 // LINES} %: {_detail(reached, clock() - start)}")

        yield show


def upload_words(sent: UploadProgress, target: str) -> str:
    """Say what an upload did, once it is done."""
    whole = f"{plural(sent.files, 'file')}, {size(sent.size_bytes)}"
    if not sent.sent_bytes:
        return f"inputs: {whole}, all of it was in {target} already"
    there = f", {size(sent.resumed_bytes)} was there already" if sent.resumed_bytes else ""
    return f"inputs: {whole} in {target}; {size(sent.sent_bytes)} sent{there}"


def _detail(reached: UploadProgress, seconds: float) -> str:
    rate = reached.sent_bytes / max(seconds, 1e-3)
    words = [f"{size(reached.done_bytes)} of {size(reached.size_bytes)}"]
    if reached.sent_bytes:
        words.append(f"{size(rate)}/s")
        words.append(f"{duration((reached.size_bytes - reached.done_bytes) / max(rate, 1.0))} left")
    if reached.last_retry:
        words.append(reached.last_retry)
    return ", ".join(words)
