"""The model folder holds a whole model or none."""

from dataclasses import replace

import pytest

from cloudcpt.plan.plan import Ancestor, Lora, Origin
from cloudcpt.train.card import model_card
from cloudcpt.train.evaluate import HeldOut
from cloudcpt.train.export import put_in_place
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.lora import base_of_adapter
from cloudcpt.train.room import refuse_bad_target
from cloudcpt.wire import complete_model, model_faults

pytestmark = pytest.mark.train


@pytest.fixture
def finished(tmp_path):
    folder = tmp_path / "tmp" / "finished"
    (folder / "provenance").mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "provenance/plan.json"):
        (folder / name).write_text(name, "utf-8")
    complete_model(folder, plan_hash="0" * 64, job_name="tiny", steps=1, tokens=1)
    return folder


@pytest.mark.parametrize("target", ["missing", "empty", "mounted"])
def test_a_sealed_model_gets_to_its_place_whole(target, finished, tmp_path):
    place = tmp_path / "model"
    if target != "missing":
        place.mkdir()
    if target == "mounted":  # cannot be replaced by a rename, like a volume with its lost+found
        (place / "lost+found").mkdir()
    put_in_place(finished, place)
    assert model_faults(place) == []
    assert not finished.exists()


def test_a_move_that_breaks_off_leaves_nothing_that_counts_as_a_model(finished, tmp_path):
    place = tmp_path / "model"
    (place / "config.json" / "config.json").mkdir(parents=True)
    with pytest.raises(OSError, match="already exists"):
        put_in_place(finished, place)
    assert not (place / "COMPLETE").exists()


def test_a_model_folder_with_a_file_in_it_is_refused_before_training(tiny_job):
    job = tiny_job()
    refuse_bad_target(job.plan, job.ml, parameters=1)
    (job.ml.model / "old").mkdir(parents=True)
    refuse_bad_target(job.plan, job.ml, parameters=1)
    (job.ml.model / "old" / "weights").write_text("", "utf-8")
    with pytest.raises(TrainingFailure, match="CPT610"):
        refuse_bad_target(job.plan, job.ml, parameters=1)


def test_a_disk_that_cannot_hold_the_model_is_refused_before_training(tiny_job):
    job = tiny_job()
    with pytest.raises(TrainingFailure, match=r"CPT611: the final model needs 4000000000\.1 GB"):
        refuse_bad_target(job.plan, job.ml, parameters=10**18)


def card(job, base_card="", **sets):
    if base_card:
        (job.ml.channel("model") / "README.md").write_text(base_card, "utf-8")
    before = {name: HeldOut(loss=1.0, perplexity=2.5, bits_per_byte=0.5, tokens=10) for name in sets}
    after = {
        name: HeldOut(loss=1.25, perplexity=perplexity, bits_per_byte=0.625, tokens=10)
        for name, perplexity in sets.items()
    }
    return model_card(job.plan, job.ml.channel("model"), before, after, tokens=77)


def test_the_card_names_lineage_data_and_perplexities(tiny_job):
    job = tiny_job()
    text = card(job, domain=1.25, general=3.0)
    assert "Continued pretraining of `tiny` by full-parameter training: 6 steps, 77 tokens" in text
    assert f"plan `{job.plan.hash}`" in text
    assert "| domain | 2.5000 | 1.2500 | 0.5000 | 0.6250 | 10 |" in text
    assert "ln(general perplexity after / before): +0.2500 nats per token" in text
    assert "Forgetting" not in card(job, domain=1.25)
    assert all(file.blake3 in text for source in job.plan.sources for file in source.files)
    assert "No held-out set was given" in card(job)


@pytest.mark.parametrize(
    ("origin", "named", "told"),
    [
        (
            Origin(source="hub", repo="org/base", revision="ab" * 20),
            "base_model: org/base",
            "`org/base at abababababab`",
        ),
        (Origin(source="modelscope", repo="org/base", revision="master"), "base_model: tiny", "`org/base at master`"),
        (Origin(source="s3", repo="s3://b/base/", revision=""), "base_model: tiny", "`s3://b/base/`"),
        (None, "base_model: tiny", "`tiny`"),
    ],
)
def test_the_card_names_the_base_model_as_others_can_find_it(origin, named, told, tiny_job):
    job = tiny_job()
    plan = replace(job.plan, model=replace(job.plan.model, stand_in=False, origin=origin))
    text = model_card(plan, job.ml.channel("model"), {}, {}, tokens=77)
    assert named in text.splitlines()
    assert f"Continued pretraining of {told} by" in text


@pytest.mark.parametrize(
    ("base_card", "lines"),
    [
        ("---\nlicense: llama3.2\ntags: [a]\n---\n# Base\nlicense: not this\n", ["license: llama3.2"]),
        (
            "---\nlicense: other\nlicense_name: mine\nlicense_link: LICENSE\n---\n",
            ["license: other", "license_name: mine"],
        ),
        ("# Base\n\n---\nlicense: in the text\n---\n", []),
        ("", []),
    ],
)
def test_the_card_carries_the_licence_of_the_base_model(base_card, lines, tiny_job):
    front_matter = card(tiny_job(), base_card).split("---")[1].splitlines()
    assert [line for line in front_matter if line.startswith("license")][: len(lines) or 1] == lines


def test_the_card_names_the_jobs_that_led_here(tiny_job):
    line = tuple(
        Ancestor(job_name=f"first-{number}", plan_hash=f"{number}" * 64, steps=number, tokens=100 * number)
        for number in (3, 4)
    )
    assert "earlier jobs" not in card(tiny_job())
    text = card(tiny_job(model={"lineage": line}))
    assert "earlier jobs, the first one first" in text
    rows = [f"| first-{number} | {number} | {number}00 | `{str(number) * 64}` |" for number in (3, 4)]
    assert "\n".join(rows) in text


def test_the_card_says_what_learnt_and_what_it_stood_on(tiny_job):
    few_bits = Lora(
        rank=8, alpha=8.0, dropout=0.0, target_modules=("q_proj",), rslora=False, merge=False, bits=4, embedding_lr=1e-5
    )
    text = card(tiny_job(lora=few_bits))
    assert "LoRA of rank 8, embeddings at a peak of 1e-05, the frozen weights held in 4 bits" in text
    assert "trained on that model held in 4 bits" in text
    assert "trained on that model held" not in card(tiny_job(lora=Lora(**vars(few_bits) | {"merge": True})))


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, ("tiny", None)),
        (Origin(source="hub", repo="owner/name", revision="a" * 40), ("owner/name", "a" * 40)),
        (Origin(source="hub", repo="owner/name", revision=""), ("owner/name", None)),
        (Origin(source="modelscope", repo="owner/name", revision="main"), ("tiny", None)),
    ],
)
def test_an_adapter_names_its_base_as_peft_finds_it(origin, expected, tiny_job):
    assert base_of_adapter(tiny_job(model={"origin": origin}).plan) == expected


def test_the_card_of_an_adapter_says_how_to_load_it_with_its_base(tiny_job):
    lora = Lora(
        rank=8, alpha=8.0, dropout=0.0, target_modules=("q_proj",), rslora=False, merge=False, bits=0, embedding_lr=0.0
    )
    text = card(tiny_job(lora=lora))
    assert "library_name: peft" in text
    assert "AutoPeftModelForCausalLM" in text
    assert "by LoRA of rank 8" in text
    assert "library_name: transformers" in card(tiny_job(lora=Lora(**vars(lora) | {"merge": True})))
