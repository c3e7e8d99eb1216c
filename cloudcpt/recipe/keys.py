"""Unknown keys: what was probably meant, where it belongs, or why it has no place here.

`foreign.toml` lists keys of other tools' configurations. They are answered, never accepted under another name: two
spellings of one setting would make recipes harder to compare.
"""

import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from importlib import resources

from cloudcpt.recipe.catalog import model_rows
from cloudcpt.recipe.faults import Fault, KeyPath, dotted, listed, shown
from cloudcpt.recipe.outline import children, homes, known_keys, schema_at
from cloudcpt.recipe.values import OPTIM_BESIDE, OPTIM_INSIDE, Values

_CLOSE_SIBLING = 0.7
_CLOSE_ANYWHERE = 0.85  # far from here, only a near-certain match is a help
_MOST_LISTED = 12


def unknown_key(loc: KeyPath, values: Values) -> Fault:
    """Answer a key that a recipe does not have."""
    key = str(loc[-1])
    belongs = _belongs(key, values)
    if belongs:
        message = f"`{key}` is not a key of {_section(loc)}, it belongs under {listed(belongs)}"
        return Fault(code="CPT022", message=message, loc=loc, on="key")
    name = key.lower().lstrip("-").replace("-", "_")
    foreign = _foreign().get(name)
    if foreign and "write" in foreign:
        home = _placed(tuple(foreign["write"].split(".")), values)
        message = f"unknown key {shown(key)}; a recipe writes it as `{dotted(home)}`"
        return Fault(code="CPT023", message=message, loc=loc, on="key", hint=foreign.get("how"))
    if foreign:
        message = f"`{key}` has no place in a recipe: {foreign['reason']}"
        return Fault(code="CPT024", message=message, loc=loc, on="key")
    message = f"unknown key {shown(key)} in {_section(loc)}"
    return Fault(code="CPT012", message=message, loc=loc, on="key", hint=_guess(name, loc))


def closest(word: str, choices: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Find the choice that a misspelt word most probably meant."""
    by_lower = {choice.lower(): choice for choice in choices}
    matches = get_close_matches(word.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[matches[0]] if matches else None


def models_like(word: str) -> str | None:
    """Say which model of the catalog was probably meant, by name, by Hugging Face name or by architecture."""
    rows = model_rows()
    named = [row.model_type for row in rows if row.hugging_face and word.lower() == row.hugging_face.lower()]
    similar = tuple(named or (row.model_type for row in rows if row.architecture == word.lower()))
    close = closest(word.rsplit("/", 1)[-1], (row.model_type for row in rows))
    if similar or close:
        return f"did you mean {listed(similar or (close,))}?"
    return None


def _belongs(key: str, values: Values) -> tuple[str, ...]:
    """Name the sections that have exactly this key."""
    sections = (dotted(_placed(home, values)[:-1]) for home in homes(key))
    return tuple(dict.fromkeys(section or "the top level" for section in sections))


def _placed(home: KeyPath, values: Values) -> KeyPath:
    """Move a path under `optim` to the place where this recipe writes its optimizer."""
    for optim in (OPTIM_INSIDE, OPTIM_BESIDE):
        if home[: len(optim)] == optim:
            return (*values.optim, *home[len(optim) :])
    return home


def _guess(name: str, loc: KeyPath) -> str | None:
    siblings = tuple(children(schema_at(loc[:-1]) or {}))
    if sibling := closest(name, siblings, cutoff=_CLOSE_SIBLING):
        return f"did you mean `{sibling}`?"
    if elsewhere := closest(name, known_keys(), cutoff=_CLOSE_ANYWHERE):
        return f"did you mean `{elsewhere}` under `{dotted(homes(elsewhere)[0][:-1])}`?"
    return f"keys here are {listed(siblings, 'and')}" if 0 < len(siblings) <= _MOST_LISTED else None


def _section(loc: KeyPath) -> str:
    return f"`{dotted(loc[:-1])}`" if len(loc) > 1 else "a recipe"


@cache
def _foreign() -> dict[str, dict[str, str]]:
    text = resources.files("cloudcpt.recipe").joinpath("foreign.toml").read_text("utf-8")
    return tomllib.loads(text)
