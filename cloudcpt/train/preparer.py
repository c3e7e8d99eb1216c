"""The process that makes rows while others train: the windows that a job reads, in the order in which it reads them.

`python -m cloudcpt.train.preparer`, started by `cloudcpt.train.prepare` on every node. A process and not a thread,
because packing holds the interpreter lock that a training step needs too; and a polite one, because the step comes
first. A window that the job does not read is not made: a job of a few steps on terabytes prepares what it trains on.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cloudcpt.plan.plan import Plan, Source, read_plan
from cloudcpt.train.failures import failure_of
from cloudcpt.train.mix import make_mix
from cloudcpt.train.pack import refuse_drift
from cloudcpt.train.prepare import blocks_path, leave_failure, window_text
from cloudcpt.train.row_maker import RowMaker, window_folder
from cloudcpt.train.rows import Rows, SourceRows, open_rows
from cloudcpt.train.stop import end_with_parent
from cloudcpt.train.window_text import WindowText
from cloudcpt.train.windowed_rows import WindowedRows
from cloudcpt.train.windows import Cut, Windows, read_windows
from cloudcpt.wire import MlFolder

if TYPE_CHECKING:
    from cloudcpt.train.exchange import Exchange

_NICE = 10


def main() -> int:
    """Make the rows that are missing; leave the reason where others look for it if that fails."""
    parser = argparse.ArgumentParser(prog="cloudcpt.train.preparer", description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--cut", type=int, nargs=3, required=True)
    parser.add_argument("--parent", type=int, required=True)
    options = parser.parse_args()
    end_with_parent()
    if os.getppid() != options.parent:
        return 1  # it died before it could take us along, and the rows are the next attempt's
    os.nice(_NICE)
    ml = MlFolder(options.root)
    whole, window, block = options.cut
    try:
        plan = read_plan(options.plan)
        prepare_rest(plan, ml, options.tokenizer, Cut(whole_bytes=whole, window_bytes=window, block_bytes=block))
    except BaseException as exc:  # noqa: BLE001 - others wait for the rows, and are told whatever it was
        failure = failure_of(exc)
        sys.stderr.write(f"{failure.detail}\npreparer: {failure.text()}")
        leave_failure(ml, failure)
        return 1
    return 0


def prepare_rest(plan: Plan, ml: MlFolder, tokenizer_folder: Path, cut: Cut) -> None:
    """Make every window that the job reads and that is not there yet.

    Args:
        plan: Which sources, and how many rows of them.
        ml: Where rows go.
        tokenizer_folder: Of the base model.
        cut: Where the sources were cut.

    Raises:
        TrainingFailure: a source that the plan counted exactly turns into other rows.
        DatasetError: a line cannot be read.
    """
    cuts = {
        source.channel: read_windows(blocks_path(ml, source.channel), cut)
        for source in plan.sources
        if blocks_path(ml, source.channel).exists()
    }
    maker = RowMaker(plan, ml, tokenizer_folder, cuts)
    sources = [_MadeSource(source, ml, cuts[source.channel]) for source in plan.sources if source.channel in cuts]
    needed = make_mix(plan, _rows_of(plan, ml, cuts)).rows_used(plan.geometry.train_rows)
    nodes = plan.world.nodes
    with ExitStack() as stack:
        exchange = stack.enter_context(_joined(plan)) if nodes > 1 else None
        # In rounds, because how many windows hold the rows that are needed shows when they are made.
        while texts := in_order(sources, needed):
            if exchange is None:
                for _ in maker.make(texts):
                    pass
            else:
                _make_together(texts, maker, exchange)
            for source in sources:
                source.count()
    for source in sources:
        source.refuse_drift()


def _joined(plan: Plan) -> AbstractContextManager["Exchange"]:
    from cloudcpt.train.exchange import joined_preparers  # torch takes seconds, and one node does without

    return joined_preparers(int(os.environ["RANK"]) // plan.world.processes_per_node, plan.world.nodes)


def _make_together(texts: list[WindowText], maker: RowMaker, exchange: "Exchange") -> None:
    """Make every so-manieth window here, in a thread, and share all of them in their order."""
    made = maker.make(texts[exchange.node :: exchange.nodes])
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = [thread.submit(next, made) for _ in texts[exchange.node :: exchange.nodes]]
        try:
            for place, text in enumerate(texts):
                turn, owner = divmod(place, exchange.nodes)
                if owner == exchange.node:
                    coming[turn].result()
                exchange.share(maker.folder(text), owner)
                if owner != exchange.node:
                    maker.keep(text)
        finally:
            thread.shutdown(cancel_futures=True)


class _MadeSource:
    """A source that is cut, as far as its rows are there."""

    def __init__(self, source: Source, ml: MlFolder, windows: Windows) -> None:
        self.channel = source.channel
        self.made = self.rows = 0
        self._documents = self._tokens = 0
        self._source, self._ml, self._windows = source, ml, windows
        self.count()

    def count(self) -> None:
        """Count the windows that have come."""
        while self.made < len(self._windows) and self._folder(self.made).is_dir():
            rows = open_rows(self._folder(self.made))
            self.made += 1
            self.rows += len(rows)
            self._documents += len(rows.documents)
            self._tokens += rows.header.num_tokens

    def wanted(self, rows: int) -> Iterator[tuple[Fraction, WindowText]]:
        """List the next windows that so many rows need, rather too few, each with the part of the rows before it."""
        per_window = Fraction(self.rows, self.made)
        missing = max(1, (rows - self.rows) // per_window) if rows > self.rows else 0
        for number in range(self.made, min(len(self._windows), self.made + missing)):
            yield number * per_window / rows, window_text(self._ml, self._source, self._windows, number)

    def refuse_drift(self) -> None:
        """Compare the source with what the plan counted exactly, if all of it was read."""
        if self.made == len(self._windows):
            refuse_drift(self._source, documents=self._documents, tokens=self._tokens, rows=self.rows)

    def _folder(self, number: int) -> Path:
        return window_folder(self._ml, self.channel, number)


def in_order(sources: list[_MadeSource], needed: Mapping[str, int]) -> list[WindowText]:
    """List the windows to make next, in the order in which the job comes to them.

    Args:
        sources: That are cut.
        needed: Rows that the job reads of each channel, repeats included.
    """
    wanted = [one for source in sources for one in source.wanted(needed[source.channel])]
    return [text for _, text in sorted(wanted, key=lambda one: one[0])]


def _rows_of(plan: Plan, ml: MlFolder, cuts: Mapping[str, Windows]) -> dict[str, SourceRows]:
    """Map what is there: the mix asks for the first window of each source, and for no other."""

    def opened(channel: str, number: int) -> Rows:
        return open_rows(window_folder(ml, channel, number))

    return {
        source.channel: WindowedRows(len(cuts[source.channel]), partial(opened, source.channel))
        if source.channel in cuts
        else open_rows(window_folder(ml, source.channel, None))
        for source in plan.sources
    }


if __name__ == "__main__":
    sys.exit(main())
