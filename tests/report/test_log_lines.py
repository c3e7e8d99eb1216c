"""The numbers of a job's log are those that its metrics will have."""

from dataclasses import replace

from cloudcpt.report.log_lines import records_of_lines
from cloudcpt.wire import Progress, evaluation_line, parse_progress


def line(step: int, *, loss: float = 1.0, tokens: int | None = None, rate: float = 50.0) -> str:
    return Progress(
        step=step,
        loss=loss,
        tokens_per_s=rate,
        total_steps=9,
        lr=1e-4,
        grad_norm=2.0,
        tokens=100 * step if tokens is None else tokens,
        eta_s=0.0,
    ).line()


def test_steps_and_evaluations_are_read_and_other_lines_passed_over() -> None:
    rows = records_of_lines(["hello", line(1), evaluation_line("general", 1, 2.0, 7.39), "3|x|", line(3)])
    assert [(row["kind"], row["step"]) for row in rows] == [("step", 1), ("step", 3), ("eval", 1)]
    assert (rows[2]["set"], rows[2]["loss"], rows[2]["perplexity"]) == ("general", 2.0, 7.39)


def test_the_seconds_of_a_step_follow_from_tokens_and_rate() -> None:
    first, second = records_of_lines([line(2, rate=50.0), line(4, rate=25.0)])
    assert first["seconds"] == 200 / 50 / 2
    assert second["seconds"] == 200 / 25 / 2


def test_what_a_line_measured_is_in_its_record() -> None:
    written = replace(parse_progress(line(3)), seconds=1.5, mfu_full=0.5, course="bump", spikes=2).line()
    (row,) = records_of_lines([written])
    assert (row["seconds"], row["mfu_full"], row["course"], row["spikes"]) == (1.5, 0.5, "bump", 2)
    (measured,) = records_of_lines([evaluation_line("general", 3, 2.0, 7.39, bits_per_byte=0.9, change_nats=0.1)])
    assert (measured["bits_per_byte"], measured["change_nats"]) == (0.9, 0.1)


def test_a_job_that_began_anew_has_each_step_once_with_its_last_numbers() -> None:
    first = [line(1, loss=9.0), line(2, loss=8.0), evaluation_line("domain", 0, 1.0, 1.0)]
    again = [line(1, loss=3.0), evaluation_line("domain", 0, 2.0, 2.0)]
    rows = records_of_lines([*first, *again])
    assert [(row["step"], row["loss"]) for row in rows] == [(1, 3.0), (2, 8.0), (0, 2.0)]


def test_a_rate_of_nothing_leaves_the_seconds_open() -> None:
    assert records_of_lines([line(1, rate=0.0)])[0]["seconds"] is None
    assert records_of_lines([line(1, rate=float("nan"))])[0]["seconds"] is None
