"""HyperPod: AWS's images and recipes by model and Region, and names that Kubernetes takes."""

import json
import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.jobs.hyperpod import REGIONS, hand_over, kubernetes_name
from cloudcpt.recipe.catalog import model_rows
from cloudcpt.recipe.fields import NAME_PATTERN
from cloudcpt.recipe.load import parse_recipe
from tests.jobs.test_nova_request import LITE_2, MICRO

NOVA = [row.model_type for row in model_rows() if row.family == "nova"]
LAUNCHER_SUFFIX = "-a1b2c"


def order(recipe, region="us-east-1"):
    return hand_over(parse_recipe(recipe, "r.yaml"), region=region, instance_type="ml.p5.48xlarge")


def without_image(recipe):
    return re.sub(r"  image: .*\n", "", recipe)


@pytest.mark.parametrize(
    ("recipe", "tag"), [(without_image(MICRO), "HP-CPT-latest"), (LITE_2, "SM-HP-CPT-V2-latest")], ids=["1", "2"]
)
def test_each_generation_has_its_image_in_each_region(recipe, tag):
    images = {region: order(recipe, region).image for region in REGIONS}
    repository = "{}.dkr.ecr.{}.amazonaws.com/nova-fine-tune-repo:{}"
    assert images == {
        "us-east-1": repository.format("708977205387", "us-east-1", tag),
        "us-west-2": repository.format("176779409107", "us-west-2", tag),
        "ap-northeast-1": repository.format("878185805882", "ap-northeast-1", tag),
    }


def test_an_image_of_the_user_is_taken_wherever_it_is():
    assert order(MICRO, "eu-west-1").image == "123456789012.dkr.ecr.us-east-1.amazonaws.com/nova:1"


@pytest.mark.parametrize("model_type", NOVA)
def test_each_nova_model_has_a_published_recipe(model_type):
    replicas = min(next(row.replicas for row in model_rows() if row.model_type == model_type))
    text = LITE_2 if "nova-2" in model_type else MICRO
    name = next(row.checkpoints[0] for row in model_rows() if row.model_type == model_type)
    text = re.sub(r"model_type: .*", f"model_type: {model_type}", text)
    text = re.sub(r"replicas: .*", f"replicas: {replicas}", re.sub(r"name_or_path: .*", f"name_or_path: {name}", text))
    assert re.fullmatch(r"training/nova/nova_[12]_0/nova_\w+/CPT/nova_\w+_gpu_pretrain", order(text).published)


def test_the_commands_survive_a_shell():
    copy, start = (shlex.split(line) for line in order(LITE_2).commands("my file.yaml"))
    assert copy[:2] == ["cp", "my file.yaml"]
    assert copy[2].endswith("recipes_collection/recipes/" + start[start.index("--recipe") + 1] + ".yaml")
    assert json.loads(start[-1]) == {"instance_type": "ml.p5.48xlarge", "container": order(LITE_2).image}


@given(st.from_regex(NAME_PATTERN).filter(lambda name: len(name) <= 63))
def test_any_name_of_a_run_becomes_one_of_kubernetes_with_room_for_the_suffix(name):
    ours = kubernetes_name(name)
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", ours)
    assert len(ours + LAUNCHER_SUFFIX) <= 40  # else the launcher would cut the end of the name off


def test_a_name_that_fits_stays():
    assert kubernetes_name("nova-micro-cpt") == "nova-micro-cpt"
