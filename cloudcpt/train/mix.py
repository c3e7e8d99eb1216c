"""The global order of rows: which row of which source fills slot k, for every k, without state.

Slot k belongs to a source so that after any number of slots each source has had its share, to within a slot or two:
the first source takes its share of all slots, evenly spread, the second its share of what is left, and so on. Shares
of the recipe are by tokens, slots hold rows, so a source's weight is divided by its mean tokens per row.

The i-th slot of a source takes row `permutation(seed, source, epoch)[i % R]` with epoch `i // R`: every row once per
pass, in a new order each pass. The first pass over a source of many windows goes window by window, in a new order
within each, so that no step needs a window that the windows before it do not lead to; later passes go over all rows.
Everything is integers and fractions; nothing depends on how many processes train or on when a window was ready, so
the position in the data is the step and nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from cloudcpt.plan.plan import Plan, Source
from cloudcpt.train.rows import InWindow, Rows, SourceRows
from cloudcpt.train.shuffle import shuffle_key, shuffled


@dataclass(frozen=True, kw_only=True)
class MixedSource:
    """One source of the mix.

    Args:
        channel: Of the source.
        rows: Its rows.
        share: Of the slots that the sources before it left.
    """

    channel: str
    rows: SourceRows
    share: Fraction

    def row_at(self, use: int, seed: int) -> int:
        """Return the row that the source gives when it is asked for a row for the `use`-th time, from 0."""
        found = self.rows.find(use)
        if found is None:
            size = self.rows.num_rows
            epoch, index = divmod(use, size)
            return shuffled(index, size, shuffle_key(seed, self.channel, epoch))
        which = (found.window,) if self.rows.num_windows > 1 else ()
        return use - found.row + shuffled(found.row, found.size, shuffle_key(seed, self.channel, 0, *which))

    def windows_used(self, uses: int) -> int:
        """Count the windows that hold the rows of so many uses, waiting for them."""
        found = self.rows.find(uses - 1) if uses else InWindow(-1, 0, 0)
        return found.window + 1 if found else self.rows.num_windows


@dataclass(frozen=True, kw_only=True)
class Mix:
    """The order of all rows that a plan trains on."""

    seed: int
    sources: tuple[MixedSource, ...]

    def row_at(self, slot: int) -> tuple[str, int]:
        """Return the channel and the row that fill a slot of the global order, from 0."""
        for source in self.sources:
            use = _evenly(slot, source.share)
            if _evenly(slot + 1, source.share) > use:
                return source.channel, source.row_at(use, self.seed)
            slot -= use
        raise AssertionError("the last source takes every slot that is left")

    def rows_used(self, slots: int) -> dict[str, int]:
        """Count the rows of each channel, repeats included, in the first `slots` slots of the global order."""
        used = {}
        for source in self.sources:
            used[source.channel] = _evenly(slots, source.share)
            slots -= used[source.channel]
        return used

    def windows_used(self, slots: int) -> dict[str, int]:
        """Count the windows of each channel, from its first, that the first `slots` slots need; waits for them."""
        used = self.rows_used(slots)
        return {source.channel: source.windows_used(used[source.channel]) for source in self.sources}


def _evenly(slots: int, share: Fraction) -> int:
    """Count how many of the first `slots` slots a share takes: the nearest integer, so never off by more than half."""
    return (2 * slots * share.numerator + share.denominator) // (2 * share.denominator)


def make_mix(plan: Plan, rows: Mapping[str, SourceRows]) -> Mix:
    """Lay out the order in which a plan's training and replay rows are used.

    Args:
        plan: Weights and seed.
        rows: By channel; counts come from here, because the plan's may be estimates. How full the rows of a source
            are is taken from its first window: it holds text from all over the source, and waiting for the others
            would change the shares by less than the padding, a part in a few hundred.
    """
    sources = [source for source in plan.sources_of("train", "replay") if source.weight > 0]
    slot_weights = [_slot_weight(source, rows[source.channel].window(0)) for source in sources]
    return Mix(
        seed=plan.seed,
        sources=tuple(
            MixedSource(channel=source.channel, rows=rows[source.channel], share=share)
            for source, share in zip(sources, _shares_of_rest(slot_weights), strict=True)
        ),
    )


def trained_tokens(plan: Plan, rows: Mapping[str, SourceRows], steps: int) -> dict[str, int]:
    """Say how many tokens of each source the first steps trained on: its rows times its mean tokens per row.

    Args:
        plan: Weights, seed and rows per step.
        rows: By channel.
        steps: Optimizer steps completed.

    Returns:
        Tokens by channel, padding not counted; exact after whole passes and whole windows of the first one, within a
        row's padding otherwise.
    """
    used = make_mix(plan, rows).rows_used(steps * plan.geometry.global_batch_rows)
    return {channel: _tokens_of_uses(rows[channel], count) for channel, count in used.items()}


def _tokens_of_uses(rows: SourceRows, uses: int) -> int:
    last = rows.find(uses - 1) if uses else InWindow(0, -1, 1)
    if last is None:  # more than one pass, so every window is there
        tokens = sum(rows.window(number).header.num_tokens for number in range(rows.num_windows))
        return uses * tokens // rows.num_rows
    whole = sum(rows.window(number).header.num_tokens for number in range(last.window))
    return whole + (last.row + 1) * rows.window(last.window).header.num_tokens // last.size


def _slot_weight(source: Source, rows: Rows) -> Fraction:
    assert len(rows) > 0, f"source `{source.name}` has no rows, which reading it should have refused"
    tokens_per_row = Fraction(rows.header.num_tokens, len(rows))
    return Fraction(source.weight) / tokens_per_row


def _shares_of_rest(weights: Sequence[Fraction]) -> list[Fraction]:
    return [weight / sum(weights[place:], Fraction()) for place, weight in enumerate(weights)]
