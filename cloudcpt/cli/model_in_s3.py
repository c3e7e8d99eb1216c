"""The base model of a recipe when it is in S3: read from here if it can be, with progress while its weights are."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from cloudcpt.cli import render
from cloudcpt.cli.input_places import InputPlaces
from cloudcpt.cli.quantities import size
from cloudcpt.dataset.places import is_in_s3
from cloudcpt.errors import Diagnostic, SetupError, note

if TYPE_CHECKING:
    from cloudcpt.plan.model_folder import ModelFolder
    from cloudcpt.recipe.load import LoadedRecipe


@contextmanager
def model_in_s3(
    loaded: "LoadedRecipe", places: InputPlaces, *, stand_in: bool
) -> "Iterator[tuple[ModelFolder | None, tuple[Diagnostic, ...]]]":
    """Open the base model while a plan is made.

    Args:
        loaded: The recipe.
        places: Where its inputs are.
        stand_in: A tiny random model takes its place, so nobody needs to look at it.

    Yields:
        The model, and why not when S3 cannot be read from here. None and nothing to say when it is not in S3, or is a
        checkpoint of Nova: nobody but AWS knows what is in one.

    Raises:
        SetupError: there is no such bucket, or we may not list it.
    """
    uri, place = loaded.recipe.run.model_name_or_path, loaded.place("run", "model_name_or_path")
    if stand_in or loaded.recipe.is_nova or not is_in_s3(uri):
        yield None, ()
        return
    if trouble := places.out_of_reach(uri):
        message = f"`{uri}` is in S3, which is not read from here: {trouble.diagnostics[0].message}"
        hint = "sign in to AWS; without its files a plan shows fit, time and cost, and cannot be submitted"
        yield None, (note("CPT380", message, place=place, hint=hint),)
        return
    with render.live_progress(f"reading {uri}") as bar:

        def show(name: str, done: int, total: int) -> None:
            bar.update(done, total, f"{name}, {size(total)}")

        try:
            model = places.model(uri, show)
        except SetupError as exc:
            raise type(exc)(*(replace(found, place=found.place or place) for found in exc.diagnostics)) from exc
        yield model, ()
