"""Findings read as drawn, to the character, without colour."""

from pathlib import Path

import pytest

from cloudcpt.cli.diagnostics import Tally, diagnostic_lines, tally, tally_line
from cloudcpt.errors import Diagnostic, Place, Related, Severity, error, note, warning

RECIPE = """\
run:
  name: demo
training_config:
  model:
    optim:
      lr: 1e-5
      sched:
        warmup_step: 10
        min_lr: 1e-4
"""
SOURCES = {"r.yaml": RECIPE}


def rendered(*diagnostics: Diagnostic, width: int = 80) -> str:
    lines = diagnostic_lines(diagnostics, SOURCES, width)
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


def at(line: int, column: int, length: int = 1, path: str = "r.yaml") -> Place:
    return Place(path=path, line=line, column=column, length=length)


def test_an_unknown_key_reads_as_drawn() -> None:
    found = error("CPT012", "unknown key `warmup_step`", place=at(8, 9, 11), hint="did you mean `warmup_steps`?")
    assert rendered(found) == (
        "error[CPT012] unknown key `warmup_step`                               r.yaml:8:9\n"
        "    7 |       sched:\n"
        "    8 |         warmup_step: 10\n"
        "      |         ^^^^^^^^^^^\n"
        "   hint: did you mean `warmup_steps`?"
    )


def test_a_contradiction_shows_both_places() -> None:
    lr_place = Related(place=at(6, 11, 4), label="`lr` is set here")
    found = error("CPT204", "`min_lr` `1e-4` is not below `lr` `1e-5`", place=at(9, 17, 4), related=(lr_place,))
    assert rendered(found) == (
        "error[CPT204] `min_lr` `1e-4` is not below `lr` `1e-5`               r.yaml:9:17\n"
        "    6 |       lr: 1e-5\n"
        "      |           ---- `lr` is set here\n"
        "    7 |       sched:\n"
        "     ...\n"
        "    9 |         min_lr: 1e-4\n"
        "      |                 ^^^^"
    )


def test_a_place_that_does_not_fit_beside_the_message_goes_below() -> None:
    found = warning("CPT103", "a message that needs nearly the whole line", place=at(2, 9, 4))
    assert rendered(found, width=60) == (
        "warning[CPT103] a message that needs nearly the whole line\n"
        "   --> r.yaml:2:9\n"
        "    1 | run:\n"
        "    2 |   name: demo\n"
        "      |         ^^^^"
    )


def test_findings_without_a_place_take_one_line_each() -> None:
    assert rendered(note("CPT501", "first"), note("CPT501", "second")) == "note[CPT501] first\nnote[CPT501] second"


def test_a_blank_line_follows_a_finding_of_several_lines() -> None:
    found = error("CPT450", "no", hint="do")
    assert rendered(found, found) == "error[CPT450] no\n   hint: do\n\nerror[CPT450] no\n   hint: do"


def test_a_related_place_in_another_file_has_its_own_heading(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("base: 5\n")
    elsewhere = Related(place=at(1, 7, path=str(other)), label="first given here")
    found = error("CPT201", "given twice", place=at(2, 9, 4), related=(elsewhere,))
    assert rendered(found).splitlines()[-3:] == [
        f"   --> {other}:1:7",
        "    1 | base: 5",
        "      |       - first given here",
    ]


def test_a_related_place_that_cannot_be_read_keeps_its_label() -> None:
    elsewhere = Related(place=at(3, 1, path="gone.jsonl"), label="first seen here")
    assert rendered(error("CPT301", "twice", related=(elsewhere,))) == (
        "error[CPT301] twice\n   --> gone.jsonl:3:1 first seen here"
    )


def test_data_shows_the_byte_and_each_line_by_itself(tmp_path: Path) -> None:
    data = tmp_path / "d.jsonl"
    data.write_text('{"text": "a"}\n{"txet": "b"}\n')
    first = Place(path=str(data), line=1, column=1, byte=0)
    found = error(
        "CPT310",
        "no",
        place=Place(path=str(data), line=2, column=2, length=6, byte=15),
        related=(Related(place=first, label="like this"),),
    )
    lines = rendered(found, width=200).splitlines()
    assert lines[lines.index('    2 | {"txet": "b"}') :] == [  # a long path has a line of its own before
        '    2 | {"txet": "b"}',
        "      |  ^^^^^^",
        f"   --> {data}:1:1 (byte 0)",
        '    1 | {"text": "a"}',
        "      | - like this",
    ]
    assert f"{data}:2:2 (byte 15)" in rendered(found, width=200)


def test_what_is_left_out_is_counted_after_the_last_of_its_kind() -> None:
    kept = [Diagnostic(code="CPT310", message=f"line {line}", count=1046) for line in range(5)]
    lines = rendered(*kept, error("CPT311", "other")).splitlines()
    assert lines[5] == "   ... and 1,041 more CPT310"
    assert sum("more" in line for line in lines) == 1


def test_a_message_cannot_act_on_the_terminal() -> None:
    assert rendered(error("CPT012", "key \x1b[2J\n", hint="a\x07b")) == "error[CPT012] key ␛[2J␊\n   hint: a␇b"


def test_a_wide_terminal_does_not_pull_message_and_place_apart() -> None:
    found = error("CPT012", "x", place=Place(path="a.yaml"))
    assert len(rendered(found, width=300)) == 110


def test_the_tally_counts_what_was_left_out() -> None:
    found = tally([Diagnostic(code="CPT310", message="", count=9), warning("CPT320", ""), note("CPT501", "")])
    assert found == Tally(errors=9, warnings=1, notes=1, first_code="CPT310")


def test_the_tally_explains_the_first_error_even_after_warnings() -> None:
    assert tally([warning("CPT320", ""), error("CPT204", "")]).first_code == "CPT204"
    assert (tally([warning("CPT320", "")]) + tally([error("CPT204", "")])).first_code == "CPT204"
    assert (Tally() + tally([warning("CPT320", "")])).first_code == "CPT320"


def test_the_same_code_may_be_an_error_here_and_a_warning_there() -> None:
    found = tally([error("CPT204", ""), warning("CPT204", ""), error("CPT204", "")])
    assert (found.errors, found.warnings) == (2, 1)


@pytest.mark.parametrize(
    ("numbers", "line"),
    [
        ((2, 1, 0), "Found 2 errors, 1 warning in 0.3 s; explain: cloudcpt explain CPT204"),
        ((0, 0, 1), "Found 1 note in 0.3 s; explain: cloudcpt explain CPT204"),
        ((1204, 0, 0), "Found 1,204 errors in 0.3 s; explain: cloudcpt explain CPT204"),
        ((0, 0, 0), "Found no problems in 0.3 s"),
    ],
)
def test_the_last_line_reads_as_drawn(numbers: tuple[int, int, int], line: str) -> None:
    errors, warnings, notes = numbers
    found = Tally(errors=errors, warnings=warnings, notes=notes, first_code="CPT204")
    assert "".join(text for text, _ in tally_line(found, 0.3)) == line


def test_severities_have_roles_of_the_same_name() -> None:
    from cloudcpt.cli.render import THEME

    assert {str(severity) for severity in Severity} <= set(THEME.styles)
