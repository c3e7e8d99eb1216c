"""Let two models go on from the same words, loaded as anyone would load them: transformers, and nothing of cloudcpt.

python recipes/demo/continue_text.py build/demo/base build/demo/model 'The "try" statement'
"""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

NEW_TOKENS = 48
SEED = 7


def continuation(folder: Path, prompt: str) -> str:
    """Sample how the model in a folder goes on; the same seed gives both models the same luck."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    torch.manual_seed(SEED)
    inputs = tokenizer(prompt, return_tensors="pt")
    settings = {"do_sample": True, "temperature": 0.6, "top_k": 40, "pad_token_id": tokenizer.eos_token_id}
    ids = model.generate(**inputs, max_new_tokens=NEW_TOKENS, **settings)[0]
    text: str = tokenizer.decode(ids, skip_special_tokens=True)
    return text


if __name__ == "__main__":
    disable_progress_bar()
    before, after, said = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    print(f"before: {continuation(before, said)}\n\nafter:  {continuation(after, said)}")
