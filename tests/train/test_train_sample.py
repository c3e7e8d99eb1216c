"""Continuations: greedy, cut at the end of the text, and with as many forwards on every rank."""

from types import SimpleNamespace

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from cloudcpt.train.sample import continue_prompt

pytestmark = pytest.mark.train

WORDS = ["<end>", "one", "two", "three", "four"]


class Counting(torch.nn.Module):
    """Predicts the word after the last one; after the last word, the end."""

    def __init__(self):
        super().__init__()
        self.model = SimpleNamespace(config=SimpleNamespace(eos_token_id=[0]))
        self.lengths = []

    def forward(self, tokens, positions, cu_seqlens, labels):
        assert labels is None
        assert not self.training
        assert positions.tolist() == [list(range(tokens.shape[1]))]
        assert cu_seqlens.tolist() == [0, tokens.shape[1]]
        self.lengths.append(tokens.shape[1])
        return torch.nn.functional.one_hot((tokens[:, -1] + 1) % 5, 5).float()


@pytest.fixture
def tokenizer(tmp_path):
    def write(closes_texts=False):
        codec = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<end>"))
        codec.pre_tokenizer = pre_tokenizers.Whitespace()
        codec.add_special_tokens(["<end>"])
        if closes_texts:
            codec.post_processor = processors.TemplateProcessing(single="$0 <end>", special_tokens=[("<end>", 0)])
        codec.save(str(tmp_path / "tokenizer.json"))
        return tmp_path / "tokenizer.json"

    return write


WORLD = SimpleNamespace(device=torch.device("cpu"))


def go_on():
    """Nobody wishes to stop."""


@pytest.mark.parametrize("closes_texts", [False, True])
def test_it_continues_by_the_most_likely_token(closes_texts, tokenizer):
    model, path = Counting(), tokenizer(closes_texts)
    assert continue_prompt(model, "one two", path, length=2, world=WORLD, pause=go_on) == "three four"
    assert model.lengths == [2, 3]
    assert model.training


def test_it_cuts_at_the_end_of_the_text_but_goes_through_the_model_as_often(tokenizer):
    model = Counting()
    assert continue_prompt(model, "two", tokenizer(), length=7, world=WORLD, pause=go_on) == "three four"
    assert len(model.lengths) == 7


def test_a_tokenizer_that_was_saved_with_padding_and_a_limit_does_neither(tokenizer):
    path = tokenizer()
    codec = Tokenizer.from_file(str(path))
    codec.enable_padding(length=8, pad_id=4, pad_token="four")
    codec.enable_truncation(max_length=1)
    codec.save(str(path))
    assert continue_prompt(Counting(), "one two", path, length=2, world=WORLD, pause=go_on) == "three four"


def test_a_wish_to_stop_is_heard_between_two_tokens(tokenizer):
    model = Counting()

    def stop_after_two():
        if len(model.lengths) == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        continue_prompt(model, "one", tokenizer(), length=1000, world=WORLD, pause=stop_after_two)


def test_an_empty_prompt_starts_from_the_end_of_text(tokenizer):
    assert continue_prompt(Counting(), "", tokenizer(), length=3, world=WORLD, pause=go_on) == "one two three"
