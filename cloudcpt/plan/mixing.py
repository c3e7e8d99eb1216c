"""Which share of the training tokens each source has: the domain data, and the general data replayed beside it."""

from collections.abc import Iterator, Mapping
from fractions import Fraction

from cloudcpt.errors import Diagnostic, note, warning
from cloudcpt.recipe.load import LoadedRecipe


def weights_of(loaded: LoadedRecipe, replay_tokens: Mapping[str, int]) -> dict[str, Fraction]:
    """Share out the general sources' part of the training tokens; what is left is the domain's.

    `auto` shares by the size of each source, so that all of them are repeated equally often; `weights` as the recipe
    says. A share of 0 is kept: the source is then not trained on.

    Args:
        loaded: The recipe.
        replay_tokens: Tokens of each general source, by its name.

    Returns:
        Shares by source name; together they are the recipe's `general_ratio`.
    """
    mixing = loaded.recipe.data_mixing
    if mixing is None:
        return {}
    if mixing.mode == "auto":
        relative = {source.name: Fraction(replay_tokens[source.name]) for source in mixing.sources}
    else:
        relative = {source.name: _exact(source.weight or 0) for source in mixing.sources}
    ratio = _exact(mixing.general_ratio)
    return {name: ratio * weight / sum(relative.values()) for name, weight in relative.items()}


def _exact(number: float) -> Fraction:
    """Read a number as the decimal that the recipe wrote: 0.05 is one twentieth."""
    return Fraction(str(number))


def mixing_advice(loaded: LoadedRecipe) -> Iterator[Diagnostic]:
    """Warn that no general data is replayed, or say how much it is where the recipe leaves that open."""
    mixing = loaded.recipe.data_mixing
    if mixing is None or mixing.general_ratio == 0:
        yield warning(
            "CPT560",
            "no general data is replayed; the model will forget some of what it knows",
            place=loaded.place("data_mixing", "general_ratio") if mixing else None,
            hint="add general text under `data_mixing.sources`; 5 % of the tokens keeps most, even 1 % helps",
        )
    elif "general_ratio" not in mixing.model_fields_set:
        yield note(
            "CPT561",
            f"{mixing.general_ratio:.0%} of the training tokens are general text, which is the default",
            place=loaded.place("data_mixing"),
            hint="that keeps most general ability under a weak shift; `general_ratio: 0.25` is for a new language",
        )
