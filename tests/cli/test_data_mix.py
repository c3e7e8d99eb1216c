"""`cloudcpt data mix`: the mixture that a recipe plans, as files, with what was planned and what was reached."""

import json
from pathlib import Path

import pytest

from cloudcpt.dataset.tokens import load_tokenizer
from cloudcpt.plan.plan import Plan
from tests.plan.conftest import NOVA_RECIPE, Desk

pytest.importorskip("tokenizers", reason="needs the [train] extra")

MIXED = {
    "data_mixing": {
        "mode": "weights",
        "general_ratio": 0.25,
        "sources": [{"name": "wiki", "path": "wiki.jsonl", "weight": 2}, {"name": "web", "path": "web", "weight": 1}],
    },
    "training_config": {"trainer": {"max_steps": 2}},
}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A model of words, a recipe of two general sources, and more text than is trained on, except of one."""
    monkeypatch.chdir(tmp_path)
    made = Desk(tmp_path)
    made.write_model()
    made.write_data("train.jsonl", ["a b c d e f g h"] * 900)
    made.write_data("wiki.jsonl", ["a b c"] * 900)
    (tmp_path / "web").mkdir()
    made.write_data("web/1.jsonl", [f"a {'b ' * (number % 5)}c" for number in range(40)])
    return made


def written_tokens(path: Path, base: Path) -> int:
    texts = [json.loads(line)["text"] for line in path.read_text("utf-8").splitlines()]
    return sum(map(len, load_tokenizer(base).encode(texts)))


def test_every_source_has_its_share_of_the_tokens_that_the_plan_trains_on(desk: Desk, cloudcpt) -> None:
    desk.recipe(MIXED)
    found = cloudcpt("data", "mix", "recipe.yaml", "--to", "out", "--output", "json")
    assert found.code == 0
    plan: Plan = desk.plan(desk.recipe(MIXED))[0]
    answer, report = json.loads(found.out), json.loads((desk.folder / "out/report.json").read_text())
    assert answer["sources"] == report["sources"]
    assert report["plan"] == plan.hash
    assert report["meaning"].startswith("Of each source as many tokens as the plan trains on")
    shares = {"domain": 0.75, "wiki": 0.25 * 2 / 3, "web": 0.25 / 3}
    for source in report["sources"]:
        share = shares[source["name"]]
        assert source["planned_share"] == pytest.approx(share)
        assert source["planned_tokens"] == round(share * plan.geometry.train_tokens)
        assert 0 <= source["planned_tokens"] - source["written_tokens"] < 10
        assert source["reached_share"] == pytest.approx(share, abs=0.01)
        assert written_tokens(desk.folder / "out" / source["file"], desk.folder / "base") == source["written_tokens"]
    assert report["sources"][2]["passes"] > 1, "there is less of it than is trained on"


def test_one_file_and_a_table_for_people(desk: Desk, cloudcpt) -> None:
    desk.recipe(MIXED)
    found = cloudcpt("data", "mix", "recipe.yaml", "--to", "mixed.jsonl")
    lines = found.out.splitlines()
    count = len((desk.folder / "mixed.jsonl").read_text("utf-8").splitlines())
    assert lines[0].startswith(f"mixed.jsonl: {count:,} documents in 1 file, ")
    assert lines[-4].split() == ["source", "documents", "tokens", "planned", "reached", "passes"]
    assert [line.split()[0] for line in lines[-3:]] == ["domain", "wiki", "web"]


def test_nothing_that_is_there_is_replaced_unless_that_is_asked_for(desk: Desk, cloudcpt) -> None:
    desk.recipe(MIXED)
    (desk.folder / "out").mkdir()
    (desk.folder / "out/mine").write_text("x")
    found = cloudcpt("data", "mix", "recipe.yaml", "--to", "out")
    assert (found.code, found.out) == (2, "")
    assert "CPT370" in found.err
    assert (desk.folder / "out/mine").read_text() == "x"


def test_the_output_does_not_lie_in_a_folder_that_the_recipe_reads(desk: Desk, cloudcpt) -> None:
    desk.recipe(MIXED)
    found = cloudcpt("data", "mix", "recipe.yaml", "--to", "web/mixed.jsonl")
    assert (found.code, "CPT371" in found.err) == (2, True)


def test_a_model_whose_tokenizer_is_not_here_is_counted_with_another(desk: Desk, cloudcpt) -> None:
    changes = {"training_config": {"max_length": 64, "global_batch_size": 32}}
    desk.recipe(changes, base=NOVA_RECIPE)
    refused = cloudcpt("data", "mix", "recipe.yaml", "--to", "out")
    assert refused.code == 2
    assert "error[CPT365]" in refused.err
    assert "--tokenizer" in refused.err
    found = cloudcpt("data", "mix", "recipe.yaml", "--to", "out", "--tokenizer", "base", "--output", "json")
    assert found.code == 0
    (source,) = json.loads(found.out)["sources"]
    assert source["written_tokens"] == written_tokens(desk.folder / "out/train.jsonl", desk.folder / "base")


def test_a_recipe_with_mistakes_ends_with_its_findings(desk: Desk, cloudcpt) -> None:
    desk.recipe({**MIXED, "run": {"data_s3_path": "nowhere.jsonl"}})
    found = cloudcpt("data", "mix", "recipe.yaml", "--to", "out")
    assert (found.code, "CPT300" in found.err) == (1, True)
    assert not (desk.folder / "out").exists()
