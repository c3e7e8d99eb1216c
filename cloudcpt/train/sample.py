"""What the model writes: greedy continuations of the recipe's prompts, the same on every run and every world.

The whole prefix goes through the model for every token, without a cache: it is a few dozen tokens, twice per job, and
the sharded model has no other forward. Every rank does the same forwards, because weights are gathered by all ranks
together; for the same reason a continuation is cut at the end-of-text token only afterwards.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer

from cloudcpt.train.loss import CausalLoss
from cloudcpt.train.world import World


def continue_prompt(
    model: CausalLoss, prompt: str, tokenizer: Path, *, length: int, world: World, pause: Callable[[], None]
) -> str:
    """Continue a text by the most likely tokens.

    Args:
        model: The sharded model; comes back in training mode.
        prompt: Any text; one that is empty to the tokenizer is continued from the end-of-text token.
        tokenizer: tokenizer.json of the base model.
        length: Tokens to add.
        world: All ranks, each calling this with the same arguments.
        pause: Called before each token, which takes a second on a large model; raises when the job is to stop.

    Returns:
        The continuation alone, up to the end of the text.
    """
    codec = Tokenizer.from_file(str(tokenizer))
    codec.no_padding()  # some were saved with it switched on, or with a limit of length
    codec.no_truncation()
    ends = _end_ids(model)
    ids = codec.encode(prompt).ids
    while ids and ids[-1] in ends:  # some tokenizers close every text
        ids.pop()
    ids = ids or ends[:1]
    start = len(ids)
    model.eval()
    with torch.compiler.set_stance("force_eager"):  # every token makes another length, and none is worth compiling for
        for _ in range(length):
            pause()
            ids.append(_next_token(model, ids, world.device))
    model.train()
    written = ids[start:]
    stop = next((place for place, token in enumerate(written) if token in ends), length)
    return codec.decode(written[:stop])


@torch.no_grad()
def _next_token(model: CausalLoss, ids: list[int], device: torch.device) -> int:
    tokens = torch.tensor([ids], device=device)  # [1, T]
    positions = torch.arange(len(ids), device=device)[None]
    bounds = torch.tensor([0, len(ids)], dtype=torch.int32, device=device)
    logits = model(tokens, positions, bounds, labels=None)  # [1, V]
    return int(logits.argmax())


def _end_ids(model: CausalLoss) -> list[int]:
    ends = model.model.config.eos_token_id
    return [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
