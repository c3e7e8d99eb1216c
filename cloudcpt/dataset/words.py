r"""Token ids of texts, word by word from memory: the same ids as the library's, at several times its speed.

    text --split--> " The", " first", " document", "." --memory--> ids        a new word: from the library, once

Byte-level vocabularies (GPT-2, Llama 3, Qwen, GPT-4o and their kin) first split a text by a regular expression and then
encode each word by itself. Words repeat, so most need no encoding; what costs is the split, and Python's `re` does it
ten times as fast as the library, which keeps track of offsets.

Exactness rests on four things. What is not covered by them is left to the library, text by text.

- Only the expressions of `_KNOWN` are taken over, whose operators mean the same to `re` and to Oniguruma.
- Which characters are letters, numbers and space is asked of the library when it is loaded: the Unicode tables of two
  programs differ in thousands of characters. Asked is the Basic Multilingual Plane; beyond it, emoji are none of them.
- Of a normalizer, only NFC is taken over, for texts that are normal already, in characters that Python knows.
- A word that stands alone is split no further: nothing in the expressions looks beyond its end but `(?!\S)` behind
  space, and space is one word at the end of a text too. A text with an added token in it is left alone.
"""

import json
import re
import unicodedata
from array import array
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MEMORY_BYTES: Final = 24 << 20
"""Of words and ids, in each of two generations: when the younger one is full it takes the place of the elder, of which
stays what was met again."""

_WORD_BYTES: Final = 160
"""Of a word in memory, its ids and its place in the table, beside the characters and ids themselves."""

_CONTRACTIONS: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_EXPANDED: Final = r"(?:'(?:[sS\u017ftTmMdD]|[rR][eE]|[vV][eE]|[lL][lL]))"
"""The same without a flag: under it, the long s is an s to Oniguruma, and nothing else is anything."""

_GPT2: Final = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3: Final = (
    _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2: Final = _LLAMA3.replace("{1,3}", "")
_GPT4O: Final = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TEKKEN: Final = _GPT4O.replace(_CONTRACTIONS + "?", "").replace("{1,3}", "")
_KNOWN: Final = frozenset((_GPT2, _LLAMA3, _QWEN2, _GPT4O, _TEKKEN))
"""How GPT-2, Llama 3, Qwen 2 to 3, GPT-4o and Mistral's Tekken split a text. Source: their tokenizer.json, 2026-11."""

_PLANE: Final = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x10000))))
_EMOJI: Final = "".join(map(chr, range(0x1F300, 0x1FB00)))


class WordIds(dict[str, bytes]):
    """The words that were seen, with their ids as uint32; asked for a new one, it asks the library.

    Args:
        tokenizer: As `DocumentTokenizer` sets it up: it neither cuts nor pads, and reads no control tokens.
        split: Finds the words of a text.
        foreign: Finds a character that `split` does not know.
        added: Added tokens that the library finds in a text before it splits it.
        is_nfc: Whether a text has to be normal first.
    """

    def __init__(
        self,
        tokenizer: "Tokenizer",
        *,
        split: re.Pattern[str],
        foreign: re.Pattern[str],
        added: Iterable[str],
        is_nfc: bool,
    ) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._split = split
        self._foreign = foreign
        self._added = tuple(added)
        self._is_nfc = is_nfc
        self._elder: dict[str, bytes] = {}
        self._room_bytes = MEMORY_BYTES

    def encode(self, text: str) -> bytes | None:
        """Give the ids of a text as uint32 of this machine; None when the library has to encode it."""
        if self._foreign.search(text) or any(token in text for token in self._added):
            return None
        if self._is_nfc and not unicodedata.is_normalized("NFC", text):
            return None
        if self._room_bytes < 0:
            self._elder, self._room_bytes = self.copy(), MEMORY_BYTES
            self.clear()
        return b"".join(map(self.__getitem__, self._split.findall(text)))

    def __missing__(self, word: str) -> bytes:
        ids = self._elder.get(word)
        if ids is None:
            ids = array("I", self._tokenizer.encode(word, add_special_tokens=False).ids).tobytes()
        self[word] = ids
        self._room_bytes -= _WORD_BYTES + 2 * len(word) + len(ids)
        return ids


def word_ids(tokenizer: "Tokenizer") -> WordIds | None:
    """Prepare the words of a tokenizer; None when it is not of a kind whose words can be encoded one by one.

    Costs a tenth of a second.
    """
    if type(tokenizer.model).__name__ != "BPE" or tokenizer.model.dropout:
        return None
    expression = _expression(tokenizer.pre_tokenizer)
    normalizer = None if tokenizer.normalizer is None else _state(tokenizer.normalizer)
    if expression not in _KNOWN or normalizer not in (None, {"type": "NFC"}):
        return None
    added = [token for token in tokenizer.get_added_tokens_decoder().values() if not token.special]
    if normalizer and not all(token.content.isascii() for token in added):
        return None
    split = _translate(expression)
    if split is None:
        return None
    return WordIds(
        tokenizer,
        split=split,
        foreign=re.compile(f"[{_foreign_characters(known_to_python=normalizer is not None)}]"),
        added=(token.content for token in added),
        is_nfc=normalizer is not None,
    )


def _expression(pre_tokenizer: Any) -> str | None:  # Any: the library declares none of these types
    """Read by which expression a tokenizer splits, when it does nothing else than that and bytes for characters."""
    state = {} if pre_tokenizer is None else _state(pre_tokenizer)
    if state.get("type") == "ByteLevel":
        return _GPT2 if state["use_regex"] and not state["add_prefix_space"] else None
    parts = state.get("pretokenizers", [])
    if [part["type"] for part in parts] != ["Split", "ByteLevel"]:
        return None
    split, byte_level = parts
    is_plain = split["behavior"] == "Isolated" and not split["invert"]
    if not is_plain or byte_level["use_regex"] or byte_level["add_prefix_space"]:
        return None
    expression = split["pattern"].get("Regex")
    return expression if isinstance(expression, str) else None


def _state(part: Any) -> dict[str, Any]:  # Any: the library's JSON
    state: dict[str, Any] = json.loads(part.__getstate__())
    return state


def _translate(expression: str) -> re.Pattern[str] | None:
    """Write an expression for `re`, with every class of characters spelled out as the library has it.

    A `+` that ends an alternative never gives back what it took, so it may as well not try; so may one before
    something that may be missing.
    """
    spelled = {name: _ranges(_members(name)) for name in set(re.findall(r"\\p\{\w+\}|\\s", expression))}
    written = expression.replace(_CONTRACTIONS, _EXPANDED).replace(r"\S", r"[^\s]")
    written = re.sub(r"\+(?=\||$)", "++", written)
    written = re.sub(r"\+(\[[^]]*\])\*\|", r"++\1*+|", written)
    split = re.compile("".join(_spell_out(written, spelled)))
    return split if "".join(split.findall(_PLANE)) == _PLANE and not _members(r"\s\p{L}\p{N}\p{M}", _EMOJI) else None


def _spell_out(expression: str, spelled: dict[str, str]) -> Iterator[str]:
    is_inside = False
    for part in re.findall(r"\\p\{\w+\}|\\.|[\[\]]|[^\\\[\]]+", expression):
        is_inside = part == "[" or (is_inside and part != "]")
        characters = spelled.get(part)
        if characters is None:
            yield part
        else:
            yield characters if is_inside else f"[{characters}]"


def _members(name: str, characters: str = _PLANE) -> str:
    """Ask the library which characters are in a class."""
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Split

    others = Split(Regex(f"[^{name}]+"), behavior="removed")
    return "".join(piece for piece, _ in others.pre_tokenize_str(characters))


def _foreign_characters(*, known_to_python: bool) -> str:
    """Write the class of characters that leave a text to the library: beyond the plane, except for emoji.

    Args:
        known_to_python: Whether Python has to know a character too, for its own normal form.
    """
    beyond = rf"\U00010000-{_escape(ord(_EMOJI[0]) - 1)}{_escape(ord(_EMOJI[-1]) + 1)}-\U0010ffff"
    if not known_to_python:
        return beyond
    return beyond + _ranges(char for char in _PLANE + _EMOJI if unicodedata.category(char) == "Cn")


def _ranges(characters: Iterable[str]) -> str:
    """Write characters, in order, as the inside of a class."""
    runs: list[list[int]] = []
    for code in map(ord, characters):
        if runs and runs[-1][1] == code - 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(f"{_escape(first)}-{_escape(last)}" for first, last in runs)


def _escape(code: int) -> str:
    return f"\\U{code:08x}"
