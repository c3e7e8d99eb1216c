"""What a plan says of its base model: too long rows, a tuning that would be lost, attention without its kernel."""

import json

import pytest

from cloudcpt.errors import PlanError, Severity
from cloudcpt.plan.instances import Machine
from cloudcpt.plan.staged import STAGED_FILE

GPU_BOX = Machine(gpus=4, gpu_memory_bytes=80 * 10**9, cpus=32, gpu_name="NVIDIA H100 80GB HBM3")


def findings(desk, loaded, **options):
    return {found.code: found for found in desk.plan(loaded, **options)[1]}


GPT2 = {"model_type": "gpt2", "n_positions": 64, "max_position_embeddings": None}
DYNAMIC = {"rope_scaling": {"type": "dynamic", "factor": 2.0}}


@pytest.mark.parametrize("settings", [GPT2, DYNAMIC])
def test_rows_behind_the_last_position_are_refused_with_the_length_that_is_not(desk, settings):
    desk.write_model(**settings)
    assert "CPT538" not in findings(desk, desk.recipe())
    with pytest.raises(PlanError, match="CPT538") as caught:
        desk.plan(desk.recipe({"training_config": {"max_length": 65}}))
    (found,) = (found for found in caught.value.diagnostics if found.severity is Severity.ERROR)
    assert found.hint == "set `max_length` to 64 or less"
    assert found.place is not None


def test_rows_longer_than_the_context_are_warned_about_where_positions_go_on(desk):
    loaded = desk.recipe({"training_config": {"max_length": 65}})
    assert findings(desk, loaded)["CPT535"].severity is Severity.WARNING


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("Qwen2.5-7B-Instruct", "Instruct"),
        ("llama-2-7b-chat-hf", "chat"),
        ("gemma-3-1b-it", "it"),
        ("bloomz-560m", "bloomz"),
        ("gemma-3-1b-pt", None),
        ("italian-7b", None),
        ("it-news", None),
        ("chatty-7b", None),
        ("base", None),
    ],
)
def test_names_of_tuned_models_are_recognised(desk, name, word):
    desk.write_model(name)
    found = findings(desk, desk.recipe({"run": {"model_name_or_path": name}})).get("CPT539")
    assert (found.message.split("`")[3] if found else None) == word


def test_the_name_under_which_a_model_was_published_counts_too(desk):
    folder = desk.write_model(_name_or_path="/home/somebody/llama-chat/checkpoint-instruct/")
    assert "`instruct`" in findings(desk, desk.recipe())["CPT539"].message
    desk.write_model(_name_or_path="/home/somebody/chat/llama")
    assert "CPT539" not in findings(desk, desk.recipe())
    record = {"made_by": "", "source": "hub", "endpoint": "", "revision": "", "commit": "", "listing": "", "files": []}
    record |= {"schema_version": 1, "repo": "org/Model-7B-Chat", "staged_at": ""}
    (folder / STAGED_FILE).write_text(json.dumps(record))
    assert "`Chat`" in findings(desk, desk.recipe())["CPT539"].message


@pytest.mark.parametrize("file", ["chat_template.jinja", "tokenizer_config.json"])
def test_a_chat_template_alone_is_noted_unless_the_name_says_base(desk, file):
    for name in ("model", "model-base"):
        text = json.dumps({"chat_template": "{{ messages }}", "eos_token": "<end>"})
        (desk.write_model(name) / file).write_text(text if file.endswith("json") else "{{ messages }}")
    found = [findings(desk, desk.recipe({"run": {"model_name_or_path": name}})) for name in ("model", "model-base")]
    assert found[0]["CPT539"].severity is Severity.NOTE
    assert "CPT539" not in found[1]


def test_a_tuned_model_of_the_catalog_is_named_before_it_is_downloaded(desk, reported):
    run = {"model_type": "bloomz-560m", "model_name_or_path": "s3://bucket/model"}
    loaded = desk.recipe({"run": run, "launch": {"target": "sagemaker"}})
    found = findings(desk, loaded, reports={"train": reported([30_000] * 2000)})
    assert found["CPT539"].message.startswith("`bloomz-560m` was tuned")


def test_attention_without_its_kernel_is_said_where_there_is_a_gpu(desk):
    dropout = {"training_config": {"model": {"attention_dropout": 0.1}}}
    assert "CPT543" not in findings(desk, desk.recipe(dropout))
    assert "CPT543" not in findings(desk, desk.recipe(), machine=GPU_BOX)
    assert "`attention_dropout`" in findings(desk, desk.recipe(dropout), machine=GPU_BOX)["CPT543"].message
    desk.write_model(model_type="gemma2", attn_logit_softcapping=50.0)
    assert "`gemma2` cap" in findings(desk, desk.recipe(), machine=GPU_BOX)["CPT543"].message
