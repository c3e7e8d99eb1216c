"""From recipe, data and machine to a plan: what is chosen, what is said, what is refused."""

from pathlib import Path

import pytest

from cloudcpt.errors import PlanError, Severity
from cloudcpt.plan.instances import Machine
from cloudcpt.plan.make import recipe_inputs

GPU_BOX = Machine(gpus=4, gpu_memory_bytes=80 * 10**9, cpus=32, gpu_name="NVIDIA H100 80GB HBM3")
NAMED_8B = {"run": {"model_type": "llama-3.1-8b", "model_name_or_path": "meta-llama/Llama-3.1-8B"}}
ELSEWHERE = {"run": {"model_name_or_path": "elsewhere"}}
IN_CLOUD = {"launch": {"target": "sagemaker"}}
LONG_ROWS = {"training_config": {"max_length": 8192, "global_batch_size": 256}}


def recipe_of(desk, *changes, base=None):
    laid = {}
    for change in changes:
        for section, values in change.items():
            laid[section] = {**laid.get(section, {}), **values}
    return desk.recipe(laid, base=base) if base else desk.recipe(laid)


def refusals(desk, loaded, reports=None, **options) -> dict[str, str]:
    with pytest.raises(PlanError) as caught:
        desk.plan(loaded, reports, **options)
    return {
        found.code: f"{found.message} | {found.hint}"
        for found in caught.value.diagnostics
        if found.severity is Severity.ERROR
    }


def codes(findings) -> list[str]:
    return [found.code for found in findings]


# --- what is chosen ---------------------------------------------------------------------------------------------


def test_a_laptop_trains_in_one_process_in_float32(desk):
    plan, _ = desk.plan(desk.recipe())
    assert (plan.target, plan.world.size, plan.world.device, plan.world.compute_dtype) == ("local", 1, "cpu", "float32")
    assert (plan.memory.terms, plan.estimate.usd) == ((), 0)
    assert plan.geometry.micro_batch_rows * plan.geometry.accumulation == 32


def test_what_the_recipe_sets_in_the_environment_is_part_of_the_plan_in_one_order(desk):
    names = {"NCCL_DEBUG": "INFO", "FI_LOG_LEVEL": "warn"}
    plan, _ = desk.plan(desk.recipe({"launch": {"environment": names}}))
    assert plan.world.environment == (("FI_LOG_LEVEL", "warn"), ("NCCL_DEBUG", "INFO"))
    assert plan.hash != desk.plan(desk.recipe())[0].hash


def test_processes_on_a_cpu_are_as_many_as_asked_for(desk):
    plan, _ = desk.plan(desk.recipe({"launch": {"processes_per_node": 2}}))
    assert (plan.world.size, plan.geometry.micro_batch_rows * plan.geometry.accumulation) == (2, 16)


def test_a_gpu_box_trains_one_process_per_gpu_in_bfloat16(desk):
    plan, _ = desk.plan(desk.recipe(), machine=GPU_BOX)
    assert (plan.world.size, plan.world.device, plan.world.compute_dtype) == (4, "cuda", "bfloat16")
    assert plan.memory.capacity_bytes == 80 * 10**9
    assert plan.memory.total_bytes == sum(term.size_bytes for term in plan.memory.terms) > 0
    assert "989.4" in plan.estimate.time_source


def test_a_gpu_box_trains_on_its_cpu_when_the_recipe_says_so(desk):
    plan, _ = desk.plan(desk.recipe({"launch": {"device": "cpu"}}), machine=GPU_BOX)
    assert (plan.world.size, plan.world.device) == (1, "cpu")


def test_a_machine_without_gpus_rehearses_the_cloud_for_cents(desk):
    launch = {"target": "sagemaker", "instance_type": "ml.m5.xlarge"}
    plan, findings = desk.plan(desk.recipe({"launch": launch}))
    assert (plan.world.size, plan.world.device, plan.world.compute_dtype) == (1, "cpu", "float32")
    assert plan.world.instance_type == "ml.m5.xlarge"
    assert (plan.memory.terms, plan.estimate.usd_per_instance_hour) == ((), 0.23)
    assert 0 < plan.estimate.usd_low < plan.estimate.usd < plan.estimate.usd_high
    assert "CPT574" in [found.code for found in findings]
    assert "CPT512" in refusals(desk, desk.recipe({"launch": {**launch, "device": "cuda"}}))


def test_one_machine_with_many_gpus_is_recommended_over_many_with_one(desk):
    launch = {"target": "sagemaker", "instance_type": "ml.p5.4xlarge"}
    for replicas, is_advised in ((1, False), (2, True)):
        _, findings = desk.plan(desk.recipe({"launch": launch, "run": {"replicas": replicas}}))
        assert ("CPT573" in [found.code for found in findings]) == is_advised


def test_the_micro_batch_is_the_largest_divisor_up_to_the_recipes_bound(desk):
    plan, _ = desk.plan(desk.recipe({"training_config": {"micro_batch_size": 12}}))
    assert (plan.geometry.micro_batch_rows, plan.geometry.accumulation) == (8, 4)


def test_a_cloud_job_uses_every_gpu_of_its_replicas(desk, reported):
    loaded = recipe_of(desk, {"run": {**NAMED_8B["run"], "replicas": 2}}, IN_CLOUD, LONG_ROWS)
    plan, findings = desk.plan(loaded, {"train": reported([30_000] * 2000)})
    assert (plan.world.nodes, plan.world.processes_per_node, plan.world.instance_type) == (2, 8, "ml.p5.48xlarge")
    geometry = plan.geometry
    assert plan.world.size * geometry.micro_batch_rows * geometry.accumulation == geometry.global_batch_rows
    assert plan.estimate.usd == pytest.approx(plan.estimate.hours * 2 * 63.296)
    assert (plan.model.parameters, plan.model.files) == (8_030_261_248, ())
    assert "CPT533" in codes(findings)


def test_the_command_line_target_wins(desk):
    assert desk.plan(desk.recipe(IN_CLOUD), target="container")[0].target == "container"


def test_an_nova_recipe_that_names_no_target_goes_to_hyperpod(desk, nova_recipe, reported):
    plan, findings = desk.plan(desk.recipe(base=nova_recipe), {"train": reported([32_767] * 100_000)})
    assert (plan.target, plan.model.family, plan.model.parameters, plan.model.files) == ("hyperpod", "nova", 0, ())
    assert (plan.geometry.steps, plan.geometry.micro_batch_rows, plan.geometry.accumulation) == (390, 0, 0)
    assert plan.estimate.hours == pytest.approx(4, rel=0.01)
    assert not [found for found in findings if found.severity is Severity.ERROR]


def test_nova_batches_need_not_divide_over_gpus(desk, nova_recipe, reported):
    """256 rows on 24 machines of 8 is AWS's own recipe for Pro."""
    nova_recipe["run"] |= {
        "model_type": "amazon.nova-pro-v1:0:300k",
        "model_name_or_path": "nova-pro/prod",
        "replicas": 24,
    }
    plan, _ = desk.plan(desk.recipe(base=nova_recipe), {"train": reported([32_767] * 100_000)})
    assert plan.estimate.usd == pytest.approx(15_191, rel=0.01)


def test_max_steps_sets_the_steps_and_epochs_follow(desk):
    geometry = desk.plan(desk.recipe())[0].geometry
    assert (geometry.steps, geometry.bound, geometry.train_rows) == (20, "max_steps", 640)
    assert geometry.epochs == pytest.approx(640 / 9)


def test_max_epochs_sets_the_steps_and_may_be_a_fraction(desk, reported):
    changes = {"training_config": {"trainer": {"max_steps": None, "max_epochs": 0.5}}}
    loaded = desk.recipe({**changes, **ELSEWHERE})
    geometry = desk.plan(loaded, {"train": reported([4 * 63] * 1000)}, stand_in=True)[0].schedule
    assert geometry.steps == 500 // 32


def test_a_warm_up_ratio_becomes_steps(desk):
    sched = {"sched": {"warmup_steps": None, "warmup_ratio": 0.11, "min_lr": 1e-6}}
    plan, _ = desk.plan(desk.recipe({"training_config": {"model": {"optim": sched}}}))
    assert plan.schedule.warmup_steps == 3


def test_adapters_and_export_type_reach_the_plan(desk):
    changes = {"training_config": {"peft": {"method": "lora", "rank": 4}}, "export": {"dtype": "float16"}}
    plan, _ = desk.plan(desk.recipe(changes))
    assert plan.lora is not None
    assert (plan.lora.rank, plan.lora.target_modules, plan.model.dtype) == (4, ("all-linear",), "float16")


@pytest.mark.train
def test_small_data_is_counted_with_the_models_own_tokenizer(desk):
    plan, findings = desk.plan(desk.recipe())
    (source,) = plan.sources
    # a hundred documents of 1 to 8 words, and one boundary each
    assert (source.documents, source.tokens, source.exact) == (100, sum(2 + index % 8 for index in range(100)), True)
    assert "CPT565" not in codes(findings)


def test_every_dataset_has_a_source_in_order(desk):
    desk.write_data("more.jsonl", ["a b"] * 5)
    changes = {
        "run": {"validation_data_s3_path": "more.jsonl"},
        "data_mixing": {"sources": [{"name": "web", "path": "more.jsonl"}]},
        "eval": {"general_data_path": "more.jsonl"},
    }
    loaded = desk.recipe(changes)
    assert [one.channel for one in recipe_inputs(loaded)] == ["train", "replay-web", "validation", "general-validation"]
    plan, _ = desk.plan(loaded)
    assert [(source.name, source.role) for source in plan.sources] == [
        ("domain", "train"),
        ("web", "replay"),
        ("domain", "validation"),
        ("general", "general_validation"),
    ]
    assert [source.weight for source in plan.sources] == pytest.approx([0.95, 0.05, 0, 0])


# --- a rehearsal ------------------------------------------------------------------------------------------------


def test_a_stand_in_takes_four_steps_of_the_real_schedule(desk, nova_recipe, reported):
    loaded = desk.recipe(base=nova_recipe)
    plan, findings = desk.plan(loaded, {"train": reported([32_767] * 100_000)}, target="local", stand_in=True)
    assert (plan.geometry.steps, plan.schedule.steps, plan.geometry.seq_len_tokens) == (4, 390, 8192)
    assert (plan.model.stand_in, plan.model.family, plan.model.files) == (True, "open", ())
    assert not any(source.exact for source in plan.sources)
    (said,) = [found.message for found in findings if found.code == "CPT572"]
    assert "4 of 390 steps with 8 of 256 rows each, and measures on 8 held-out rows" in said


def test_a_stand_in_trains_and_measures_on_eight_rows(desk, nova_recipe, reported):
    loaded = desk.recipe(base=nova_recipe)
    reports = {"train": reported([32_767] * 100_000)}
    rehearsal, whole = (
        desk.plan(loaded, reports, target=target, stand_in=target == "local")[0] for target in ("local", "hyperpod")
    )
    geometry = rehearsal.geometry
    assert (geometry.global_batch_rows, geometry.micro_batch_rows * geometry.accumulation) == (8, 8)
    assert (geometry.train_rows, rehearsal.evaluation.max_rows) == (32, 8)
    assert geometry.train_tokens == pytest.approx(whole.geometry.train_tokens * 32 / (390 * 256), rel=1e-3)
    assert geometry.epochs == pytest.approx(32 / 100_000, rel=0.01)


def test_a_rehearsal_measures_on_no_more_rows_than_the_job(desk):
    plan, _ = desk.plan(desk.recipe({"eval": {"max_rows": 3}}), stand_in=True)
    assert plan.evaluation.max_rows == 3


def test_a_rehearsal_has_a_row_for_every_process(desk):
    plan, _ = desk.plan(desk.recipe({"launch": {"processes_per_node": 12}}), stand_in=True)
    assert (plan.geometry.global_batch_rows, plan.geometry.micro_batch_rows, plan.geometry.accumulation) == (12, 1, 1)


def test_a_short_job_is_rehearsed_to_its_end(desk):
    plan, _ = desk.plan(desk.recipe({"training_config": {"trainer": {"max_steps": 2}}}), stand_in=True)
    assert plan.geometry.steps == 2


# --- what is said -----------------------------------------------------------------------------------------------


def test_no_replay_is_warned_about(desk):
    _, findings = desk.plan(desk.recipe())
    assert {found.code: found.severity for found in findings}["CPT560"] is Severity.WARNING


def test_the_default_share_of_replay_is_explained_and_a_chosen_one_is_not(desk):
    desk.write_data("web.jsonl", ["a b"] * 5)
    mixing = {"sources": [{"name": "web", "path": "web.jsonl"}]}
    _, findings = desk.plan(desk.recipe({"data_mixing": mixing}))
    (found,) = [found for found in findings if found.code == "CPT561"]
    assert found.message.startswith("5% of the training tokens are general text")
    _, findings = desk.plan(desk.recipe({"data_mixing": {**mixing, "general_ratio": 0.05}}))
    assert not {"CPT560", "CPT561"} & set(codes(findings))


def test_a_source_that_gets_less_than_one_row_is_warned_about_and_one_that_gets_none_is_refused(desk, reported):
    mixing = {"general_ratio": 0.001, "sources": [{"name": "web", "path": "web.jsonl"}]}
    reports = {"train": reported([252] * 10_000), "replay-web": reported([252] * 100)}
    for steps, said in ((4, "error: 0.13 of 128"), (20, "warning: 0.64 of 640"), (40, None)):
        changes = {"data_mixing": mixing, "training_config": {"trainer": {"max_steps": steps}}, **ELSEWHERE}
        try:
            findings = desk.plan(desk.recipe(changes), reports, stand_in=True)[1]
        except PlanError as exc:
            findings = exc.diagnostics
        found = [f"{one.severity}: {one.message.partition(', ')[2]}" for one in findings if one.code == "CPT563"]
        assert found == ([f"{said} rows"] if said else [])


def test_why_tokens_are_estimated_is_told(desk, nova_recipe, reported):
    def said(plan_of):
        return next(found.message for found in plan_of[1] if found.code == "CPT565")

    few, many = reported([4000] * 1000), reported([4000] * 40_000)
    nova = desk.plan(desk.recipe({"training_config": {"global_batch_size": 32}}, base=nova_recipe), {"train": many})
    assert said(nova).endswith("because the tokenizer of Nova models is not public")
    loaded = desk.recipe(ELSEWHERE)
    assert said(desk.plan(loaded, {"train": many}, stand_in=True)).endswith("is larger than 128 MiB")
    assert said(desk.plan(loaded, {"train": few}, stand_in=True)).endswith("is not here")


def test_an_estimated_amount_is_not_told_to_the_token(desk, nova_recipe, reported):
    loaded = desk.recipe({"training_config": {"global_batch_size": 32}}, base=nova_recipe)
    found = next(one for one in desk.plan(loaded, {"train": reported([4321] * 3333)})[1] if one.code == "CPT568")
    assert found.message.startswith("about 3,600,000 tokens of domain text are few")


def test_data_passed_over_too_often_is_warned_about(desk):
    _, findings = desk.plan(desk.recipe())
    (found,) = [found for found in findings if found.code == "CPT564"]
    assert "`domain` is passed over 71.1 times" in found.message


def test_held_out_text_that_is_trained_on_is_warned_about(desk):
    _, findings = desk.plan(desk.recipe({"run": {"validation_data_s3_path": "train.jsonl"}}))
    assert "CPT566" in codes(findings)


def test_the_same_text_under_another_name_is_found_too(desk):
    (desk.folder / "copy.jsonl").write_bytes((desk.folder / "train.jsonl").read_bytes())
    _, findings = desk.plan(desk.recipe({"eval": {"general_data_path": "copy.jsonl"}}))
    assert "CPT566" in codes(findings)


@pytest.mark.parametrize(
    ("characters", "said"),
    [(39_000_000, "are few"), (41_000_000, "style"), (3_990_000_000, "style"), (4_100_000_000, "")],
)
def test_amounts_of_text_are_judged_in_bands(desk, nova_recipe, reported, characters, said):
    length = 400_000
    loaded = desk.recipe({"training_config": {"global_batch_size": 32}}, base=nova_recipe)
    _, findings = desk.plan(loaded, {"train": reported([length] * (characters // length))})
    shown = [found.message for found in findings if found.code == "CPT568"]
    assert (said in shown[0]) if said else not shown


def test_documents_longer_than_a_row_are_mentioned(desk):
    desk.write_data("train.jsonl", ["a " * 200] * 50)
    assert "CPT569" in codes(desk.plan(desk.recipe())[1])


def test_replicas_are_for_the_cloud(desk):
    assert "CPT516" in codes(desk.plan(desk.recipe({"run": {"replicas": 2}}))[1])


def test_a_warm_up_longer_than_the_epochs_is_warned_about(desk):
    changes = {"trainer": {"max_steps": None, "max_epochs": 5}, "model": {"optim": {"sched": {"warmup_steps": 20}}}}
    _, findings = desk.plan(desk.recipe({"training_config": changes}))
    assert "CPT508" in codes(findings)


def test_a_cost_that_may_exceed_the_budget_is_warned_about(desk, nova_recipe, reported):
    loaded = desk.recipe({"launch": {"target": "hyperpod", "budget_usd": 2100}}, base=nova_recipe)
    assert "CPT551" in codes(desk.plan(loaded, {"train": reported([32_767] * 100_000)})[1])


# --- what is refused --------------------------------------------------------------------------------------------


def test_more_processes_than_rows_are_refused_with_both_ways_out(desk, reported):
    run = {"model_type": "llama-3.1-70b", "model_name_or_path": "somewhere", "replicas": 24}
    rows = {"training_config": {"max_length": 8192, "global_batch_size": 128}}
    found = refusals(desk, recipe_of(desk, {"run": run}, IN_CLOUD, rows), {"train": reported([30_000] * 2000)})
    assert "128 rows is less than one row for each of 24 x 8 = 192 processes" in found["CPT506"]
    assert "`global_batch_size` of at least 192, or `run.replicas` of at most `12`" in found["CPT506"]


def test_more_processes_than_rows_are_refused_here_too(desk):
    assert desk.plan(desk.recipe({"launch": {"processes_per_node": 32}}))[0].geometry.accumulation == 1
    found = refusals(desk, desk.recipe({"launch": {"processes_per_node": 33}}))
    assert "`launch.processes_per_node` of at most `32`" in found["CPT506"]


def test_a_model_that_does_not_fit_lists_its_terms_and_the_cheapest_way_out(desk, reported):
    loaded = recipe_of(desk, NAMED_8B, {"launch": {"target": "sagemaker", "instance_type": "ml.p5.4xlarge"}}, LONG_ROWS)
    found = refusals(desk, loaded, {"train": reported([30_000] * 2000)})
    assert "fp32 moments (two) 64.2 GB, fp32 weights 32.1 GB" in found["CPT540"]
    assert "the cheapest that fits is `replicas: 1` of `ml.p4d.24xlarge` at 25.25 USD per hour" in found["CPT540"]
    assert "`peft: {method: lora}` fits where it is" in found["CPT540"]


def test_less_than_one_step_is_refused_with_the_numbers(desk):
    changes = {"training_config": {"trainer": {"max_steps": None, "max_epochs": 1}}}
    found = refusals(desk, desk.recipe(changes))
    assert "1 epochs of 9.0 rows are less than one step of 32 rows" in found["CPT505"]
    assert "4 epochs make a step" in found["CPT505"]


def test_constant_steps_must_leave_a_step_to_decay_in(desk, reported):
    sched = {"model": {"optim": {"sched": {"constant_steps": 13, "warmup_steps": 2}}}}
    changes = {"training_config": {**sched, "trainer": {"max_steps": None, "max_epochs": 1}}, **ELSEWHERE}
    enough, short = ({"train": reported([252] * rows)} for rows in (16 * 32, 15 * 32))
    assert desk.plan(desk.recipe(changes), enough, stand_in=True)
    assert "CPT507" in refusals(desk, desk.recipe(changes), short, stand_in=True)


def test_constant_steps_are_no_part_of_a_constant_schedule(desk):
    sched = {"name": "constant", "constant_steps": 3}
    plan, _ = desk.plan(desk.recipe({"training_config": {"model": {"optim": {"sched": sched}}}}))
    assert plan.schedule.constant_steps == 0


def test_a_gpu_that_is_not_there_is_refused(desk):
    assert "CPT512" in refusals(desk, desk.recipe({"launch": {"device": "cuda"}}))


def test_more_processes_than_gpus_are_refused(desk):
    loaded = desk.recipe({"launch": {"processes_per_node": 8}})
    assert "this machine has 4 GPUs" in refusals(desk, loaded, machine=GPU_BOX)["CPT512"]


def test_nova_cannot_be_trained_here(desk, nova_recipe, reported):
    found = refusals(desk, desk.recipe(base=nova_recipe), {"train": reported([32_767] * 1000)}, target="local")
    assert "--stand-in" in found["CPT513"]


def test_a_model_of_ones_own_uses_the_replicas_of_its_size(desk):
    loaded = desk.recipe({"run": {"replicas": 32}, **IN_CLOUD})
    assert "`1`, `2`, `4`, `8` replicas, not on `32`" in refusals(desk, loaded)["CPT514"]


def test_a_model_that_is_neither_here_nor_known_is_refused(desk, reported):
    here = desk.recipe({"run": {"model_name_or_path": "missing"}})
    away = desk.recipe({"run": {"model_name_or_path": "s3://bucket/model"}, **IN_CLOUD})
    assert f"`{desk.folder}/missing`" in refusals(desk, here)["CPT520"]
    roundabout = desk.recipe({"run": {"model_name_or_path": "../gone/../missing"}})
    assert f"`{desk.folder.parent}/missing`" in refusals(desk, roundabout)["CPT520"]
    assert "CPT532" in refusals(desk, away)


@pytest.mark.train
def test_a_tokenizer_that_names_more_tokens_than_the_model_has_is_warned_about(desk):
    """As google/gemma-3-1b does: the trainer looks whether a text makes one of them."""
    desk.write_model(vocab_size=9)
    (found,) = (found for found in desk.plan(desk.recipe())[1] if found.code == "CPT536")
    assert found.message.endswith("names 10 tokens, the model's embedding has 9 rows")
    assert found.severity is Severity.WARNING
    assert "CPT536" not in codes(desk.plan(desk.recipe(), stand_in=True)[1])


def test_a_dataset_that_was_not_checked_or_is_bad_is_refused(desk):
    loaded = desk.recipe()
    assert "was not checked" in refusals(desk, loaded, {})["CPT504"]
    (desk.folder / "train.jsonl").write_text('{"text": 1}\n')
    assert "has 2 errors" in refusals(desk, loaded)["CPT504"]


def test_no_training_data_is_refused(desk, nova_recipe):
    nova_recipe["run"]["data_s3_path"] = ""
    assert "CPT503" in refusals(desk, desk.recipe(base=nova_recipe), {})


@pytest.mark.parametrize(("budget", "is_refused"), [(2022, True), (2023, False)])
def test_the_expected_cost_must_be_within_the_budget(desk, nova_recipe, reported, budget, is_refused):
    loaded = desk.recipe({"launch": {"target": "hyperpod", "budget_usd": budget}}, base=nova_recipe)
    reports = {"train": reported([32_767] * 100_000)}
    if is_refused:
        assert (
            "about 2,022 USD (1,517 to 4,044), more than `budget_usd: 2022`"
            in refusals(desk, loaded, reports)["CPT550"]
        )
    else:
        assert desk.plan(loaded, reports)[0].estimate.usd < budget


def test_a_budget_without_a_price_is_refused_and_no_budget_is_warned_about(desk, reported):
    launch = {"target": "sagemaker", "instance_type": "ml.p5e.48xlarge"}
    reports = {"train": reported([30_000] * 2000)}
    with_budget = recipe_of(desk, NAMED_8B, LONG_ROWS, {"launch": {**launch, "budget_usd": 10}})
    without = recipe_of(desk, NAMED_8B, LONG_ROWS, {"launch": launch})
    assert "CPT552" in refusals(desk, with_budget, reports)
    assert "CPT552" in codes(desk.plan(without, reports)[1])


def test_small_amounts_keep_their_cents_and_the_advised_hours_are_enough(desk, nova_recipe, reported):
    launch = {"target": "hyperpod", "budget_usd": 5, "max_runtime_hours": 0.01}
    refused = refusals(desk, desk.recipe({"launch": launch}, base=nova_recipe), {"train": reported([32_767] * 1000)})
    assert "about 15.56 USD (11.67 to 31.11), more than `budget_usd: 5`" in refused["CPT550"]
    assert "allow 0.1 hours" in refused["CPT553"]


@pytest.mark.parametrize(("hours", "code"), [(2.9, "CPT553"), (3.1, "CPT554"), (7.9, "CPT554"), (8.1, None)])
def test_the_runtime_limit_is_compared_with_both_ends_of_the_estimate(desk, nova_recipe, reported, hours, code):
    loaded = desk.recipe({"launch": {"target": "hyperpod", "max_runtime_hours": hours}}, base=nova_recipe)
    reports = {"train": reported([32_767] * 100_000)}
    if code == "CPT553":
        assert code in refusals(desk, loaded, reports)
    else:
        plan, findings = desk.plan(loaded, reports)
        assert plan.max_runtime_s == round(hours * 3600)
        assert [found for found in codes(findings) if found in ("CPT553", "CPT554")] == ([code] if code else [])


def test_what_is_wrong_with_machine_model_and_data_is_said_at_once(desk):
    changes = {
        "run": {"model_name_or_path": "missing"},
        "launch": {"device": "cuda"},
    }
    assert set(refusals(desk, desk.recipe(changes), {})) == {"CPT504", "CPT512", "CPT520"}


def test_findings_point_into_the_recipe(desk):
    with pytest.raises(PlanError) as caught:
        desk.plan(desk.recipe({"launch": {"device": "cuda"}}))
    place = caught.value.diagnostics[0].place
    text = (desk.folder / "recipe.yaml").read_text().splitlines()
    assert '"cuda"' in text[place.line - 1][place.column - 1 :]


def test_a_class_that_cannot_be_trained_is_refused_with_those_that_can(desk):
    desk.write_model("mamba", model_type="mamba")
    refused = refusals(desk, desk.recipe({"run": {"model_name_or_path": "mamba"}}))["CPT531"]
    assert " | this version trains models of type `bloom`, `gemma`, " in refused


# --- assumed data -----------------------------------------------------------------------------------------------


def test_data_that_was_not_read_is_planned_with_as_many_full_rows_as_assumed(desk, nova_recipe):
    nova_recipe["run"]["data_s3_path"] = "s3://bucket/train/"
    plan, findings = desk.plan(desk.recipe(base=nova_recipe), {}, assumed_rows=100_000)
    (source,) = plan.sources
    assert (source.files, source.documents, source.exact, source.is_assumed) == ((), 0, False, True)
    assert (source.rows, source.tokens) == (100_000, 100_000 * 8192)
    assert plan.estimate.hours == pytest.approx(4, rel=0.01), "the amount and the hours of the vendor's own table"
    said = [found for found in findings if found.code == "CPT571"]
    assert said[0].message == "assumed, not read: 100,000 full rows of 8,192 tokens for `s3://bucket/train/`"
    assert not {"CPT565", "CPT568", "CPT570"} & set(codes(findings)), "nothing is said of documents that nobody saw"


def test_an_amount_is_assumed_even_where_the_recipe_names_no_data(desk, nova_recipe):
    nova_recipe["run"]["data_s3_path"] = ""
    plan, findings = desk.plan(desk.recipe(base=nova_recipe), {}, assumed_rows=1000)
    assert [source.role for source in plan.sources] == ["train"]
    assert "`run.data_s3_path`" in next(found.message for found in findings if found.code == "CPT571")


def test_what_was_read_is_not_assumed(desk):
    changes = {"eval": {"general_data_path": "s3://bucket/general/"}}
    loaded = desk.recipe({**changes, "run": {"validation_data_s3_path": "s3://bucket/held-out/"}})
    domain = desk.plan(desk.recipe())[0].sources[0]
    reports = desk.reports(desk.recipe())
    plan, _ = desk.plan(loaded, reports, assumed_rows=7)
    assert plan.sources[0] == domain
    assert [(one.role, one.rows) for one in plan.sources[1:]] == [("validation", 7), ("general_validation", 7)]


def test_bad_data_is_refused_whatever_is_assumed(desk):
    (desk.folder / "train.jsonl").write_text('{"text": 1}\n')
    assert "CPT504" in refusals(desk, desk.recipe(), assumed_rows=1000)


# --- identity ---------------------------------------------------------------------------------------------------


def test_the_same_inputs_give_the_same_plan_byte_for_byte(desk):
    first, second = (desk.plan(desk.recipe())[0] for _ in range(2))
    assert first.to_json() == second.to_json()
    assert first.job_name == second.job_name


def test_another_byte_in_data_model_or_recipe_gives_another_plan(desk):
    loaded = desk.recipe()
    hashes = {desk.plan(loaded)[0].hash}
    with (desk.folder / "train.jsonl").open("a") as file:
        file.write('{"text": "a"}\n')
    hashes.add(desk.plan(loaded)[0].hash)
    with (desk.folder / "base" / "config.json").open("a") as file:
        file.write("\n")
    hashes.add(desk.plan(loaded)[0].hash)
    with (desk.folder / "recipe.yaml").open("a") as file:
        file.write("\n")
    from cloudcpt.recipe.load import load_recipe

    hashes.add(desk.plan(load_recipe(desk.folder / "recipe.yaml"))[0].hash)
    assert len(hashes) == 4


def test_the_plan_does_not_depend_on_how_the_recipe_was_named(desk, monkeypatch):
    from cloudcpt.recipe.load import load_recipe

    desk.recipe()
    (desk.folder / "below").mkdir()
    monkeypatch.chdir(desk.folder / "below")
    named = [Path("../recipe.yaml"), Path("../below/../recipe.yaml"), desk.folder / "recipe.yaml"]
    plans = [desk.plan(load_recipe(path))[0] for path in named]
    assert {plan.recipe_path for plan in plans} == {"recipe.yaml"}
    assert len({plan.hash for plan in plans}) == 1
