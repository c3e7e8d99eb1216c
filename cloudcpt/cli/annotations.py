"""Findings for machines that annotate code: GitHub workflow commands and SARIF 2.1.0.

Sources: GitHub Docs, "Workflow commands for GitHub Actions"; OASIS SARIF 2.1.0, sections 3.13 to 3.30.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cloudcpt import __version__
from cloudcpt.errors import Diagnostic, Explanation, Place, Severity

_GITHUB_WORDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def github_lines(diagnostics: Sequence[Diagnostic]) -> list[str]:
    """Write one workflow command per finding, which GitHub shows beside the line."""
    return [_github_line(found) for found in diagnostics]


def _github_line(found: Diagnostic) -> str:
    properties = {"title": found.code}
    if found.place is not None:
        properties["file"] = found.place.path
        if found.place.line is not None:
            properties["line"] = str(found.place.line)
            if found.place.column is not None:
                properties["col"] = str(found.place.column)
                properties["endColumn"] = str(found.place.column + found.place.length)
    shown = ",".join(f"{name}={_github_property(value)}" for name, value in properties.items())
    return f"::{_GITHUB_WORDS[found.severity]} {shown}::{_github_data(_message(found))}"


def _github_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _github_property(text: str) -> str:
    return _github_data(text).replace(":", "%3A").replace(",", "%2C")


def _message(found: Diagnostic) -> str:
    more = f" ({found.count:,} like this)" if found.count > 1 else ""
    return found.message + more + (f"; hint: {found.hint}" if found.hint else "")


def sarif(diagnostics: Sequence[Diagnostic], explanations: dict[str, Explanation]) -> dict[str, Any]:
    """Build a SARIF log of one run; its `version` is SARIF's own.

    Args:
        diagnostics: In any order.
        explanations: Of the codes, for the rules that the results refer to.
    """
    codes = sorted({found.code for found in diagnostics})
    driver = {
        "name": "cloudcpt",
        "semanticVersion": __version__,
        "rules": [_rule(code, explanations.get(code)) for code in codes],
    }
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_result(found, codes.index(found.code)) for found in diagnostics],
            }
        ],
    }


def _rule(code: str, explained: Explanation | None) -> dict[str, Any]:
    if explained is None:
        return {"id": code}
    return {"id": code, "shortDescription": {"text": explained.title}, "fullDescription": {"text": explained.text}}


def _result(found: Diagnostic, rule: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": found.code,
        "ruleIndex": rule,
        "level": str(found.severity),
        "message": {"text": _message(found)},
    }
    if found.place is not None:
        result["locations"] = [_location(found.place)]
    if found.related:
        result["relatedLocations"] = [
            {**_location(related.place), "message": {"text": related.label}} for related in found.related
        ]
    return result


def _location(place: Place) -> dict[str, Any]:
    path = Path(place.path)
    physical: dict[str, Any] = {
        "artifactLocation": {"uri": path.as_uri() if path.is_absolute() else quote(path.as_posix())}
    }
    if place.line is not None:
        physical["region"] = {"startLine": place.line}
        if place.column is not None:
            physical["region"] |= {"startColumn": place.column, "endColumn": place.column + place.length}
    return {"physicalLocation": physical}
