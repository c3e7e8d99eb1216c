"""Load a recipe: bytes, syntax, values, conditions, rules, advice; every finding at once, in the order of the file."""

from dataclasses import dataclass, replace
from pathlib import Path

from cloudcpt.errors import Diagnostic, Place, RecipeError, Related, Severity
from cloudcpt.recipe.credentials import find_secrets, redact
from cloudcpt.recipe.faults import Fault, KeyPath
from cloudcpt.recipe.findings import examine
from cloudcpt.recipe.model import Recipe
from cloudcpt.recipe.source import RecipeSource, read_source
from cloudcpt.recipe.syntax import compose
from cloudcpt.recipe.tree import Node


@dataclass(frozen=True, kw_only=True)
class LoadedRecipe:
    """A valid recipe together with the file it came from.

    Args:
        recipe: What it says.
        path: As the user named it.
        folder: Relative paths in the recipe start here.
        text: The file, without a byte order mark.
        blake3: Of the file's bytes, 64 hex digits.
        diagnostics: Warnings and notes, in the order of the file.
        root: The file as a tree with places.
    """

    recipe: Recipe
    path: str
    folder: Path
    text: str
    blake3: str
    diagnostics: tuple[Diagnostic, ...]
    root: Node

    def place(self, *keys: str | int) -> Place | None:
        """Find where a value stands; for a key that the file does not have, its nearest existing ancestor."""
        return _place(self.root, keys, on="value")


def load_recipe(path: Path) -> LoadedRecipe:
    """Read and check a recipe; nothing about it is decided later except what needs data, a machine or an account.

    Raises:
        RecipeError: with every finding, warnings and notes included, in the order of the file.
    """
    source = read_source(path)
    recipe, root, findings = _read(source)
    secrets = find_secrets(source)
    ordered = tuple(sorted([*_redacted(findings, secrets), *secrets], key=_position))
    if recipe is None or root is None or any(found.severity is Severity.ERROR for found in ordered):
        raise RecipeError(*ordered)
    return LoadedRecipe(
        recipe=recipe,
        path=source.path,
        folder=path.absolute().parent,
        text=source.text,
        blake3=source.blake3,
        diagnostics=ordered,
        root=root,
    )


def parse_recipe(text: str, path: str) -> Recipe:
    """Read a recipe out of a plan, where its text was put after it had been loaded.

    Args:
        text: Of the whole recipe.
        path: To name it by in messages.

    Raises:
        RecipeError: this version of cloudcpt does not take it any more.
    """
    recipe, _, findings = _read(RecipeSource(path=path, text=text, blake3=""))
    if recipe is None:
        raise RecipeError(*findings)
    return recipe


def _read(source: RecipeSource) -> tuple[Recipe | None, Node | None, list[Diagnostic]]:
    """Go from text to a recipe: the recipe unless a value is wrong, the tree unless the text is no YAML, findings."""
    root, findings = compose(source)
    if root is None:
        return None, None, findings
    recipe, faults = examine(root)
    return recipe, root, findings + [_diagnostic(fault, root) for fault in faults]


def _diagnostic(fault: Fault, root: Node) -> Diagnostic:
    return Diagnostic(
        code=fault.code,
        message=fault.message,
        severity=fault.severity,
        place=_place(root, fault.loc, on=fault.on),
        related=tuple(Related(place=_place(root, loc, on="value"), label=label) for loc, label in fault.related),
        hint=fault.hint,
    )


def _place(root: Node, loc: KeyPath, *, on: str) -> Place:
    node, depth = root.nearest(loc)
    points_at_key = on == "key" or depth < len(loc)
    return node.key if points_at_key and node.key is not None else node.place


def _position(found: Diagnostic) -> tuple[int, int, str]:
    if found.place is None:
        return (0, 0, found.code)
    return (found.place.line or 0, found.place.column or 0, found.code)


def _redacted(findings: list[Diagnostic], secrets: list[Diagnostic]) -> list[Diagnostic]:
    """Keep what is said about a line with a secret from repeating it; hints and labels may spell it otherwise."""
    lines = {found.place.line for found in secrets if found.place}
    return [
        replace(found, message=redact(found.message), hint=None, related=())
        if found.place and found.place.line in lines
        else found
        for found in findings
    ]
