"""A tiny random model with a byte tokenizer, for rehearsing a job whose real weights are elsewhere.

A Llama of two layers and 257 tokens: the 256 bytes and one end-of-text. It reads any text, needs no download, and is
made from the plan's seed, so two rehearsals of one plan are the same.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

from cloudcpt.train.world import seed_alike

_END_OF_TEXT = "<|endoftext|>"


def build_stand_in(folder: Path, *, seed: int, context_tokens: int) -> None:
    """Write config.json, model.safetensors and tokenizer files into a folder.

    Args:
        folder: Made when missing.
        seed: Of the random weights.
        context_tokens: Positions that the model is declared for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _byte_tokenizer()
    boundary = tokenizer.token_to_id(_END_OF_TEXT)
    seed_alike(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokenizer.get_vocab_size(),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=context_tokens,
            tie_word_embeddings=True,
            bos_token_id=boundary,
            eos_token_id=boundary,
            dtype=torch.float32,
        )
    )
    # Not `model.save_pretrained`, which writes on rank 0 only: every machine makes its own.
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    weights = {name: tensor for name, tensor in model.state_dict().items() if name not in model.all_tied_weights_keys}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": _END_OF_TEXT,
        "model_max_length": context_tokens,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")


def _byte_tokenizer() -> Tokenizer:
    """Make one token of each byte, spelled as GPT-2 spells bytes, and one of the end of a text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={char: index for index, char in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([_END_OF_TEXT])
    return tokenizer
