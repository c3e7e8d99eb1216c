"""Make the untrained model that the demo pretrains first: a BPE tokenizer from the general text, and random weights.

The weights are a small Llama, drawn once with a fixed seed, so that the plan that starts from them is the same plan
every time. `base-untrained.json` beside the folder remembers what they were made from; a second call does nothing.

    python recipes/demo/base_model.py build/demo/general-train.jsonl build/demo/base-untrained
"""

import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

END_OF_TEXT = "<|end|>"
VOCABULARY = 2048
SEED = 20


def made_from(corpus: Path) -> dict[str, str]:
    """Name everything that tokenizer and weights depend on."""
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (corpus, Path(__file__))}
    return hashes | {name: version(name) for name in ("tokenizers", "transformers", "torch")}


def write_tokenizer(corpus: Path, folder: Path) -> None:
    """Learn byte-level BPE, so that no character of the domain is unknown although the general text lacks some."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    with corpus.open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END_OF_TEXT).save_pretrained(folder)


def write_model(folder: Path) -> int:
    """Draw the weights and return how many there are."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        dtype="float32",
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    return sum(weight.numel() for weight in model.parameters())


def main(corpus: Path, folder: Path) -> None:
    """Write tokenizer and weights, unless they are already there, made from the same."""
    record = folder.with_suffix(".json")
    wanted = made_from(corpus)
    if folder.is_dir() and record.is_file() and json.loads(record.read_text("utf-8")) == wanted:
        print(f"{folder} is made from this text and these packages; nothing to do")
        return
    record.unlink(missing_ok=True)
    write_tokenizer(corpus, folder)
    parameters = write_model(folder)
    record.write_text(json.dumps(wanted, indent=2) + "\n", "utf-8")
    print(f"{folder}: a tokenizer of {VOCABULARY:,} tokens and {parameters:,} random weights")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
