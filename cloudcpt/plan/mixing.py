"""Which share of the training tokens each source has: the domain data, and the general data replayed beside it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from cloudcpt.errors import Diagnostic, note, warning
from cloudcpt.plan.shift import STRONG_SHIFT, measure_shift
from cloudcpt.recipe.load import LoadedRecipe

WEAK_RATIO: Final = Fraction(5, 100)
"""Share of general tokens where the domain is near them. Source: Ibrahim et al., arXiv 2403.08763."""

STRONG_RATIO: Final = Fraction(25, 100)
"""The same where it is far away, as another language is. Source: the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """How the training tokens are shared out.

    Args:
        weights: Shares of the general sources by name; what they leave is the domain's.
        shift: How far the domain is from the general sources; None where it was not measured.
    """

    weights: Mapping[str, Fraction]
    shift: float | None

    @property
    def general_ratio(self) -> Fraction:
        """Share of all general sources together."""
        return sum(self.weights.values(), Fraction(0))


def choose_mix(
    loaded: LoadedRecipe,
    replay_tokens: Mapping[str, int],
    *,
    domain: Sequence[str],
    general: Mapping[str, Sequence[str]],
) -> Mix:
    """Share out the training tokens.

    Mode `auto` divides the general part by the size of each source, so that all of them are repeated equally often;
    `weights` as the recipe says. How large the general part is, the recipe says too, or the shift decides.

    Args:
        loaded: The recipe.
        replay_tokens: Tokens of each general source, by its name.
        domain: Excerpts of the training data.
        general: Excerpts of each general source, by its name.
    """
    mixing = loaded.recipe.data_mixing
    if mixing is None:
        return Mix(weights={}, shift=None)
    if mixing.mode == "auto":
        relative = {source.name: Fraction(replay_tokens[source.name]) for source in mixing.sources}
    else:
        relative = {source.name: _exact(source.weight or 0) for source in mixing.sources}
    whole = sum(relative.values())
    if mixing.general_ratio == "auto":
        shift = measure_shift(domain, [(weight, general[name]) for name, weight in relative.items()])
        ratio = STRONG_RATIO if shift is not None and shift >= STRONG_SHIFT else WEAK_RATIO
    else:
        shift, ratio = None, _exact(mixing.general_ratio)
    return Mix(weights={name: ratio * weight / whole for name, weight in relative.items()}, shift=shift)


def _exact(number: float) -> Fraction:
    """Read a number as the decimal that the recipe wrote: 0.05 is one twentieth."""
    return Fraction(str(number))


def mixing_advice(loaded: LoadedRecipe, mix: Mix) -> Iterator[Diagnostic]:
    """Warn that no general data is replayed, or say how much it is, and why, where the recipe leaves that open."""
    mixing = loaded.recipe.data_mixing
    if mixing is None or mixing.general_ratio == 0:
        yield warning(
            "CPT560",
            "no general data is replayed; the model will forget some of what it knows",
            place=loaded.place("data_mixing", "general_ratio") if mixing else None,
            hint="add general text under `data_mixing.sources`; 5 % of the tokens keeps most, even 1 % helps",
        )
    elif mixing.general_ratio == "auto":
        yield note(
            "CPT561",
            f"{float(mix.general_ratio):.0%} of the training tokens are general text, because {_reason(mix.shift)}",
            place=loaded.place("data_mixing", "general_ratio"),
            hint="`general_ratio` sets another share; more keeps more of what the model knows",
        )


def _reason(shift: float | None) -> str:
    if shift is None:
        return "how far the domain is from them could not be measured: there is too little text to compare"
    kind, side = ("strong", "not below") if shift >= STRONG_SHIFT else ("weak", "below")
    return f"the shift to the domain is {kind}: {max(shift, 0.0):.2f} between 0 and 1, {side} {STRONG_SHIFT}"
