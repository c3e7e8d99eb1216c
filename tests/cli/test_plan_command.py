"""`plan` shows what will happen, in words and as JSON, and the two agree."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.cli.plan_view import plan_line, show_plan
from cloudcpt.plan.plan import Checkpoints, Compute, Lora, MemoryFit, MemoryTerm, Plan, Schedule, read_plan
from tests.fakes import small_plan

Cloudcpt = Callable[..., Any]  # the fixture of conftest.py; gives code, out and err

RECIPE = """\
run:
  name: demo
  model_type: amazon.nova-micro-v1:0:128k
  model_name_or_path: nova-micro/prod
  replicas: 8
  data_s3_path: {data}
training_config:
  max_length: 64
  global_batch_size: 32
  trainer:
    max_epochs: 1
  model:
    optim:
      lr: {lr}
      sched:
        warmup_steps: 1
        min_lr: 1e-6
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.jsonl").write_text("".join(f'{{"text": "document {n} says {n * 7919}"}}\n' for n in range(2000)))
    (tmp_path / "r.yaml").write_text(RECIPE.format(data="d.jsonl", lr="1e-5"))
    return tmp_path


def test_the_plan_is_on_stdout_and_everything_about_it_on_stderr(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("plan", "r.yaml")
    answer = json.loads(cloudcpt("plan", "r.yaml", "--output", "json").out)
    assert shown.code == 0
    assert shown.out.startswith(f"{answer['job_name']}  hyperpod: 8 x ml.p5.48xlarge")
    assert shown.out.endswith(f"plan    {answer['hash']}\n")
    assert "note[" in shown.err
    assert "next: cloudcpt submit r.yaml" in shown.err


def test_json_is_the_plan_itself(cloudcpt: Cloudcpt, folder: Path) -> None:
    answer = json.loads(cloudcpt("plan", "r.yaml", "--output", "json", "--save", "out/plan.json").out)
    saved = read_plan(folder / "out" / "plan.json")
    assert answer["schema_version"] == 1
    assert (answer["hash"], answer["job_name"]) == (saved.hash, saved.job_name)
    assert answer["plan"] == json.loads(saved.to_json())
    assert "error" not in {found["severity"] for found in answer["diagnostics"]}


def test_the_same_inputs_give_the_same_plan(cloudcpt: Cloudcpt, folder: Path) -> None:
    first = json.loads(cloudcpt("plan", "r.yaml", "--output", "json").out)["hash"]
    assert json.loads(cloudcpt("plan", "r.yaml", "--output", "json").out)["hash"] == first
    with (folder / "d.jsonl").open("a") as file:
        file.write('{"text": "one more"}\n')
    assert json.loads(cloudcpt("plan", "r.yaml", "--output", "json").out)["hash"] != first


def test_a_wrong_recipe_ends_with_findings_on_stderr(cloudcpt: Cloudcpt, folder: Path) -> None:
    (folder / "r.yaml").write_text(RECIPE.format(data="d.jsonl", lr="1e-7"))
    shown = cloudcpt("plan", "r.yaml")
    assert (shown.code, shown.out) == (1, "")
    assert "error[CPT204]" in shown.err
    assert "   17 |         min_lr: 1e-6" in shown.err
    assert "explain: cloudcpt explain" in shown.err


def test_wrong_data_ends_with_findings_and_no_plan(cloudcpt: Cloudcpt, folder: Path) -> None:
    (folder / "d.jsonl").write_text('{"txet": "b"}\n')
    shown = cloudcpt("plan", "r.yaml", "--output", "json")
    assert shown.code == 1
    assert json.loads(shown.out)["diagnostics"][0]["code"] == "CPT341"


def test_data_in_s3_is_the_reason_for_no_plan(cloudcpt: Cloudcpt, folder: Path) -> None:
    (folder / "r.yaml").write_text(RECIPE.format(data="s3://bucket/d.jsonl", lr="1e-5"))
    shown = cloudcpt("plan", "r.yaml")
    assert (shown.code, shown.out) == (1, "")
    assert "error[CPT395] `s3://bucket/d.jsonl` is in S3" in shown.err
    assert "`cloudcpt plan --samples 100000` plans with an assumed amount" in shown.err


def test_several_datasets_in_s3_are_one_finding_with_all_places(cloudcpt: Cloudcpt, folder: Path) -> None:
    data = "s3://bucket/d/\n  validation_data_s3_path: s3://bucket/v/"
    (folder / "r.yaml").write_text(RECIPE.format(data=data, lr="1e-5"))
    shown = cloudcpt("plan", "r.yaml")
    assert shown.err.count("error[CPT395]") == 1
    assert "2 datasets are in S3" in shown.err
    assert "    6 |   data_s3_path: s3://bucket/d/\n      |                 ^^^^^^^^^^^^^^" in shown.err
    assert "    7 |   validation_data_s3_path: s3://bucket/v/\n      |                            -------" in shown.err


def test_a_recipe_without_data_says_what_to_do(cloudcpt: Cloudcpt, folder: Path) -> None:
    (folder / "r.yaml").write_text(RECIPE.format(data='""', lr="1e-5"))
    checked = cloudcpt("validate", "r.yaml")
    assert (checked.code, "note[CPT159]" in checked.out) == (0, True)
    shown = cloudcpt("plan", "r.yaml")
    assert (shown.code, shown.out) == (1, "")
    assert "error[CPT503] the recipe names no training data" in shown.err
    assert "name JSONL in `run.data_s3_path`; or `cloudcpt plan --samples 100000`" in shown.err


# --- an assumed amount of data ----------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["s3://bucket/d/", "data/not-there/*.jsonl", "gone.jsonl", '""'])
def test_data_that_cannot_be_read_is_assumed_on_request_and_marked(cloudcpt: Cloudcpt, folder: Path, data: str) -> None:
    (folder / "r.yaml").write_text(RECIPE.format(data=data, lr="1e-5"))
    shown = cloudcpt("plan", "r.yaml", "--samples", 100_000)
    assert shown.code == 0
    assert "note[CPT571] assumed, not read: 100,000 full rows of 64 tokens for `" in shown.err
    assert "CPT395" not in shown.err
    assert shown.out.startswith("demo, with assumed data  hyperpod")
    assert "domain (assumed)  train      -          -  6.40 M  100,000    -        -  100.0%    1.00\n" in shown.out
    assert "3,125 by max_epochs" in shown.out
    assert "cloudcpt submit" not in shown.err, "there is no job in it"


def test_an_assumed_amount_is_marked_in_json_and_cannot_be_saved(cloudcpt: Cloudcpt, folder: Path) -> None:
    (folder / "r.yaml").write_text(RECIPE.format(data="s3://bucket/d/", lr="1e-5"))
    answer = json.loads(cloudcpt("plan", "r.yaml", "--samples", 5000, "--output", "json").out)
    assert (answer["job_name"], answer["assumed"]) == (None, {"samples": 5000, "channels": ["train"]})
    (source,) = answer["plan"]["sources"]
    assert (source["files"], source["rows"], source["exact"]) == ([], 5000, False)
    assert "CPT571" in [found["code"] for found in answer["diagnostics"]]
    shown = cloudcpt("plan", "r.yaml", "--samples", 5000, "--save", "plan.json")
    assert (shown.code, shown.out, (folder / "plan.json").exists()) == (2, "", False)


def test_nothing_is_assumed_of_data_that_was_read(cloudcpt: Cloudcpt, folder: Path) -> None:
    plain, asked = (
        json.loads(cloudcpt("plan", "r.yaml", *more, "--output", "json").out) for more in ([], ["--samples", 9])
    )
    assert asked == plain
    assert plain["assumed"] is None


def test_wrong_data_is_not_assumed_away(cloudcpt: Cloudcpt, folder: Path) -> None:
    (folder / "d.jsonl").write_text('{"txet": "b"}\n')
    shown = cloudcpt("plan", "r.yaml", "--samples", 100_000)
    assert (shown.code, shown.out) == (1, "")
    assert "error[CPT341]" in shown.err
    assert "CPT504" not in shown.err, "the lines are shown, and nothing is planned on them"
    (folder / "r.yaml").write_text(RECIPE.format(data="r.yaml", lr="1e-5"))
    assert "error[CPT302]" in cloudcpt("plan", "r.yaml", "--samples", 100_000).err


def test_an_assumed_amount_is_for_plans_only(cloudcpt: Cloudcpt) -> None:
    assert cloudcpt("submit", "r.yaml", "--samples", 100_000).code == 2


@pytest.mark.parametrize(
    "arguments", [[], ["r.yaml", "--target", "moon"], ["r.yaml", "--output", "sarif"], ["r.yaml", "--samples", "0"]]
)
def test_wrong_usage(cloudcpt: Cloudcpt, arguments: list[str]) -> None:
    shown = cloudcpt("plan", *arguments)
    assert (shown.code, shown.out) == (2, "")


def test_a_recipe_that_is_not_there(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("plan", "gone.yaml")
    assert (shown.code, shown.out) == (1, "")


def test_a_place_that_cannot_be_written(cloudcpt: Cloudcpt, folder: Path) -> None:
    (folder / "file").write_text("")
    assert cloudcpt("plan", "r.yaml", "--save", "file/plan.json").code == 3


@pytest.fixture
def plan(folder: Path) -> Plan:
    return small_plan(folder / "small.jsonl")


def view(plan: Plan, capsys: pytest.CaptureFixture[str]) -> str:
    show_plan(plan)
    return capsys.readouterr().out


def test_containers_are_counted_and_their_image_is_named(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    world = replace(plan.world, nodes=2, image="43c2bb6009157489d0bc")
    shown = view(replace(plan, target="container", world=world), capsys)
    assert "container: 2 containers of image 43c2bb600915 on this machine, 1 CPU process each\n" in shown


def test_variables_of_the_environment_are_shown_where_there_are_some(
    plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    world = replace(plan.world, environment=(("FI_LOG_LEVEL", "warn"), ("NCCL_DEBUG", "INFO")))
    assert "environment    FI_LOG_LEVEL=warn, NCCL_DEBUG=INFO\n" in view(replace(plan, world=world), capsys)
    assert "environment" not in view(plan, capsys)


def test_memory_is_shown_by_term_and_against_the_capacity(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    terms = (MemoryTerm(name="weights", size_bytes=5 * 10**8), MemoryTerm(name="activations", size_bytes=35 * 10**8))
    fit = MemoryFit(terms=terms, total_bytes=4 * 10**9, capacity_bytes=8 * 10**9, activations="full")
    shown = view(replace(plan, memory=fit), capsys)
    assert "memory  4.0 GB of 8.0 GB (50%) on each GPU, estimated\n" in shown
    assert "        500.0 MB  weights\n          3.5 GB  activations\n" in shown
    whole = view(replace(plan, memory=replace(fit, capacity_bytes=0)), capsys)
    assert "memory  4.0 GB on each GPU" in whole


def test_how_it_is_computed_and_what_is_kept_on_the_way_is_told(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    assert "computed       in one process; all activations kept\n" in view(plan, capsys)
    bare = view(replace(plan, checkpoints=Checkpoints(every_steps=0, keep_last=0, recovery_every_steps=0)), capsys)
    assert "kept           the final model\n" in bare
    assert "if cut off     it begins anew; a step whose loss is not finite ends the job\n" in bare
    large = replace(
        plan,
        world=replace(plan.world, nodes=2, processes_per_node=8),
        compute=Compute(compile=True, float8="rowwise", shard_processes=8),
        checkpoints=Checkpoints(every_steps=100, keep_last=2, recovery_every_steps=50),
        optimizer=replace(plan.optimizer, max_skipped_steps=3),
        memory=replace(plan.memory, activations="full"),
    )
    shown = view(large, capsys)
    assert (
        "computed       model and optimizer divided over 8 processes, 2 copies; matrix products in float8 (rowwise); "
        "compiled; activations recomputed layer by layer\n"
    ) in shown
    assert "kept           the final model and a model every 100 steps, the last 2\n" in shown
    assert "it goes on from a state saved every 50 steps; a step whose loss is not finite is left out, up to 3" in shown


def test_how_a_service_computes_is_not_told(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    shown = view(replace(plan, model=replace(plan.model, family="nova")), capsys)
    assert "computed" not in shown
    assert "if cut off" not in shown


def test_why_memory_is_not_estimated_is_told(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    assert "memory  not estimated on a CPU\n" in view(plan, capsys)
    nova = replace(plan, world=replace(plan.world, device="cuda"))
    assert "memory  not estimated because the sizes of the model are not public\n" in view(nova, capsys)


def test_a_price_is_shown_with_its_interval_and_source(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    priced = replace(
        plan.estimate, usd_per_instance_hour=63.3, usd=120.0, usd_low=90.0, usd_high=200.0, price_source="list"
    )
    shown = view(replace(plan, estimate=priced), capsys)
    assert "cost    about $120 ($90.00 to $200)\n        1 instance at $63.30 per hour; list\n" in shown


def test_no_price_is_told_apart_from_no_charge(plan: Plan) -> None:
    assert "no charge" in plan_line(plan)
    elsewhere = replace(plan, world=replace(plan.world, instance_type="ml.p5e.48xlarge"))
    assert "no public price" in plan_line(elsewhere)


def test_lora_and_stand_in_are_told(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    lora = Lora(
        rank=8,
        alpha=16.0,
        dropout=0.0,
        target_modules=("all-linear",),
        rslora=False,
        merge=False,
        bits=0,
        embedding_lr=0.0,
    )
    shown = view(replace(plan, lora=lora, model=replace(plan.model, stand_in=True)), capsys)
    assert "LoRA rank 8, alpha 16, on all-linear; adapter alone at the end" in shown
    assert "REHEARSAL on a tiny random stand-in" in shown
    shown = view(replace(plan, lora=replace(lora, bits=4, embedding_lr=1e-5)), capsys)
    assert "on all-linear; embeddings too, up to 1e-05; frozen weights in 4 bits; adapter alone" in shown


def test_estimated_counts_are_marked_and_rounded(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    (domain,) = plan.sources
    counted = replace(domain, tokens=123_456, rows=7891)
    exact, estimated = (view(replace(plan, sources=(replace(counted, exact=how),)), capsys) for how in (True, False))
    assert "  123,456  7,891  " in exact
    assert "  ~123,000  ~7,890  " in estimated


def test_sources_have_their_share_and_their_passes(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    (domain,) = plan.sources
    sources = (
        replace(domain, weight=0.75, tokens=300),
        replace(domain, name="news", role="replay", weight=0.25, tokens=50),
        replace(domain, role="validation", weight=0.0),
    )
    mixed = replace(plan, sources=sources, geometry=replace(plan.geometry, train_tokens=400))
    rows = {
        line.split()[1]: line.split()
        for line in view(mixed, capsys).splitlines()
        if line.startswith(("domain", "news"))
    }
    assert rows["train"][-2:] == ["75.0%", "1.00"]
    assert rows["replay"][-2:] == ["25.0%", "2.00"]
    assert rows["validation"][-2:] == ["-", "-"]


def test_what_packing_costs_is_shown_for_every_source(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows of 32 tokens: 900 tokens in 30 rows leave 6.2% empty, and a third of them is in documents that are cut."""
    (domain,) = plan.sources
    counted = replace(domain, tokens=900, rows=30, cut_documents=2, cut_tokens=300)
    exact, estimated = (view(replace(plan, sources=(replace(counted, exact=how),)), capsys) for how in (True, False))
    assert "  900    30  33%     6.2%  " in exact
    assert "  ~900   ~30  ~33%    ~6.2%  " in estimated


def test_padding_of_uneven_parts_is_shown(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    uneven = replace(
        plan,
        world=replace(plan.world, processes_per_node=3),
        geometry=replace(plan.geometry, global_batch_rows=8, micro_batch_rows=3, accumulation=1),
    )
    assert "per step = 3 processes x 3 rows x 1 pass, 11% padding\n" in view(uneven, capsys)
    assert "% padding" not in view(plan, capsys)


@pytest.mark.parametrize(
    ("lr", "text"), [(2e-5, "2e-5"), (1e-4, "1e-4"), (1.25e-6, "1.25e-6"), (3e-3, "0.003"), (1.0, "1")]
)
def test_learning_rates_are_written_as_people_do(
    plan: Plan, capsys: pytest.CaptureFixture[str], lr: float, text: str
) -> None:
    constant = Schedule(name="constant", lr=lr, min_lr=0.0, warmup_steps=0, constant_steps=0, steps=9)
    assert f"  up to {text}, {text} at the end\n" in view(replace(plan, schedule=constant), capsys)


def test_a_peak_that_is_never_reached_is_not_shown(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    """Nine steps of a warm-up of ninety: NeMo's first step has lr / 91, the ninth 9 lr / 91."""
    short = Schedule(name="cosine", lr=9.1e-4, min_lr=0.0, warmup_steps=90, constant_steps=0, steps=9)
    assert "  up to 9e-5, 9e-5 at the end\n" in view(replace(plan, schedule=short), capsys)


def test_long_sources_are_wrapped(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    shown = view(replace(plan, estimate=replace(plan.estimate, time_source="because " * 40)), capsys)
    assert max(map(len, shown.splitlines())) <= 100
    assert shown.count("because") == 40


def test_the_service_divides_a_batch_that_the_plan_does_not(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    assert "process x" in view(plan, capsys)
    assert "process x" not in view(replace(plan, geometry=replace(plan.geometry, micro_batch_rows=0)), capsys)
