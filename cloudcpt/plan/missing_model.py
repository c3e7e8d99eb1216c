"""What is said of a base model that is not here: above all which command brings it to where the recipe looks for it."""

import os
import re
import shlex

from cloudcpt.errors import Diagnostic, error, warning
from cloudcpt.plan.model_folder import ModelFolder
from cloudcpt.recipe.load import LoadedRecipe

_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def planned_by_name(loaded: LoadedRecipe, folder: ModelFolder) -> Diagnostic:
    """Say that a plan was made with what the catalog knows.

    Args:
        loaded: The recipe.
        folder: What it names, which does not exist.
    """
    known = f"sizes are those of `{loaded.recipe.run.model_type}` in the catalog"
    return warning(
        "CPT533",
        f"there is no model folder `{folder.shown}`; {known}",
        place=loaded.place("run", "model_name_or_path"),
        hint=f"the plan shows fit, time and cost; to train, bring the model there: {_command(loaded, folder)}",
    )


def not_here(loaded: LoadedRecipe, folder: ModelFolder | None, *, in_cloud: bool) -> Diagnostic:
    """Say that there is nothing to plan with.

    Args:
        loaded: The recipe.
        folder: What it names, which does not exist; None for Nova and for s3://.
        in_cloud: The job is to run in the cloud.
    """
    place = loaded.place("run", "model_name_or_path")
    if loaded.recipe.is_nova:
        hint = "choose `hyperpod` or `sagemaker`, or rehearse the job with `cloudcpt submit --target local --stand-in`"
        return error(
            "CPT513", "the weights of Nova models are at AWS and cannot be trained here", place=place, hint=hint
        )
    if folder is None:
        shown = loaded.recipe.run.model_name_or_path
        hint = "bring at least its config.json and weights into a folder and name that"
        return error("CPT532", f"nothing is known about the sizes of `{shown}`", place=place, hint=hint)
    command = _command(loaded, folder)
    if in_cloud:
        shown = loaded.recipe.run.model_name_or_path
        hint = f"they are in its folder; bring the model there: {command}"
        return error("CPT532", f"nothing is known about the sizes of `{shown}`", place=place, hint=hint)
    hint = f"bring the model there: {command}, or rehearse the job with `cloudcpt submit --stand-in`"
    return error("CPT520", f"there is no model folder `{folder.shown}`", place=place, hint=hint)


def _command(loaded: LoadedRecipe, folder: ModelFolder) -> str:
    """Write the command that makes the folder, ready to be typed where the user is."""
    named = loaded.recipe.run.model_name_or_path
    known = loaded.recipe.row.hugging_face
    # Where the catalog does not know the model, the recipe may name it as other tools do, by its id.
    repo = known or (named if _REPO_ID.fullmatch(named) else "ORG/MODEL")
    short = os.path.relpath(folder.shown)
    target = folder.shown if short.startswith("..") else short
    typed = f"`cloudcpt model stage {repo} --to {shlex.quote(target)}`"
    return typed if known else f"{typed} with its id at Hugging Face"
