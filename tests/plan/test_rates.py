"""What is said about a learning rate: each rule at its boundary, and nothing about a recipe that follows them."""

from dataclasses import replace

import pytest

from cloudcpt.errors import PlanError, Severity
from cloudcpt.plan.rates import rate_advice

NAMED_8B = {"model_type": "llama-3.1-8b", "model_name_or_path": "meta-llama/Llama-3.1-8B"}
NAMED_70B = {"model_type": "llama-3.1-70b", "model_name_or_path": "meta-llama/Llama-3.1-70B", "replicas": 6}
IN_CLOUD = {"target": "sagemaker"}
RATE_CODES = {"CPT507", "CPT508", "CPT509", "CPT555", "CPT556", "CPT557"}


def optim(lr=1e-5, **sched):
    return {"lr": lr, "sched": {"warmup_ratio": 0.05, "warmup_steps": None, "min_lr": lr / 10, **sched}}


def findings_of(desk, loaded, reports=None, **options):
    _, findings = desk.plan(loaded, reports, **options)
    return {found.code: found for found in findings if found.code in RATE_CODES}


def in_cloud(desk, reported, *, named=NAMED_8B, steps=1000, peft=None, **optimizer):
    training = {
        "max_length": 8192,
        "global_batch_size": 256,
        "trainer": {"max_steps": steps},
        "model": {"optim": optim(**optimizer)},
        **({"peft": peft} if peft else {}),
    }
    loaded = desk.recipe({"run": named, "launch": IN_CLOUD, "training_config": training})
    return findings_of(desk, loaded, {"train": reported([30_000] * 200)})


# --- the peak -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "lr", "is_noted"),
    [
        (NAMED_8B, 3e-5, False),
        (NAMED_8B, 6e-5, False),
        (NAMED_8B, 6.1e-5, True),
        (NAMED_8B, 1e-4, True),
        (NAMED_8B, 1.1e-4, False),  # warned of when the recipe was read
        (NAMED_70B, 3e-5, False),
        (NAMED_70B, 3.1e-5, True),
    ],
)
def test_a_peak_near_that_of_pre_training_is_noted(named, lr, is_noted, desk, reported):
    assert ("CPT555" in in_cloud(desk, reported, named=named, lr=lr)) is is_noted


def test_the_note_has_both_peaks_and_the_usual_tenth(desk, reported):
    found = in_cloud(desk, reported, lr=9e-5)["CPT555"]
    assert found.severity is Severity.NOTE
    assert "`lr: 9e-05` is 30% of about 0.0003" in found.message
    assert found.hint is not None
    assert "3e-05, is usual" in found.hint


def test_adapters_and_small_models_have_their_own_peaks(desk, reported):
    assert "CPT555" not in in_cloud(desk, reported, lr=1e-4, peft={"method": "lora"})
    assert "CPT555" not in findings_of(desk, desk.recipe({"training_config": {"model": {"optim": optim(lr=1e-4)}}}))


def test_very_long_runs_are_left_alone(desk, reported):
    loaded = desk.recipe({"training_config": {"model": {"optim": optim(lr=1e-4, warmup_ratio=0)}}})
    plan, _ = desk.plan(loaded)
    for tokens, expected in ((10**11 - 1, ["CPT555", "CPT556"]), (10**11, [])):
        long = replace(
            plan, model=replace(plan.model, parameters=8 * 10**9), geometry=replace(plan.geometry, train_tokens=tokens)
        )
        assert [found.code for found in rate_advice(loaded, long)] == expected


# --- the warm-up ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("passes", "steps", "warmup_steps", "is_noted"),
    [
        (0.1, 1000, 10, False),  # never less than 1 %
        (0.1, 1000, 9, True),
        (0.1, 99, 1, False),
        (2.5, 1000, 25, False),
        (2.5, 1000, 24, True),
        (40.0, 1000, 50, False),  # never more than 5 %
        (40.0, 1000, 49, True),
    ],
)
def test_a_warm_up_below_one_percent_for_each_pass_is_noted(passes, steps, warmup_steps, is_noted, desk):
    loaded = desk.recipe()
    plan, _ = desk.plan(loaded)
    schedule = replace(plan.schedule, steps=steps, warmup_steps=warmup_steps)
    long = replace(plan, schedule=schedule, geometry=replace(plan.geometry, epochs=passes))
    assert [found.code for found in rate_advice(loaded, long)] == (["CPT556"] if is_noted else [])


def test_the_note_says_what_to_write_for_so_many_passes(desk, reported):
    """2,000 documents of 64 tokens make 2,000 rows; 190 steps of 32 are about three passes."""
    sched = {"warmup_steps": 1, "min_lr": 1e-6}
    training = {"trainer": {"max_steps": 190}, "model": {"optim": {"lr": 1e-5, "sched": sched}}}
    desk.write_data("train.jsonl", ["a b c d e f g h " * 7 + "a b c d e f g"] * 2000)
    found = findings_of(desk, desk.recipe({"training_config": training}))["CPT556"]
    assert "the warm-up is 1 of 190 steps, 0.53%" in found.message
    assert found.hint is not None
    assert found.hint.startswith("`warmup_ratio: 0.04`")  # 3.04 passes, rounded up
    assert found.severity is Severity.NOTE


def test_a_constant_rate_asks_for_no_warm_up(desk):
    sched = {"name": "constant", "warmup_ratio": 0, "warmup_steps": None, "min_lr": 0}
    training = {"trainer": {"max_steps": 200}, "model": {"optim": {"lr": 1e-5, "sched": sched}}}
    assert "CPT556" not in findings_of(desk, desk.recipe({"training_config": training}))
    training["model"]["optim"]["sched"]["name"] = "wsd"
    assert "CPT556" in findings_of(desk, desk.recipe({"training_config": training}))


# --- the batch ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "scaled"), [(128, "5e-06"), (8, "2e-05"), (64, "7.07e-06"), (32, None), (0, None)]
)
def test_the_rate_of_another_batch_is_said_and_the_rate_is_not_changed(reference, scaled, desk):
    changes = {"training_config": {"model": {"optim": {"reference_batch_size": reference}}}}
    plan, findings = desk.plan(desk.recipe(changes))
    found = {one.code: one for one in findings}
    assert plan.schedule.lr == 1e-5
    assert ("CPT557" in found) is (scaled is not None)
    if scaled:
        assert f"found with {reference} rows per step, it would be {scaled} with 32" in found["CPT557"].message


# --- who is spared --------------------------------------------------------------------------------------------------


def test_a_sane_recipe_hears_nothing(desk, reported):
    assert in_cloud(desk, reported, lr=2e-5) == {}
    assert findings_of(desk, desk.recipe()) == {}


def test_nova_and_rehearsals_hear_nothing_about_peak_and_warm_up(desk, nova_recipe, reported):
    nova_recipe["training_config"]["trainer"] = {"max_epochs": 30}
    loaded = desk.recipe(base=nova_recipe)
    assert findings_of(desk, loaded, {"train": reported([32_767] * 100_000)}) == {}
    training = {"trainer": {"max_steps": 2000}}
    assert findings_of(desk, desk.recipe({"training_config": training}), stand_in=True) == {}
    assert "CPT556" in findings_of(desk, desk.recipe({"training_config": training}))


# --- schedules that cannot run --------------------------------------------------------------------------------------


def steps_of_one_pass(desk):
    return desk.plan(desk.recipe({"training_config": {"trainer": {"max_steps": None, "max_epochs": 40}}}))[0]


@pytest.mark.parametrize(("constant", "is_refused"), [(-1, False), (0, True), (1, True), (1000, True)])
def test_warm_up_and_tail_leave_a_step_to_decay_in(constant, is_refused, desk):
    """With epochs, N is known only to the plan: W + C may be N - 1 and no more."""
    steps = steps_of_one_pass(desk).schedule.steps
    sched = {"warmup_steps": 2, "constant_steps": steps - 2 + constant, "min_lr": 1e-6}
    trainer = {"max_steps": None, "max_epochs": 40}
    loaded = desk.recipe({"training_config": {"trainer": trainer, "model": {"optim": {"sched": sched}}}})
    if is_refused:
        with pytest.raises(PlanError, match="CPT507"):
            desk.plan(loaded)
    else:
        assert "CPT509" in findings_of(desk, loaded)


@pytest.mark.parametrize("epochs", [0.01, 0.5])
def test_a_job_without_a_step_is_refused(epochs, desk):
    with pytest.raises(PlanError, match="CPT505"):
        desk.plan(desk.recipe({"training_config": {"trainer": {"max_steps": None, "max_epochs": epochs}}}))
