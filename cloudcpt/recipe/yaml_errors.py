"""One friendly sentence for each way in which a file can fail to be YAML."""

import re

from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError

from cloudcpt.errors import Diagnostic, Place, Related, error
from cloudcpt.recipe.source import RecipeSource

_LONE_KEY = "could not find expected ':'"
_TAB = r"found character '\\t' that cannot start any token|found a tab character"

# What ruamel.yaml says -> what we say, and what to do. The first pattern that is found wins; `{}` is its group.
_SENTENCES: tuple[tuple[str, str, str | None], ...] = (
    (
        r"mapping values are not allowed",
        "a second `:` on one line, or wrong indentation",
        "quote a value that contains `: `",
    ),
    (r"found unexpected end of stream", "a quoted text is never closed", "add the closing quote"),
    (r"found unexpected document separator", "a quoted text is never closed", "add the closing quote"),
    (r"expected ',' or '(.)', but got", "a list or mapping that was opened is not closed with `{}`", None),
    (r"found character '(.)' that cannot start any token", "a value cannot start with `{}`", "put it in quotes"),
    (_LONE_KEY, "a key without `:` behind it", None),
    (r"expected <block end>, but found", "this line is indented differently from the lines around it", None),
    (
        r"found unknown escape character",
        "an unknown `\\` escape inside double quotes",
        "use single quotes for a literal `\\`",
    ),
    (
        r"expected escape sequence of",
        "an incomplete `\\` escape inside double quotes",
        "use single quotes for a literal `\\`",
    ),
    (r"expected '<document start>'", "this line is indented less than the first one", None),
    (r"sequence entries are not allowed", "a list item `- ` cannot stand on the line of its key", "start a new line"),
)


def yaml_error(exc: YAMLError, source: RecipeSource) -> Diagnostic:
    """Turn the parser's exception into a finding at the place where it gave up."""
    problem = str(getattr(exc, "problem", None) or exc).splitlines()[0]
    began = exc.context_mark if isinstance(exc, MarkedYAMLError) else None
    mark = getattr(exc, "problem_mark", None)
    if began is not None and _LONE_KEY in problem:
        mark = began  # the parser notices only at whatever comes next
    place = _place(mark, source)
    if re.search(_TAB, problem):
        message = "a tab where YAML wants spaces"
        return error("CPT008", message, place=place, hint="indent with spaces, two per level")
    message, hint = _sentence(problem)
    is_far = began is not None and mark is not None and began.line != mark.line
    related = (Related(place=_place(began, source), label="began here"),) if is_far else ()
    return error("CPT007", message, place=place, hint=hint, related=related)


def _sentence(problem: str) -> tuple[str, str | None]:
    for pattern, sentence, hint in _SENTENCES:
        if match := re.search(pattern, problem):
            return f"this is not YAML: {sentence.format(*match.groups())}", hint
    return f"this is not YAML: {problem}", None


def _place(mark: StringMark | None, source: RecipeSource) -> Place:
    if mark is None:
        return Place(path=source.path)
    return Place(path=source.path, line=mark.line + 1, column=mark.column + 1)
