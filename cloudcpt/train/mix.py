"""The global order of rows: which row of which source fills slot k, for every k, without state.

Slot k belongs to a source so that after any number of slots each source has had its share, to within a slot or two:
the first source takes its share of all slots, evenly spread, the second its share of what is left, and so on. Shares
of the recipe are by tokens, slots hold rows, so a source's weight is divided by its mean tokens per row.

The i-th slot of a source takes row `permutation(seed, source, epoch)[i % R]` with epoch `i // R`: every row once per
pass, in a new order each pass. Everything is integers and fractions; nothing depends on how many processes train, so
the position in the data is the step and nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from cloudcpt.plan.plan import Plan, Source
from cloudcpt.train.rows import Rows
from cloudcpt.train.shuffle import shuffle_key, shuffled


@dataclass(frozen=True, kw_only=True)
class MixedSource:
    """One source of the mix.

    Args:
        channel: Which rows.
        num_rows: R, rows of one pass.
        share: Of the slots that the sources before it left.
    """

    channel: str
    num_rows: int
    share: Fraction


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
                epoch, index = divmod(use, source.num_rows)
                key = shuffle_key(self.seed, source.channel, epoch)
                return source.channel, shuffled(index, source.num_rows, key)
            slot -= use
        raise AssertionError("the last source takes every slot that is left")

    def rows_used(self, slots: int) -> dict[str, int]:
        """Count the rows of each channel, repeats included, in the first `slots` slots of the global order."""
        used = {}
        for source in self.sources:
            used[source.channel] = _evenly(slots, source.share)
            slots -= used[source.channel]
        return used


def _evenly(slots: int, share: Fraction) -> int:
    """Count how many of the first `slots` slots a share takes: the nearest integer, so never off by more than half."""
    return (2 * slots * share.numerator + share.denominator) // (2 * share.denominator)


def make_mix(plan: Plan, rows: Mapping[str, Rows]) -> Mix:
    """Lay out the order in which a plan's training and replay rows are used.

    Args:
        plan: Weights and seed.
        rows: By channel; counts come from here, because the plan's may be estimates.
    """
    sources = [source for source in plan.sources_of("train", "replay") if source.weight > 0]
    slot_weights = [_slot_weight(source, rows[source.channel]) for source in sources]
    return Mix(
        seed=plan.seed,
        sources=tuple(
            MixedSource(channel=source.channel, num_rows=len(rows[source.channel]), share=share)
            for source, share in zip(sources, _shares_of_rest(slot_weights), strict=True)
        ),
    )


def trained_tokens(plan: Plan, rows: Mapping[str, Rows], steps: int) -> dict[str, int]:
    """Say how many tokens of each source the first steps trained on: its rows times its mean tokens per row.

    Args:
        plan: Weights, seed and rows per step.
        rows: By channel.
        steps: Optimizer steps completed.

    Returns:
        Tokens by channel, padding not counted; exact after whole passes, within a row's padding otherwise.
    """
    used = make_mix(plan, rows).rows_used(steps * plan.geometry.global_batch_rows)
    return {channel: count * rows[channel].header.num_tokens // len(rows[channel]) for channel, count in used.items()}


def _slot_weight(source: Source, rows: Rows) -> Fraction:
    assert len(rows) > 0, f"source `{source.name}` has no rows, which reading it should have refused"
    tokens_per_row = Fraction(rows.header.num_tokens, len(rows))
    return Fraction(source.weight) / tokens_per_row


def _shares_of_rest(weights: Sequence[Fraction]) -> list[Fraction]:
    return [weight / sum(weights[place:], Fraction()) for place, weight in enumerate(weights)]
