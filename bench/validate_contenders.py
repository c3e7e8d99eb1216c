"""Ways to validate JSON lines of `{"text": ...}`: each takes a file and returns how many documents it found good.

Run as `python bench/validate_contenders.py NAME FILE SMALL_FILE`, it reads the small file first, so that imports and
first uses are not counted, and prints what the large one took as JSON. Only `cloudcpt` names files, finds repeated
documents and measures lengths on the way; the others only tell good from bad, each with the mistakes of its parser.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BUFFER_BYTES = 256 << 10


def cloudcpt_one(path: Path) -> int:
    """Do the whole pass in this process."""
    return _cloudcpt(path, 1)


def cloudcpt_two(path: Path) -> int:
    """Do the whole pass with two workers, their start included."""
    return _cloudcpt(path, 2)


def _cloudcpt(path: Path, workers: int) -> int:
    from cloudcpt.dataset.check import check_dataset

    return check_dataset(path.name, path.parent, workers=workers).documents


def nova_style(path: Path) -> int:
    """Check as Amazon's SDK for Nova does: text mode, `strip`, `json.loads`, a pydantic model that wants some text."""
    from pydantic import BaseModel, field_validator

    class Sample(BaseModel):
        text: str

        @field_validator("text")
        @classmethod
        def _not_blank(cls, text: str) -> str:
            if not text.strip():
                raise ValueError("empty")
            return text

    documents = 0
    with path.open(encoding="utf-8-sig") as file:
        for line in file:
            if stripped := line.strip():
                Sample(**json.loads(stripped))
                documents += 1
    return documents


def pysimdjson_bare(path: Path) -> int:
    """Parse every line and look at nothing but the number of fields."""
    import simdjson

    parse = simdjson.Parser().parse
    documents = 0
    with path.open("rb", buffering=BUFFER_BYTES) as file:
        for line in file:
            document = parse(line)
            documents += len(document) == 1
            document = None  # the parser is not used again before
    return documents


def orjson(path: Path) -> int:
    """Parse every line and look at the value."""
    import orjson

    loads = orjson.loads
    return _count(path, lambda line: loads(line)["text"])


def msgspec(path: Path) -> int:
    """Decode every line into a struct that allows no other field."""
    import msgspec

    struct = msgspec.defstruct("Document", [("text", str)], forbid_unknown_fields=True)
    decode = msgspec.json.Decoder(struct).decode
    return _count(path, lambda line: decode(line).text)


def _count(path: Path, text_of: Callable[[bytes], str]) -> int:
    documents = 0
    with path.open("rb", buffering=BUFFER_BYTES) as file:
        for line in file:
            documents += bool(text_of(line))
    return documents


def polars(path: Path) -> int:
    """Stream the file through a query that counts texts, on one thread."""
    import polars as pl

    scan = pl.scan_ndjson(path, schema={"text": pl.String})
    query = scan.select((pl.col("text").str.len_bytes() > 0).sum())
    return int(query.collect(engine="streaming").item())


def duckdb(path: Path) -> int:
    """Count texts by a query, on one thread."""
    import duckdb

    with duckdb.connect(config={"threads": 1}) as connection:
        options = "format='newline_delimited', columns={text: 'VARCHAR'}, maximum_object_size=16777216"
        source = f"read_json('{path}', {options})"
        found = connection.execute(f"select count(*) from {source} where length(text) > 0").fetchone()
    return int(found[0])


def datasets(path: Path) -> int:
    """Stream the file as the loader of a training script would, and look at every text."""
    import datasets as hf

    stream = hf.load_dataset("json", data_files=str(path), split="train", streaming=True)
    return sum(bool(text) for batch in stream.iter(batch_size=1000) for text in batch["text"])


CONTENDERS: dict[str, Callable[[Path], int]] = {
    "cloudcpt, one core": cloudcpt_one,
    "cloudcpt, two workers": cloudcpt_two,
    "pysimdjson, bare": pysimdjson_bare,
    "Nova-style": nova_style,
    "orjson": orjson,
    "msgspec": msgspec,
    "polars, streaming": polars,
    "duckdb": duckdb,
    "datasets, streaming": datasets,
}


def cpu_s() -> float:
    """Give the user and system seconds of this process and of those it has started and ended."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def main() -> None:
    """Measure one contender."""
    name, path, small = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    os.environ |= {"POLARS_MAX_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    run = CONTENDERS[name]
    run(small)
    started_s, started_cpu_s = time.monotonic(), cpu_s()
    documents = run(path)
    result: dict[str, Any] = {"documents": documents, "cpu_s": cpu_s() - started_cpu_s}
    result["wall_s"] = time.monotonic() - started_s
    sizes = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    result["rss_mb"] = max(sizes) * 1024 / 1e6  # of the largest process
    print(json.dumps(result))


if __name__ == "__main__":
    main()
