"""A Nova recipe handed over to SageMaker HyperPod, which is where AWS's own container trains it.

HyperPod's launcher knows recipes by the names under which AWS publishes them, takes the image from the command line,
and makes the name of a Kubernetes job out of `run.name`.

Sources: aws/sagemaker-hyperpod-recipes at 2631995 (2026-06-23), launcher/recipe_templatization/nova for the images and
main.py for names; Amazon Nova user guide, "HyperPod essential commands", read on 2026-11-20.
"""

import json
import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath

from cloudcpt.recipe.model import Recipe

_ACCOUNTS = {"us-east-1": "708977205387", "us-west-2": "176779409107", "ap-northeast-1": "878185805882"}
"""Owners of AWS's Nova images, by Region; there are none elsewhere."""

_TAGS = {1: "HP-CPT-latest", 2: "SM-HP-CPT-V2-latest"}
"""Of the image for continued pretraining, by generation."""

_PUBLISHED = {
    "amazon.nova-micro-v1:0:128k": "nova_1_0/nova_micro/CPT/nova_micro_1_0_p5x8_gpu_pretrain",
    "amazon.nova-lite-v1:0:300k": "nova_1_0/nova_lite/CPT/nova_lite_1_0_p5x16_gpu_pretrain",
    "amazon.nova-pro-v1:0:300k": "nova_1_0/nova_pro/CPT/nova_pro_1_0_p5x24_gpu_pretrain",
    "amazon.nova-2-lite-v1:0:256k": "nova_2_0/nova_lite/CPT/nova_lite_2_0_p5x8_gpu_pretrain",
}
"""Below training/nova of the collection: the recipe whose place ours takes."""

_COLLECTION = PurePosixPath(
    "sagemaker-hyperpod-cli/src/hyperpod_cli/sagemaker_hyperpod_recipes/recipes_collection/recipes"
)
"""Where the launcher looks for recipes, in a clone of the CLI's branch release_v2."""

_MOST_NAME = 34
"""Characters of a name that the launcher keeps before it appends `-` and five of its own: 40 in all."""

REGIONS = tuple(_ACCOUNTS)
"""Where HyperPod can train Nova."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HandOver:
    """What starts a rendered recipe on a cluster.

    Args:
        published: The recipe whose place it takes, as the launcher names it.
        image: That trains it; empty when the Region is not known.
        instance_type: Of the cluster's restricted instance group.
    """

    published: str
    image: str
    instance_type: str

    def commands(self, file: str) -> tuple[str, ...]:
        """Give the shell commands that start the job, once the cluster is connected.

        Args:
            file: With the rendered recipe.
        """
        overrides = {"instance_type": self.instance_type, "container": self.image or "IMAGE"}
        start = ("hyperpod", "start-job", "--namespace", "kubeflow", "--recipe", self.published)
        return (
            shlex.join(("cp", file, str(_COLLECTION / f"{self.published}.yaml"))),
            shlex.join((*start, "--override-parameters", json.dumps(overrides))),
        )


def hand_over(recipe: Recipe, *, region: str, instance_type: str) -> HandOver:
    """Say what starts a Nova recipe on HyperPod.

    Args:
        recipe: Of a Nova model.
        region: Of the cluster, one of `REGIONS`; empty when it is not known yet.
        instance_type: Of the machines.
    """
    return HandOver(
        published=f"training/nova/{_PUBLISHED[recipe.run.model_type]}",
        image=recipe.launch.image or (image_of(recipe, region) if region else ""),
        instance_type=instance_type,
    )


def image_of(recipe: Recipe, region: str) -> str:
    """Name AWS's image for a Nova recipe in one of `REGIONS`."""
    repository = f"{_ACCOUNTS[region]}.dkr.ecr.{region}.amazonaws.com/nova-fine-tune-repo"
    return f"{repository}:{_TAGS[recipe.row.generation]}"


def kubernetes_name(name: str) -> str:
    """Turn a run's name into one from which the launcher can make the name of a Kubernetes job.

    Lower case, a letter in front because the job's services are named after it too, and short enough that the
    launcher cuts nothing off.
    """
    lower = name.lower() if name[0].isalpha() else f"cpt-{name.lower()}"
    return lower[:_MOST_NAME].rstrip("-")
