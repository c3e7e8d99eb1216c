"""Evaluation sets as one sorted table of the runs of words in them, to be looked up by the words of a document.

    JSON lines --chosen fields--> texts --normal_form--> words --runs of thirteen--> hash -> texts that hold it

A text of fewer words is one run as long as it is, down to eight words; shorter ones say too little and are left alone.
Thirteen and eight are those of GPT-3 (Brown et al. 2020, arXiv:2005.14165, appendix C), which compares lower-cased
words without punctuation, as here. Characters of Chinese, Japanese or Thai count as words.

Memory: 12 bytes for each different run of each text, and 1 MiB, in every process that looks something up.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from io import BufferedReader
from typing import TYPE_CHECKING, Any, Final

from cloudcpt.corpus.extras import require
from cloudcpt.corpus.minhash import runs_of
from cloudcpt.corpus.normal_form import word_hashes
from cloudcpt.dataset.findings import Findings
from cloudcpt.dataset.places import DataPlace, InputFile
from cloudcpt.dataset.records import BUFFER_BYTES
from cloudcpt.errors import DatasetError, Diagnostic, Place, error

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RUN_WORDS: Final = 13

SHORTEST_WORDS: Final = 8
"""Of an evaluation text that is compared at all, unless runs are chosen to be shorter."""

_SHOWN_FINDINGS: Final = 5
_FILTER_BITS: Final = 20


@dataclass(frozen=True, kw_only=True)
class EvaluationSets:
    """All evaluation texts that can be compared.

    Args:
        files: As the user named them.
        file: [E] int32, of each text the index of its file.
        line: [E] int32, from 1.
        size: [E] int32, different runs in each text.
        lengths: Of runs, in words, rising.
        runs: [R] uint64, rising; a run that several texts hold is there for each.
        holder: [R] int32, the text that holds the run.
        may_hold: [2^20] bool, whether a run that begins with these bits is in the table; most are not, and need no
            search.
        short: Texts with too few words to be compared.
    """

    files: tuple[str, ...]
    file: "NDArray[np.int32]"
    line: "NDArray[np.int32]"
    size: "NDArray[np.int32]"
    lengths: tuple[int, ...]
    runs: "NDArray[np.uint64]"
    holder: "NDArray[np.int32]"
    may_hold: "NDArray[np.bool_]"
    short: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """What a document has in common with the evaluation text that it has most of.

    Args:
        text: Index of the evaluation text.
        share: Of its different runs, those in the document.
        start: First word of the document that is in both.
        end: The word after the last one of that stretch.
    """

    text: int
    share: float
    start: int
    end: int


def read_evaluation_sets(
    place: DataPlace, files: Sequence[InputFile], columns: Sequence[str], run_words: int = RUN_WORDS
) -> EvaluationSets:
    """Read evaluation sets into a table.

    Args:
        place: Where they are.
        files: JSON lines, in order.
        columns: Fields whose strings, or lists of strings, make up the text of a line, one after the other.
        run_words: Words of a run.

    Raises:
        DatasetError: a file cannot be read, a line is no JSON object or lacks a field, or no text is long enough.
        SetupError: numpy is not installed.
    """
    require("numpy")
    import numpy as np

    findings = Findings(_SHOWN_FINDINGS)
    places, sizes, lengths = [], [], set()
    runs, short = [np.empty(0, np.uint64)], 0
    for number, file in enumerate(files):
        for line, text in _texts(place, file, columns, findings):
            words = word_hashes(text)
            if len(words) < min(SHORTEST_WORDS, run_words):
                short += 1
                continue
            runs.append(np.unique(runs_of(words, run_words)))
            lengths.add(min(run_words, len(words)))
            places.append((number, line))
            sizes.append(len(runs[-1]))
    if findings.error_count:
        raise DatasetError(*findings.diagnostics())
    if not places:
        raise DatasetError(_nothing_to_compare(files, short, min(SHORTEST_WORDS, run_words)))
    whole, holder = np.concatenate(runs), np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    order = np.argsort(whole, kind="stable")
    may_hold = np.zeros(1 << _FILTER_BITS, np.bool_)
    may_hold[whole >> np.uint64(64 - _FILTER_BITS)] = True
    file_of, line_of = np.array(places, np.int32).T
    return EvaluationSets(
        files=tuple(file.shown for file in files),
        file=file_of,
        line=line_of,
        size=np.array(sizes, np.int32),
        lengths=tuple(sorted(lengths)),
        runs=whole[order],
        holder=holder[order],
        may_hold=may_hold,
        short=short,
    )


def overlap(words: "NDArray[np.uint64]", sets: EvaluationSets) -> Overlap | None:
    """Find the evaluation text of which most is in a document; of several, the first. None when nothing is.

    Args:
        words: [W] uint64, hashes of the words of the document.
        sets: What to compare with.
    """
    import numpy as np

    hits = [_hits(words, length, sets) for length in sets.lengths if length <= len(words)]
    starts, ends, runs = (np.concatenate(columns) for columns in zip(*hits, strict=True)) if hits else ((), (), ())
    if not len(runs):
        return None
    different, which = np.unique(runs, return_inverse=True)
    low, high = sets.runs.searchsorted(different, "left"), sets.runs.searchsorted(different, "right")
    held = np.repeat(np.arange(len(different)), high - low)
    holders = sets.holder[np.concatenate([np.arange(*bounds) for bounds in zip(low, high, strict=True)])]
    texts, counts = np.unique(holders, return_counts=True)
    shares = counts / sets.size[texts]
    best = int(shares.argmax())
    is_of_best = np.isin(which, held[holders == texts[best]])
    start, end = _first_stretch(starts[is_of_best], ends[is_of_best])
    return Overlap(text=int(texts[best]), share=float(shares[best]), start=start, end=end)


def _hits(
    words: "NDArray[np.uint64]", length: int, sets: EvaluationSets
) -> "tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]":
    """Find the runs of one length that are in some evaluation text: where they start and end, and their hashes."""
    import numpy as np

    runs = runs_of(words, length)
    starts = np.flatnonzero(sets.may_hold[runs >> np.uint64(64 - _FILTER_BITS)])
    at = np.searchsorted(sets.runs, runs[starts])
    at[at == len(sets.runs)] = 0
    starts = starts[sets.runs[at] == runs[starts]]
    return starts, starts + length, runs[starts]


def _first_stretch(starts: "NDArray[np.int64]", ends: "NDArray[np.int64]") -> tuple[int, int]:
    """Join runs that touch or overlap, from the first one on."""
    runs = sorted(zip(starts.tolist(), ends.tolist(), strict=True))
    start, end = runs[0]
    for next_start, next_end in runs:
        if next_start > end:
            break
        end = max(end, next_end)
    return start, end


def _texts(place: DataPlace, file: InputFile, columns: Sequence[str], findings: Findings) -> Iterator[tuple[int, str]]:
    with closing(place.open(file)) as stream:
        source = BufferedReader(stream, BUFFER_BYTES)
        for line, content in enumerate(source, start=1):
            if not content.strip():
                continue
            try:
                yield line, _text(content, columns)
            except ValueError as exc:
                hint = "name the fields that hold the text with `--column`"
                findings.add(error("CPT751", str(exc), place=Place(path=file.shown, line=line), hint=hint))


def _is_unicode(row: Mapping[str, Any], columns: Sequence[str]) -> bool:
    try:
        json.dumps([row.get(column) for column in columns], ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(content: bytes, columns: Sequence[str]) -> str:
    """Put together the text of a line.

    Raises:
        ValueError: it cannot be; says why.
    """
    try:
        row = json.loads(content)
    except ValueError as exc:
        raise ValueError(f"the line of an evaluation set is no JSON: {exc}") from exc
    if not isinstance(row, Mapping):
        raise ValueError("the line of an evaluation set is no JSON object")
    if b"\\u" in content and not _is_unicode(row, columns):
        raise ValueError("the line of an evaluation set holds half of a surrogate pair, which is no character")
    if missing := [column for column in columns if column not in row]:
        has = ", ".join(f"`{name}`" for name in row) or "nothing"
        raise ValueError(f"the line has no field `{missing[0]}`; it has {has}")
    return "\n".join(part for column in columns for part in _strings(row[column], column))


def _strings(value: Any, column: str) -> list[str]:  # Any: what JSON can hold
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return value
    raise ValueError(f"the field `{column}` is neither a string nor a list of strings")


def _nothing_to_compare(files: Sequence[InputFile], short: int, words: int) -> Diagnostic:
    place = Place(path=files[0].shown)
    if not short:
        return error("CPT752", "there is no text in the evaluation sets", place=place)
    message = f"not one of {short:,} evaluation texts has {words} words"
    return error(
        "CPT752", message, place=place, hint="choose shorter runs with `--words`, or more fields with `--column`"
    )
