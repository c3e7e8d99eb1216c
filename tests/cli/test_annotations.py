"""What GitHub and SARIF readers get is well formed, whatever a message holds."""

import pytest

from cloudcpt.cli.annotations import github_lines, sarif
from cloudcpt.errors import Diagnostic, Place, Related, Severity, error, explanations, note, warning

PLACE = Place(path="a b,c.yaml", line=3, column=5, length=4)


def test_github_escapes_what_would_end_a_property_or_a_line() -> None:
    (line,) = github_lines([error("CPT012", "50%\nnext: x", place=PLACE, hint="try")])
    assert line == "::error title=CPT012,file=a b%2Cc.yaml,line=3,col=5,endColumn=9::50%25%0Anext: x; hint: try"


@pytest.mark.parametrize(
    ("found", "word"),
    [(error("CPT012", "x"), "error"), (warning("CPT012", "x"), "warning"), (note("CPT012", "x"), "notice")],
)
def test_github_has_words_of_its_own_for_severities(found: Diagnostic, word: str) -> None:
    assert github_lines([found]) == [f"::{word} title=CPT012::x"]


def test_a_finding_that_stands_for_many_says_so() -> None:
    found = Diagnostic(code="CPT344", message="no", count=1046)
    assert github_lines([found]) == ["::error title=CPT344::no (1,046 like this)"]


def test_sarif_quotes_paths_and_keeps_related_places() -> None:
    elsewhere = Related(place=Place(path="/data/b.jsonl", line=7), label="first here")
    log = sarif([error("CPT901", "no", place=PLACE, related=(elsewhere,))], explanations())
    (result,) = log["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "a%20b%2Cc.yaml"}
    assert result["relatedLocations"] == [
        {
            "physicalLocation": {"artifactLocation": {"uri": "file:///data/b.jsonl"}, "region": {"startLine": 7}},
            "message": {"text": "first here"},
        }
    ]


def test_sarif_results_refer_to_their_rules_by_index() -> None:
    run = sarif([error("CPT901", "a"), warning("CPT440", "b"), error("CPT901", "c")], explanations())["runs"][0]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == ["CPT440", "CPT901"]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    assert [result["level"] for result in run["results"]] == ["error", "warning", "error"]
    assert {str(severity) for severity in Severity} <= {"error", "warning", "note", "none"}


def test_a_rule_without_an_explanation_is_its_code() -> None:
    assert sarif([error("CPT999", "a")], {})["runs"][0]["tool"]["driver"]["rules"] == [{"id": "CPT999"}]
