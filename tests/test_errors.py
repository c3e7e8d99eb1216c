"""The exception tree keeps its promises: exit codes, pickling, and words for every code."""

import pickle

import pytest

from cloudcpt import errors


def all_subclasses(cls):
    for child in cls.__subclasses__():
        yield child
        yield from all_subclasses(child)


def test_exit_codes_are_frozen():
    assert {code.name: int(code) for code in errors.ExitCode} == {
        "OK": 0,
        "FINDINGS": 1,
        "USAGE": 2,
        "SETUP": 3,
        "REFUSED": 4,
        "TRANSIENT": 5,
        "JOB_FAILED": 6,
        "JOB_STOPPED": 7,
        "BUG": 70,
        "INTERRUPTED": 130,
    }


@pytest.mark.parametrize("cls", sorted(all_subclasses(errors.CloudcptError), key=lambda cls: cls.__name__))
def test_every_error_has_an_exit_code_and_survives_another_process(cls):
    raised = cls(errors.error("CPT999", "`x` is odd", place=errors.Place(path="a.yaml", line=3, column=7)))
    assert cls.exit_code in errors.ExitCode
    read = pickle.loads(pickle.dumps(raised))
    assert type(read) is cls
    assert read.diagnostics == raised.diagnostics
    assert str(read) == "CPT999: `x` is odd"


def test_a_place_is_written_as_editors_open_it():
    assert str(errors.Place(path="a.yaml", line=3, column=7)) == "a.yaml:3:7"
    assert str(errors.Place(path="a.jsonl", line=3, byte=77)) == "a.jsonl:3"
    assert str(errors.Place(path="a.yaml")) == "a.yaml"


def test_every_explanation_has_a_title_and_says_something():
    for code, explanation in errors.explanations().items():
        assert code == explanation.code
        assert explanation.title
        assert not explanation.title.endswith(".")
        assert len(explanation.text) > 60, code


def test_codes_are_listed_in_order():
    codes = list(errors.explanations())
    assert codes == sorted(codes)
