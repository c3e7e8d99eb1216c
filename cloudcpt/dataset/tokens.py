"""Documents to token ids, the same on the client, for exact counts, and in the trainer, for training.

A document becomes `[BOS] ids... EOS`. EOS is the boundary token, once per document; BOS is there only if the
tokenizer's own post-processor writes it, which is how the base model was trained. Only `tokenizer.json` does the work;
the files beside it are read to learn which token is EOS, in the order in which transformers looks:

1. `eos_token` of special_tokens_map.json, unless tokenizer_config.json has `added_tokens_decoder` and so replaces it;
2. `eos_token` of tokenizer_config.json;
3. `eos_token_id` of config.json, then of generation_config.json; of a list, the first.

A corpus may quote `</s>` or `<|endoftext|>`: inside a document such text is encoded as text, never as the control
token. (A Unigram vocabulary may hold it as an ordinary piece as well; no setting of the library tells the two apart.)

Source: transformers 5.23, `PreTrainedTokenizerBase._from_pretrained`; tokenizers 0.23, `encode_special_tokens`.
"""

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloudcpt.errors import DatasetError, Diagnostic, Place, SetupError, error

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from cloudcpt.dataset.words import WordIds

TOKENIZER_FILE: Final = "tokenizer.json"
BATCH_CHARACTERS: Final = 1 << 20
"""Text handed to the tokenizer at once; it uses all cores within a batch."""

_FEW_CHARACTERS: Final = 1 << 18
"""Less than that is encoded sooner than `cloudcpt.dataset.words` is prepared."""


class DocumentTokenizer:
    """Encodes whole documents.

    Args:
        tokenizer: Changed to neither cut, pad, nor read control tokens out of text.
        boundary_id: EOS, appended to each document.

    Attributes:
        vocab_size: The highest token id plus one; the embedding must have at least so many rows.
    """

    def __init__(self, tokenizer: "Tokenizer", boundary_id: int) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self.boundary_id = boundary_id
        self.vocab_size = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        self._prefix = _ids_before_text(tokenizer)
        self._seen_characters = 0

    @property
    def extra_tokens(self) -> int:
        """Count what is put around each document: the boundary, and what the tokenizer writes in front."""
        return len(self._prefix) + 1

    def __reduce__(self) -> "tuple[type[DocumentTokenizer], tuple[Tokenizer, int]]":
        return DocumentTokenizer, (self._tokenizer, self.boundary_id)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode documents: what the tokenizer puts in front, the text, the boundary."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [[*self._prefix, *encoding.ids, self.boundary_id] for encoding in encodings]

    def encode_flat(self, texts: Sequence[str]) -> list[bytes]:
        """Encode documents as `encode` does, each to uint32 numbers of this machine: in a fraction of time and memory.

        Texts whose words can be remembered are put together from memory, and the library encodes the rest.
        """
        self._seen_characters += sum(map(len, texts))
        words = self._words if self._seen_characters >= _FEW_CHARACTERS else None
        known = [words.encode(text) for text in texts] if words is not None else [None] * len(texts)
        rest = _batches(text for text, ids in zip(texts, known, strict=True) if ids is None)
        encoded = (array("I", ids).tobytes() for batch in rest for ids in self.encode(batch))
        before, after = array("I", self._prefix).tobytes(), array("I", [self.boundary_id]).tobytes()
        return [next(encoded) if ids is None else b"".join((before, ids, after)) for ids in known]

    @cached_property
    def _words(self) -> "WordIds | None":
        from cloudcpt.dataset.words import word_ids

        return word_ids(self._tokenizer)


def load_tokenizer(folder: Path) -> DocumentTokenizer:
    """Load the tokenizer of a model folder.

    Raises:
        DatasetError: there is no `tokenizer.json`, it cannot be read, or the folder does not say what ends a document.
        SetupError: the `tokenizers` library is not installed.
    """
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        raise DatasetError(_no_tokenizer(folder))
    try:
        from tokenizers import Tokenizer
    except ImportError as exc:
        hint = "install it with `pip install 'cloudcpt[train]'`"
        raise SetupError(error("CPT364", "the `tokenizers` library is not installed", hint=hint)) from exc
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as exc:  # the library raises the bare class for whatever is wrong with the file
        hint = "save it again with transformers, or with a version that `tokenizers` here can read"
        message = f"`{path}` cannot be read as a tokenizer: {exc}"
        raise DatasetError(error("CPT361", message, place=Place(path=str(path)), hint=hint)) from exc
    return DocumentTokenizer(tokenizer, _boundary_id(folder, tokenizer))


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text)
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _ids_before_text(tokenizer: "Tokenizer") -> list[int]:
    """Return what the tokenizer's own post-processor writes in front of a text."""
    bare = tokenizer.encode("a", add_special_tokens=False).ids
    full = tokenizer.encode("a", add_special_tokens=True).ids
    starts = range(len(full) - len(bare) + 1)
    return next((full[:start] for start in starts if full[start : start + len(bare)] == bare), [])


def _boundary_id(folder: Path, tokenizer: "Tokenizer") -> int:
    """Find the token that ends a document.

    Raises:
        DatasetError: no file names it, or the tokenizer does not know the one that is named.
    """
    config = _read_object(folder / "tokenizer_config.json")
    replaced = {} if "added_tokens_decoder" in config else _read_object(folder / "special_tokens_map.json")
    name = _content_of(replaced.get("eos_token")) or _content_of(config.get("eos_token"))
    if name is not None:
        if (found := tokenizer.token_to_id(name)) is None:
            raise DatasetError(_unknown_boundary(folder, f"`eos_token` is `{name}`"))
        return found
    for file in ("config.json", "generation_config.json"):
        listed = _read_object(folder / file).get("eos_token_id")
        first = listed[0] if isinstance(listed, list) and listed else listed
        if isinstance(first, int) and not isinstance(first, bool):
            if first < 0 or tokenizer.id_to_token(first) is None:
                raise DatasetError(_unknown_boundary(folder, f"`eos_token_id` of `{file}` is `{first}`"))
            return first
    hint = 'name it in `tokenizer_config.json`, such as `"eos_token": "</s>"`'
    message = f"nothing in `{folder}` says which token ends a document"
    raise DatasetError(error("CPT362", message, place=Place(path=str(folder)), hint=hint))


def _content_of(token: object) -> str | None:
    """Return a token's text; the files write it as a string or as an object with `content`."""
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) and content else None


def _read_object(path: Path) -> dict[str, Any]:  # Any: foreign JSON, each value is checked where it is used
    """Read a JSON file that may be missing; a folder need not have them all."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as exc:
        message = f"`{path}` cannot be read: {exc}"
        raise DatasetError(error("CPT361", message, place=Place(path=str(path)))) from exc
    return value if isinstance(value, dict) else {}


def _no_tokenizer(folder: Path) -> Diagnostic:
    if not folder.is_dir():
        return error("CPT360", f"the model folder `{folder}` does not exist")
    hint = "copy it next to the weights; it comes with the base model"
    if (folder / "tokenizer.model").is_file() or (folder / "vocab.json").is_file():
        hint = "make it from the slow tokenizer: `AutoTokenizer.from_pretrained(folder).save_pretrained(folder)`"
    return error("CPT360", f"there is no `{TOKENIZER_FILE}` in `{folder}`", place=Place(path=str(folder)), hint=hint)


def _unknown_boundary(folder: Path, claim: str) -> Diagnostic:
    hint = f"the files of one model belong together: take `{TOKENIZER_FILE}` and its configuration from the same place"
    message = f"{claim}, which `{folder / TOKENIZER_FILE}` does not have"
    return error("CPT363", message, place=Place(path=str(folder)), hint=hint)
