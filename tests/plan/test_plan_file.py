"""plan.json: read back as it was written, whatever is in it, and anything else refused."""

import json
import types
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.errors import PlanError
from cloudcpt.plan.plan import Plan, read_plan


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Draw any value that the annotations of the plan allow, except numbers that JSON cannot hold."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return st.builds(kind, **{field.name: values_of(hints[field.name]) for field in fields(kind)})
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple and Ellipsis not in arguments:
        return st.tuples(*map(values_of, arguments))
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
    if origin in (Union, types.UnionType):
        return st.one_of(*(values_of(argument) for argument in arguments))
    plain = {
        int: st.integers(-(2**62), 2**62),
        float: st.floats(allow_nan=False, allow_infinity=False),
        str: st.text(max_size=8),
        bool: st.booleans(),
        type(None): st.none(),
    }
    return plain[kind]


PLANS = values_of(Plan).map(lambda plan: _with_version(plan))


def _with_version(plan: Plan) -> Plan:
    from dataclasses import replace

    return replace(plan, schema_version=1)


@pytest.fixture(scope="module")
def plan_path(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("plan") / "plan.json"


@settings(max_examples=50, deadline=None)
@given(plan=PLANS)
def test_a_plan_is_read_back_as_it_was_written(plan_path, plan):
    plan_path.write_text(plan.to_json(), "utf-8")
    found = read_plan(plan_path)
    assert found == plan
    assert found.hash == plan.hash
    assert found.to_json() == plan.to_json()


@settings(max_examples=50, deadline=None)
@given(one=PLANS, other=PLANS)
def test_different_plans_have_different_hashes(one, other):
    assert (one.hash == other.hash) == (one.to_json() == other.to_json())


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_changed_byte_is_refused_or_makes_another_plan(plan_path, data):
    plan = data.draw(PLANS)
    content = bytearray(plan.to_json().encode())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[at]))
    plan_path.write_bytes(bytes(content))
    try:
        found = read_plan(plan_path)
    except PlanError:
        return
    # `1.0` and `1e0` are one number, so the same plan can be spelled twice; its hash is of the one spelling.
    assert (found.hash == plan.hash) == (found == plan)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda plan: plan | {"schema_version": 2}, "CPT502"),
        (lambda plan: plan | {"surprise": 1}, "CPT501"),
        (lambda plan: plan | {"seed": "42"}, "CPT501"),
        (lambda plan: plan | {"log_every_steps": True}, "CPT501"),
        (lambda plan: plan | {"target": "moon"}, "CPT501"),
        (lambda plan: {key: value for key, value in plan.items() if key != "world"}, "CPT501"),
        (lambda plan: [plan], "CPT501"),
    ],
)
def test_a_file_that_this_version_did_not_write_is_refused(desk, change, code):
    plan, _ = desk.plan(desk.recipe())
    path = desk.folder / "plan.json"
    path.write_text(json.dumps(change(json.loads(plan.to_json()))))
    with pytest.raises(PlanError) as caught:
        read_plan(path)
    assert [found.code for found in caught.value.diagnostics] == [code]


def test_no_file_and_no_json_are_refused(tmp_path):
    for content in (None, "", "{"):
        path = tmp_path / "plan.json"
        if content is not None:
            path.write_text(content)
        with pytest.raises(PlanError):
            read_plan(path)


@given(name=st.from_regex(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}", fullmatch=True), plan=PLANS)
@settings(max_examples=50, deadline=None)
def test_a_job_name_keeps_its_hash_within_63_characters(name, plan):
    from dataclasses import replace

    found = replace(plan, name=name).job_name
    assert len(found) <= 63
    assert found.endswith(replace(plan, name=name).hash[:10])


@pytest.mark.parametrize("stand_in", [False, True])
def test_a_plan_from_a_recipe_of_whole_numbers_keeps_its_hash_through_the_file(desk, stand_in):
    """`lr: 1` is a float all the same: 1 and 1.0 would be two hashes of one plan."""
    optim = {"lr": 1, "eps": 1, "weight_decay": 0, "betas": [0, 0], "max_grad_norm": 1, "sched": {"min_lr": 0}}
    model = {"hidden_dropout": 0, "attention_dropout": 1, "ffn_dropout": 0, "optim": optim}
    peft = {"method": "lora", "alpha": 8, "dropout": 0}
    launch = {"max_runtime_hours": 2, "budget_usd": 3}
    loaded = desk.recipe({"training_config": {"model": model, "peft": peft}, "launch": launch})
    plan, _ = desk.plan(loaded, stand_in=stand_in)
    path = desk.folder / "plan.json"
    path.write_text(plan.to_json())
    assert read_plan(path) == plan
    assert read_plan(path).hash == plan.hash
