"""The section `launch`: the last good and the first bad value of every key, and what its keys ask of each other."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cloudcpt.recipe.load import load_recipe
from cloudcpt.recipe.model import Recipe
from cloudcpt.recipe.schema import recipe_schema
from tests.recipe.samples import changed, findings, full_training, written

VALIDATOR = jsonschema.Draft202012Validator(recipe_schema())

ROLE = "arn:aws:iam::123456789012:role/"
KEY = "arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789012"
PLAN = "arn:aws:sagemaker:us-east-1:123456789012:training-plan/"
ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com/cloudcpt"
SUBNETS = [f"subnet-{number:017x}" for number in range(17)]
GROUPS = [f"sg-{number:017x}" for number in range(6)]
P5, P5EN, M5 = "ml.p5.48xlarge", "ml.p5en.48xlarge", "ml.m5.xlarge"


def with_launch(**launch: object) -> dict[str, Any]:
    return changed(full_training(), launch=launch)


def verdicts(recipe: dict[str, Any]) -> tuple[bool, bool]:
    """Ask the model and the schema."""
    try:
        Recipe.model_validate(recipe)
    except ValidationError:
        return False, VALIDATOR.is_valid(recipe)
    return True, VALIDATOR.is_valid(recipe)


GOOD: dict[str, list[object]] = {
    "region": ["", "us-east-1", "us-gov-west-1", "ap-southeast-4", "eusc-de-east-1"],
    "account_id": ["", "000000000001"],
    "role": ["", f"{ROLE}cloudcpt", f"{ROLE}service-role/A_b+c=d,e.f@g-h", "arn:aws-cn:iam::123456789012:role/a"],
    "image": ["", ECR, f"{ECR}:1", f"{ECR}@sha256:{'0' * 64}", "a" * 255],
    "input_s3_path": ["", "s3://abc", "s3://my-bucket/inputs/"],
    "kms_key": ["", KEY, "alias/my-key", "12345678-1234-1234-1234-123456789012", f"mrk-{'0' * 32}"],
    "output_kms_key": ["", KEY.replace("key/", "alias/")],
    "volume_gb": [0, 1, 16384],
    "network_isolation": [True, False],
    "encrypt_traffic": [True, False],
    "spot": [True, False],
    "max_pending_hours": [0, 0.0, 0.5, 672],
    "keep_alive_minutes": [0, 1, 360, 360.0],
    "training_plan": ["", f"{PLAN}my-plan"],
    "instance_preferences": [[], [P5], [P5, P5EN, "ml.p4d.24xlarge", "ml.p4de.24xlarge", "ml.p6-b200.48xlarge"]],
    "retry_attempts": [0, 1, 30],
    "container": [{}, {"memory_gb": 0.1, "pids": 32}, {"memory_gb": 0, "pids": 0}],
    "environment": [{"NCCL_DEBUG": "INFO", "TOKENIZERS_PARALLELISM": "", "_x9": "x" * 512}],
    "tags": [
        {},
        {"a": ""},
        {"k" * 128: "v" * 256},
        {f"tag {number}": "ü_.:/=+-@ 1" for number in range(50)},
        {"laws:x": "aws:y"},
    ],
    "max_runtime_hours": [0, 672],
    "budget_usd": [0, 1_000_000],
}

BAD: list[tuple[str, object, str]] = [
    ("region", "us-east", "CPT109"),
    ("region", "US-EAST-1", "CPT109"),
    ("region", "us-east-1a", "CPT109"),
    ("account_id", "12345678901", "CPT109"),
    ("account_id", "1234567890123", "CPT109"),
    ("account_id", 123456789012, "CPT101"),
    ("role", "cloudcpt", "CPT109"),
    ("role", "arn:aws:iam::12345678901:role/a", "CPT109"),
    ("role", f"{ROLE}a b", "CPT109"),
    ("role", ROLE + "a" * 2048, "CPT108"),
    ("image", "a" * 256, "CPT108"),
    ("image", f"{ECR} x", "CPT109"),
    ("image", "<account>.dkr.ecr", "CPT109"),
    ("input_s3_path", "inputs", "CPT105"),
    ("kms_key", "my-key", "CPT109"),
    ("output_kms_key", "arn:aws:kms:us-east-1:1:key/x", "CPT109"),
    ("volume_kms_key", "x", "CPT109"),
    ("volume_gb", -1, "CPT102"),
    ("volume_gb", 16385, "CPT102"),
    ("subnets", ["vpc-0123456789abcdef0"], "CPT109"),
    ("subnets", SUBNETS, "CPT108"),
    ("security_groups", ["sg-1"], "CPT109"),
    ("security_groups", GROUPS, "CPT108"),
    ("network_isolation", "yes", "CPT101"),
    ("spot", 1, "CPT101"),
    ("max_wait_hours", 672.5, "CPT102"),
    ("max_pending_hours", 0.49, "CPT102"),
    ("max_pending_hours", 672.5, "CPT102"),
    ("max_pending_hours", -1, "CPT102"),
    ("keep_alive_minutes", -1, "CPT102"),
    ("keep_alive_minutes", 361, "CPT102"),
    ("keep_alive_minutes", 1.5, "CPT101"),
    ("training_plan", "my-plan", "CPT109"),
    ("instance_preferences", [P5] * 6, "CPT108"),
    ("instance_preferences", ["p5.48xlarge"], "CPT107"),
    ("instance_preferences", [""], "CPT107"),
    ("retry_attempts", -1, "CPT102"),
    ("retry_attempts", 31, "CPT102"),
    ("container", {"memory_gb": 0.001}, "CPT102"),
    ("container", {"pids": 3}, "CPT102"),
    ("environment", {"": "x"}, "CPT226"),
    ("environment", {"A B": "x"}, "CPT226"),
    ("environment", {"1ST": "x"}, "CPT226"),
    ("environment", {"LOCAL_RANK": "0"}, "CPT226"),
    ("environment", {"MASTER_ADDR": "x"}, "CPT226"),
    ("environment", {"HF_TOKEN": "x"}, "CPT226"),
    ("environment", {"AWS_SECRET_ACCESS_KEY": "x"}, "CPT226"),
    ("environment", {"NCCL_DEBUG": 1}, "CPT101"),
    ("environment", {"A": "x" * 513}, "CPT108"),
    ("environment", {f"A{number}": "" for number in range(49)}, "CPT108"),
    ("tags", {"": "x"}, "CPT224"),
    ("tags", {"k" * 129: "v"}, "CPT224"),
    ("tags", {"aws:x": "v"}, "CPT224"),
    ("tags", {"AWS:x": "v"}, "CPT224"),
    ("tags", {"a*b": "v"}, "CPT224"),
    ("tags", {"a": "v" * 257}, "CPT108"),
    ("tags", {"a": "#"}, "CPT107"),
    ("tags", {"a": 1}, "CPT101"),
    ("tags", {f"tag{number}": "" for number in range(51)}, "CPT108"),
    ("tags", ["a"], "CPT101"),
    ("max_runtime_hours", 672.5, "CPT102"),
    ("budget_usd", -1, "CPT102"),
]


def named(value: object) -> str:
    return repr(value)[:24]


@pytest.mark.parametrize(("key", "value"), [(key, one) for key, values in GOOD.items() for one in values], ids=named)
def test_a_good_value_is_accepted_by_file_model_and_schema(tmp_path: Path, key: str, value: object) -> None:
    recipe = with_launch(**{key: value})
    assert verdicts(recipe) == (True, True)
    load_recipe(written(tmp_path, recipe))


@pytest.mark.parametrize(("key", "value", "code"), BAD, ids=named)
def test_a_bad_value_is_refused_by_model_and_schema_with_the_right_code(
    tmp_path: Path, key: str, value: object, code: str
) -> None:
    recipe = with_launch(**{key: value})
    assert verdicts(recipe) == (False, False)
    assert code in [found.code for found in findings(tmp_path, recipe)]


TOGETHER: list[tuple[dict[str, object], str, str]] = [
    ({"spot": True, "keep_alive_minutes": 1}, "CPT219", "keep_alive_minutes"),
    ({"spot": True, "instance_preferences": [P5]}, "CPT219", "instance_preferences"),
    ({"spot": True, "training_plan": f"{PLAN}x"}, "CPT219", "training_plan"),
    ({"max_wait_hours": 1}, "CPT220", "max_wait_hours"),
    ({"max_wait_hours": 1, "spot": False}, "CPT220", "max_wait_hours"),
    ({"instance_type": P5, "instance_preferences": [P5EN]}, "CPT221", "instance_preferences"),
    ({"subnets": SUBNETS[:1]}, "CPT222", "subnets"),
    ({"subnets": SUBNETS[:1], "security_groups": []}, "CPT222", "subnets"),
    ({"security_groups": GROUPS[:1]}, "CPT222", "security_groups"),
    ({"volume_kms_key": KEY}, "CPT223", "volume_kms_key"),
    ({"volume_kms_key": KEY, "instance_type": P5}, "CPT223", "volume_kms_key"),
    ({"volume_kms_key": KEY, "instance_type": "ml.p4de.24xlarge"}, "CPT223", "volume_kms_key"),
    ({"volume_kms_key": KEY, "instance_type": "ml.p6-b300.48xlarge"}, "CPT223", "volume_kms_key"),
    ({"volume_kms_key": KEY, "instance_preferences": [M5, P5]}, "CPT223", "volume_kms_key"),
]


@pytest.mark.parametrize(("launch", "code", "key"), TOGETHER, ids=named)
def test_keys_that_exclude_each_other_are_found_by_model_and_schema(
    tmp_path: Path, launch: dict[str, object], code: str, key: str
) -> None:
    recipe = with_launch(**launch)
    assert verdicts(recipe) == (False, False)
    (found,) = findings(tmp_path, recipe)
    line = (tmp_path / "recipe.yaml").read_text().splitlines()[found.place.line - 1]
    assert (found.code, line.strip().split('"')[1]) == (code, key)


@pytest.mark.parametrize(
    "launch",
    [
        {"spot": True},
        {"spot": True, "max_wait_hours": 672, "keep_alive_minutes": 0, "instance_preferences": [], "training_plan": ""},
        {"spot": False, "keep_alive_minutes": 60, "training_plan": f"{PLAN}x", "max_wait_hours": 0},
        {"instance_type": "", "instance_preferences": [P5, P5EN]},
        {"subnets": SUBNETS[:16], "security_groups": GROUPS[:5]},
        {"volume_kms_key": KEY, "instance_type": M5},
        {"volume_kms_key": KEY, "instance_preferences": [M5, "ml.m5.4xlarge"]},
        {"volume_kms_key": "", "instance_type": P5},
    ],
    ids=named,
)
def test_keys_that_go_together_are_accepted(launch: dict[str, object]) -> None:
    assert verdicts(with_launch(**launch)) == (True, True)


ANY_VALUE = {
    key: [
        *GOOD.get(key, []),
        *(value for name, value, _ in BAD if name == key),
        *(one[key] for one, *_ in TOGETHER if key in one),
    ]
    for key in {*GOOD, *(name for name, *_ in BAD), *(key for one, *_ in TOGETHER for key in one)}
}


@settings(max_examples=500, deadline=None)
@given(st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in ANY_VALUE.items()}))
def test_model_and_schema_give_the_same_verdict_on_any_combination(launch: dict[str, object]) -> None:
    accepted, valid = verdicts(with_launch(**launch))
    assert accepted == valid


def test_a_machine_is_preferred_once(tmp_path: Path) -> None:
    recipe = with_launch(instance_preferences=[P5, P5EN, P5])
    assert verdicts(recipe) == (False, False)
    (found,) = findings(tmp_path, recipe)
    assert (found.code, found.message) == ("CPT221", f"`{P5}` is preferred twice")


@pytest.mark.parametrize(("wait", "runtime", "expected"), [(5, 5, []), (5, 5.1, ["CPT220"]), (0, 5, []), (5, 0, [])])
def test_the_wait_for_spot_includes_the_time_limit(
    tmp_path: Path, wait: float, runtime: float, expected: list[str]
) -> None:
    recipe = with_launch(spot=True, max_wait_hours=wait, max_runtime_hours=runtime)
    assert [found.code for found in findings(tmp_path, recipe)] == expected


def test_a_bad_tag_is_named_in_words(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, with_launch(tags={"team": "a", "aws:cost": "b"}))
    assert found.message == "the name `aws:cost` of a tag begins with `aws:`, which belongs to AWS"
    (found,) = findings(tmp_path, with_launch(tags=[1]))
    assert found.message == (
        "`tags` must be at most 50 names, each with letters, digits, spaces and `_.:/=+-@`, not a list"
    )
