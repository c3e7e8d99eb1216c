"""The folder of the base model: read without loading it, and refused for each reason it could have."""

import json

import pytest

from cloudcpt.errors import PlanError
from cloudcpt.plan.base_model import read_base_model
from cloudcpt.plan.model_folder import LocalModel


def codes_of(folder) -> list[str]:
    with pytest.raises(PlanError) as caught:
        read_base_model(LocalModel(folder), None)
    return [found.code for found in caught.value.diagnostics]


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_parameters_are_counted_from_the_header_and_the_rest_read_from_the_config(desk):
    found = read_base_model(LocalModel(desk.write_model(dtype="BF16")), None)
    assert found.sizes.parameters == 11 * 8 + 8
    assert (found.sizes.layers, found.sizes.hidden_size, found.sizes.kv_heads, found.sizes.head_dim) == (2, 8, 1, 4)
    assert (found.architecture, found.dtype, found.context_tokens) == ("llama", "bfloat16", 64)


def test_files_are_the_model_and_nothing_else(desk):
    folder = desk.write_model()
    for name in ("README.md", "LICENSE", "generation_config.json", "pytorch_model.bin", "notes.html", ".gitattributes"):
        (folder / name).write_text("x")
    (folder / "original").mkdir()
    assert read_base_model(LocalModel(folder), None).names == (
        "LICENSE",
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
    )


def test_every_file_is_identified_by_its_content(desk):
    folder = desk.write_model()
    before = {file.name: file.blake3 for file in read_base_model(LocalModel(folder), None).hashed_files()}
    change_config(folder, note="one byte more")
    after = {file.name: file.blake3 for file in read_base_model(LocalModel(folder), None).hashed_files()}
    assert {name for name in before if before[name] != after[name]} == {"config.json"}


def test_a_stored_output_embedding_counts_once_when_it_is_tied(desk, safetensors_writer):
    folder = desk.write_model(tie_word_embeddings=True)
    tensors = {"model.embed_tokens.weight": ("F32", [11, 8]), "lm_head.weight": ("F32", [11, 8])}
    safetensors_writer(folder / "model.safetensors", tensors)
    assert read_base_model(LocalModel(folder), None).sizes.parameters == 88
    change_config(folder, tie_word_embeddings=False)
    sizes = read_base_model(LocalModel(folder), None).sizes
    assert (sizes.parameters, sizes.tied_embeddings) == (176, False)


def test_shards_are_those_of_the_index(desk, safetensors_writer):
    folder = desk.write_model()
    (folder / "model.safetensors").unlink()
    for shard in ("a", "b"):
        safetensors_writer(folder / f"{shard}.safetensors", {f"{shard}.weight": ("F16", [4])})
    safetensors_writer(folder / "consolidated.safetensors", {"all.weight": ("F16", [8])})
    weight_map = {"a.weight": "a.safetensors", "b.weight": "b.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    found = read_base_model(LocalModel(folder), None)
    assert found.sizes.parameters == 8
    assert "consolidated.safetensors" not in found.names


def test_an_index_cannot_lead_out_of_the_folder(desk):
    folder = desk.write_model()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "../../secret.safetensors"}}))
    with pytest.raises(PlanError, match=r"names `secret\.safetensors`, which is missing"):
        read_base_model(LocalModel(folder), None)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("attention.bias", "U8"),
        ("gpt_neox.layers.0.attention.masked_bias", "F16"),
        ("gpt_neox.layers.0.attention.rotary_emb.inv_freq", "F32"),
        ("h.0.attn.bias", "F32"),
    ],
)
def test_masks_and_tables_that_old_models_store_are_neither_counted_nor_refused(desk, safetensors_writer, name, dtype):
    folder = desk.write_model()
    safetensors_writer(folder / "model.safetensors", {"x.weight": ("F16", [4]), name: (dtype, [100])})
    found = read_base_model(LocalModel(folder), None)
    assert (found.sizes.parameters, found.dtype) == (4, "float16")


def test_biases_of_maps_are_counted(desk, safetensors_writer):
    folder = desk.write_model()
    names = ("h.0.attn.c_attn.bias", "self_attention.query_key_value.bias", "attention.dense.bias")
    safetensors_writer(folder / "model.safetensors", {name: ("F32", [3]) for name in names})
    assert read_base_model(LocalModel(folder), None).sizes.parameters == 9


OLD_NAMES = {
    "gpt2": {"n_layer": 2, "n_embd": 8, "n_head": 2, "n_positions": 64, "n_inner": None},
    "bloom": {"n_layer": 2, "n_embed": 8, "num_attention_heads": 2, "seq_length": 64},
}
"""As openai-community/gpt2 and bigscience/bloom-560m write their config.json."""


@pytest.mark.parametrize("model_type", OLD_NAMES)
def test_numbers_are_found_under_the_names_of_other_families(desk, model_type):
    folder = desk.write_model()
    config = {"model_type": model_type, "vocab_size": 11, **OLD_NAMES[model_type]}
    (folder / "config.json").write_text(json.dumps(config))
    found = read_base_model(LocalModel(folder), None)
    sizes = found.sizes
    assert (sizes.layers, sizes.hidden_size, sizes.intermediate_size, sizes.heads) == (2, 8, 32, 2)
    assert (sizes.kv_heads, sizes.head_dim, sizes.tied_embeddings, found.context_tokens) == (2, 4, True, 64)
    assert sizes.position_rows == (64 if model_type == "gpt2" else 0)


def test_an_adapter_is_refused_for_what_it_is(desk):
    folder = desk.write_model()
    (folder / "config.json").rename(folder / "adapter_config.json")
    assert codes_of(folder) == ["CPT542"]


def test_no_folder(desk):
    assert codes_of(desk.folder / "missing") == ["CPT520"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("model.gguf", "CPT523"),
        ("model.tar.gz", "CPT524"),
        ("model.zip", "CPT524"),
        ("model.safetensors.age", "CPT541"),
        ("pytorch_model.bin", "CPT522"),
        ("model.safetensors", "CPT520"),
    ],
)
def test_a_single_file_is_refused_for_what_it_is(desk, name, code):
    (desk.folder / name).write_bytes(b"x")
    assert codes_of(desk.folder / name) == [code]


@pytest.mark.parametrize(
    ("left", "code"),
    [
        ("pytorch_model.bin", "CPT522"),
        ("model.pth", "CPT522"),
        ("model.Q4_K_M.gguf", "CPT523"),
        ("weights.tar.gz", "CPT524"),
        ("model.safetensors.enc", "CPT541"),
        ("notes.txt", "CPT528"),
    ],
)
def test_weights_in_another_form_are_refused_for_what_they_are(desk, left, code):
    folder = desk.write_model()
    (folder / "model.safetensors").rename(folder / left)
    assert codes_of(folder) == [code]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"quantization_config": {"bits": 4}}, "CPT525"),
        ({"auto_map": {"AutoModelForCausalLM": "modeling.Model"}}, "CPT526"),
        ({"model_type": "bert"}, "CPT531"),
        ({"model_type": None}, "CPT531"),
        ({"hidden_size": None}, "CPT521"),
        ({"vocab_size": "many"}, "CPT521"),
        ({"logits_scaling": 8.0}, "CPT537"),
        ({"use_bidirectional_attention": True}, "CPT537"),
        ({"attn_logit_softcapping": 50.0}, "CPT537"),
    ],
)
def test_a_config_that_cannot_be_trained_is_refused(desk, changes, code):
    folder = desk.write_model()
    change_config(folder, **changes)
    assert codes_of(folder) == [code]


@pytest.mark.parametrize(("name", "code"), [("config.json", "CPT521"), ("tokenizer.json", "CPT527")])
def test_a_missing_file_is_refused(desk, name, code):
    folder = desk.write_model()
    (folder / name).unlink()
    assert codes_of(folder) == [code]


@pytest.mark.parametrize("content", [b"", b"not json", b"[1, 2]", b"\xff\xfe", b"[" * 100_000])
def test_a_config_that_is_no_object_is_refused(desk, content):
    folder = desk.write_model()
    (folder / "config.json").write_bytes(content)
    assert codes_of(folder) == ["CPT521"]


@pytest.mark.parametrize(
    ("head", "code", "words"),
    [
        (b"age-encryption.org/v1\n", "CPT541", "is a file encrypted with age, not safetensors"),
        (b"Salted__", "CPT541", "is a file encrypted with openssl, not safetensors"),
        (b"-----BEGIN PGP MESSAGE-----", "CPT541", "is a file encrypted with gpg, not safetensors"),
        (b"\x8c\x0d\x04\x09\x03\x0a", "CPT541", "is a file encrypted with gpg, not safetensors"),
        (b"\x80\x02}q\x00.", "CPT522", "is a pickle, not safetensors"),
        (b"PK\x03\x04", "CPT522", "is a pickle, as `torch.save` writes it, not safetensors"),
        (b"GGUF\x03\x00\x00\x00", "CPT523", "is GGUF, not safetensors"),
        (b"\x1f\x8b\x08\x00", "CPT524", "is an archive, not safetensors"),
        (b"version https://git-lfs.github.com/spec/v1", "CPT529", "which only says where Git LFS keeps it"),
    ],
)
def test_a_file_that_is_only_called_safetensors_is_refused_for_what_it_is(desk, head, code, words):
    path = desk.write_model() / "model.safetensors"
    path.write_bytes(head + bytes(range(1, 200)))
    with pytest.raises(PlanError, match=code) as raised:
        read_base_model(LocalModel(path.parent), None)
    assert words in raised.value.diagnostics[0].message


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda _: b"version https://git-lfs.github.com/spec/v1",
        lambda _: b"",
        lambda data: data[:8] + b"{" * (len(data) - 8),
        lambda data: (2**63).to_bytes(8, "little") + data[8:],
    ],
)
def test_a_damaged_weight_file_is_refused(desk, damage):
    path = desk.write_model() / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    assert codes_of(path.parent) == ["CPT529"]


@pytest.mark.parametrize("dtype", ["F8_E4M3", "U8"])
def test_weights_in_a_type_made_for_inference_are_refused(desk, safetensors_writer, dtype):
    folder = desk.write_model()
    safetensors_writer(folder / "model.safetensors", {"q_proj.weight": (dtype, [8])})
    assert codes_of(folder) == ["CPT530"]


def test_everything_wrong_is_said_at_once(desk):
    folder = desk.write_model()
    (folder / "tokenizer.json").unlink()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    change_config(folder, quantization_config={"bits": 4}, auto_map={"AutoConfig": "x.Y"})
    assert codes_of(folder) == ["CPT525", "CPT526", "CPT527", "CPT522"]
