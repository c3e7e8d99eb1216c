from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.plan.geometry import Share, steps_of_epochs
from cloudcpt.plan.plan import Plan, read_plan
from cloudcpt.train.mix import make_mix, trained_tokens
from cloudcpt.train.rows import Rows, RowsHeader

PLAN = read_plan(Path(__file__).with_name("data_plan.json"))


def rows_of(num_rows: int, tokens_per_row: int) -> Rows:
    """Rows that only have a size: the mix looks at nothing else."""
    num_tokens = num_rows * tokens_per_row
    header = RowsHeader(
        seq_len_tokens=16,
        boundary_id=0,
        num_tokens=num_tokens,
        text_bytes=num_tokens,
        files=("a.jsonl",),
        origin="tokenised",
    )
    nothing = np.empty((0, 3), dtype=np.int64)
    tokens = np.zeros((num_rows, 16), dtype=np.uint32)
    return Rows(header=header, tokens=tokens, pieces=nothing, row_starts=nothing, documents=nothing)


def mixed(weights: list[float]) -> Plan:
    train, replay = PLAN.sources[:2]
    replays = [replace(replay, name=f"r{n}", channel=f"r{n}", weight=weight) for n, weight in enumerate(weights[1:])]
    return replace(PLAN, sources=(replace(train, weight=weights[0]), *replays))


weights_strategy = st.lists(st.floats(0.01, 1.0), min_size=1, max_size=5)
sizes_strategy = st.tuples(st.integers(1, 50), st.integers(1, 16))


@given(weights=weights_strategy, sizes=st.lists(sizes_strategy, min_size=5, max_size=5), start=st.integers(0, 10**9))
def test_every_source_has_its_share_of_the_tokens_in_every_window(
    weights: list[float], sizes: list[tuple[int, int]], start: int
) -> None:
    """In any 400 slots, each source's rows are within one slot per source of what its share of the tokens asks for."""
    plan = mixed(weights)
    rows = {source.channel: rows_of(*size) for source, size in zip(plan.sources, sizes[: len(weights)], strict=True)}
    mix = make_mix(plan, rows)
    window = 400
    found = Counter(mix.row_at(slot)[0] for slot in range(start, start + window))
    per_row = {channel: source.header.num_tokens / len(source) for channel, source in rows.items()}
    slot_weights = {source.channel: source.weight / per_row[source.channel] for source in plan.sources}
    for channel, weight in slot_weights.items():
        expected = window * weight / sum(slot_weights.values())
        assert abs(found[channel] - expected) <= len(weights)


def test_a_hand_worked_mix() -> None:
    """A quarter of the tokens from rows half as full is two of five rows."""
    mix = make_mix(mixed([0.75, 0.25]), {"train": rows_of(10, 16), "r0": rows_of(10, 8)})
    assert [mix.row_at(slot)[0] for slot in range(10)] == ["train", "r0", "train", "r0", "train"] * 2


@given(num_rows=st.integers(1, 40), weight=st.floats(0.05, 0.95))
def test_a_source_shows_every_row_once_per_pass_and_each_pass_in_another_order(num_rows: int, weight: float) -> None:
    mix = make_mix(mixed([weight, 1 - weight]), {"train": rows_of(num_rows, 16), "r0": rows_of(3, 16)})
    uses: list[int] = []
    slot = 0
    while len(uses) < 2 * num_rows:
        channel, row = mix.row_at(slot)
        uses += [row] if channel == "train" else []
        slot += 1
    first, second = uses[:num_rows], uses[num_rows:]
    assert sorted(first) == sorted(second) == list(range(num_rows))
    if num_rows > 10:
        assert first != second


@given(num_rows=st.lists(st.integers(1, 9), min_size=1, max_size=4), steps=st.integers(0, 20), data=st.data())
def test_trained_tokens_are_those_of_the_rows_that_were_used(
    num_rows: list[int], steps: int, data: st.DataObject
) -> None:
    weights = data.draw(st.lists(st.floats(0.05, 1), min_size=len(num_rows), max_size=len(num_rows)))
    plan = mixed([weight / sum(weights) for weight in weights])
    rows = {source.channel: rows_of(count, 16) for source, count in zip(plan.sources, num_rows, strict=True)}
    mix = make_mix(plan, rows)
    picked = [mix.row_at(slot)[0] for slot in range(steps * plan.geometry.global_batch_rows)]
    expected = {channel: 16 * picked.count(channel) for channel in rows}
    assert trained_tokens(plan, rows, steps) == expected


@given(
    weights=weights_strategy,
    sizes=st.lists(sizes_strategy, min_size=5, max_size=5),
    seed=st.integers(0, 2**63),
    slots=st.lists(st.integers(0, 10**6), min_size=1, max_size=20),
)
def test_a_slot_is_answered_from_seed_and_number_alone(
    weights: list[float], sizes: list[tuple[int, int]], seed: int, slots: list[int]
) -> None:
    """Asked in any order, by a mix that was just made or one that was asked before: there is no state to resume."""
    plan = replace(mixed(weights), seed=seed)
    rows = {source.channel: rows_of(*size) for source, size in zip(plan.sources, sizes[: len(weights)], strict=True)}
    asked = make_mix(plan, rows)
    answers = [asked.row_at(slot) for slot in slots]
    assert [asked.row_at(slot) for slot in reversed(slots)] == answers[::-1]
    assert [make_mix(plan, rows).row_at(slot) for slot in slots] == answers


@given(weights=weights_strategy, sizes=st.lists(sizes_strategy, min_size=5, max_size=5), epochs=st.integers(1, 5))
def test_tokens_are_mixed_by_the_weights_whatever_the_rows_hold(
    weights: list[float], sizes: list[tuple[int, int]], epochs: int
) -> None:
    """Over so many slots, each source's tokens are its weight's share of all, to within a row or two per source."""
    plan = mixed(weights)
    rows = {source.channel: rows_of(*size) for source, size in zip(plan.sources, sizes[: len(weights)], strict=True)}
    used = make_mix(plan, rows).rows_used(5000 * epochs)
    tokens = {channel: count * rows[channel].header.num_tokens / len(rows[channel]) for channel, count in used.items()}
    whole = sum(source.weight for source in plan.sources)
    for source in plan.sources:
        assert abs(tokens[source.channel] - sum(tokens.values()) * source.weight / whole) <= 2 * 16 * len(weights)


@given(
    sizes=st.lists(sizes_strategy, min_size=1, max_size=4),
    epochs=st.fractions(Fraction(1, 10), 5, max_denominator=20),
    batch=st.integers(1, 8),
    data=st.data(),
)
def test_a_fraction_of_an_epoch_trains_that_fraction_of_the_domain(
    sizes: list[tuple[int, int]], epochs: Fraction, batch: int, data: st.DataObject
) -> None:
    """The planner's steps and the trainer's order agree, to within the step that is not full, whatever is replayed."""
    drawn = data.draw(st.lists(st.integers(1, 9), min_size=len(sizes), max_size=len(sizes)))
    weights = [Fraction(weight, sum(drawn)) for weight in drawn]
    plan = mixed([float(weight) for weight in weights])
    rows = {source.channel: rows_of(*size) for source, size in zip(plan.sources, sizes, strict=True)}
    shares = [
        Share(rows=count, tokens=count * per_row, weight=weight)
        for (count, per_row), weight in zip(sizes, weights, strict=True)
    ]
    steps = steps_of_epochs(epochs, shares[0], shares[1:], batch)
    used = make_mix(plan, rows).rows_used(steps * batch)["train"]
    wanted = epochs * sizes[0][0]
    assert wanted - batch - 1 <= used <= wanted + 1


def test_a_source_of_weight_zero_takes_no_part() -> None:
    mix = make_mix(mixed([1.0, 0.0]), {"train": rows_of(3, 16), "r0": rows_of(0, 16)})
    assert {mix.row_at(slot)[0] for slot in range(100)} == {"train"}


def test_the_seed_changes_the_order_of_rows_but_not_of_sources() -> None:
    rows = {"train": rows_of(50, 16), "r0": rows_of(50, 16)}
    plan = mixed([0.6, 0.4])
    one, two = make_mix(plan, rows), make_mix(replace(plan, seed=7), rows)
    slots = [(one.row_at(slot), two.row_at(slot)) for slot in range(60)]
    assert [a[0] for a, _ in slots] == [b[0] for _, b in slots]
    assert [a[1] for a, _ in slots] != [b[1] for _, b in slots]
