"""The model folder holds a whole model or none."""

import pytest

from cloudcpt.plan.plan import Lora
from cloudcpt.train.card import model_card
from cloudcpt.train.evaluate import HeldOut
from cloudcpt.train.export import put_in_place, refuse_bad_target
from cloudcpt.train.failures import TrainingFailure
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
    before = {name: HeldOut(loss=1.0, perplexity=2.5, tokens=10) for name in sets}
    after = {name: HeldOut(loss=1.0, perplexity=perplexity, tokens=10) for name, perplexity in sets.items()}
    return model_card(job.plan, job.ml.channel("model"), before, after, tokens=77)


def test_the_card_names_lineage_data_and_perplexities(tiny_job):
    job = tiny_job()
    text = card(job, domain=1.25, general=3.0)
    assert "Continued pretraining of `tiny` by full-parameter training: 6 steps, 77 tokens" in text
    assert f"plan `{job.plan.hash}`" in text
    assert "| domain | 2.5000 | 1.2500 | 10 |" in text
    assert all(file.blake3 in text for source in job.plan.sources for file in source.files)
    assert "No held-out set was given" in card(job)


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


def test_the_card_of_an_adapter_says_how_to_load_it_with_its_base(tiny_job):
    lora = Lora(rank=8, alpha=8.0, dropout=0.0, target_modules=("q_proj",), rslora=False, merge=False)
    text = card(tiny_job(lora=lora))
    assert "library_name: peft" in text
    assert "AutoPeftModelForCausalLM" in text
    assert "by LoRA of rank 8" in text
    assert "library_name: transformers" in card(tiny_job(lora=Lora(**vars(lora) | {"merge": True})))
