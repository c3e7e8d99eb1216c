"""A look at recipe data that may still be wrong: a value is there with the right type, or it is None.

Conditions and rules compare several values; they run even when other values are bad, so that everything is reported
at once, and stay silent about a value whose own type is already a finding.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from cloudcpt.recipe.catalog import ModelRow, find_model
from cloudcpt.recipe.faults import KeyPath

_ABSENT = object()

TRAINING: KeyPath = ("training_config",)
TRAINER: KeyPath = (*TRAINING, "trainer")
OPTIM_BESIDE: KeyPath = (*TRAINING, "optim")
OPTIM_INSIDE: KeyPath = (*TRAINING, "model", "optim")


class Values:
    """Plain recipe data, asked by key path."""

    def __init__(self, data: object) -> None:
        self._data = data

    def _get(self, loc: KeyPath) -> Any:  # whatever the file holds there
        value: Any = self._data
        for part in loc:
            is_key = isinstance(value, Mapping) and part in value
            is_position = isinstance(value, list | tuple) and isinstance(part, int) and part < len(value)
            if not (is_key or is_position):
                return _ABSENT
            value = value[part]
        return value

    def has(self, *loc: str | int) -> bool:
        """Tell whether the recipe writes this key."""
        return self._get(loc) is not _ABSENT

    def number(self, *loc: str | int) -> float | None:
        """Read a number; None when there is none."""
        value = self._get(loc)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def text(self, *loc: str | int) -> str | None:
        """Read a text; None when there is none."""
        value = self._get(loc)
        return value if isinstance(value, str) else None

    def flag(self, *loc: str | int) -> bool:
        """Tell whether a switch is on."""
        return self._get(loc) is True

    def is_section(self, *loc: str | int) -> bool:
        """Tell whether there is a mapping of further keys."""
        return isinstance(self._get(loc), Mapping)

    def keys(self, *loc: str | int) -> tuple[str, ...]:
        """List the keys of a mapping; none when it is not one."""
        value = self._get(loc)
        return tuple(key for key in value if isinstance(key, str)) if isinstance(value, Mapping) else ()

    def length(self, *loc: str | int) -> int:
        """Count the items of a list; 0 when it is not one."""
        value = self._get(loc)
        return len(value) if isinstance(value, list | tuple) else 0

    @cached_property
    def row(self) -> ModelRow | None:
        """The catalog row of `run.model_type`, when it names one."""
        return find_model(self.text("run", "model_type") or "")

    @cached_property
    def optim(self) -> KeyPath:
        """Where this recipe writes `optim`, or should when it does not."""
        if self.has(*OPTIM_BESIDE):
            return OPTIM_BESIDE
        is_second = self.row is not None and self.row.generation == 2
        return OPTIM_BESIDE if is_second and not self.has(*OPTIM_INSIDE) else OPTIM_INSIDE

    @property
    def optims(self) -> tuple[KeyPath, ...]:
        """Every place at which this recipe writes `optim`."""
        return tuple(loc for loc in (OPTIM_INSIDE, OPTIM_BESIDE) if self.has(*loc))
