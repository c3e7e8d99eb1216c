"""Write the demo's four JSONL files from text that every Python installation already carries.

    domain   the Python language reference inside CPython (`pydoc_data.topics`), one document per section
    general  prose from the docstrings of the standard library and of some installed packages, and the packages'
             own descriptions, one document per docstring

Both are split into training and held-out text by whole unit (a topic, a module), never by paragraph, so that a
held-out document has no near twin in the training text. A paragraph of eight words or more occurs once in all four
files together: held-out text claims its paragraphs first, then the domain, then the general text. A general paragraph
that shares eight words in a row with the language reference is dropped, so that the general set measures something
else than the domain.

The result depends on the Python and package versions only. `corpora.json` remembers them; a second call with the
same versions does nothing.

    python recipes/demo/corpora.py build/demo
"""

import ast
import hashlib
import importlib.metadata
import importlib.util
import inspect
import json
import platform
import re
import sys
import textwrap
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from pydoc_data.topics import topics

HELD_OUT_TOPICS = ("assert", "calls", "comparisons", "execmodel", "import", "raise", "strings", "with", "yield")
"""Topics of the held-out domain set: a tenth of the reference, statements and expressions both."""

PACKAGES = ("numpy", "networkx", "sympy", "torch", "huggingface_hub", "click", "pydantic", "jsonschema", "peft")
"""Packages whose docstrings join those of the standard library: long prose about many subjects."""

SKIPPED_FOLDERS = {"test", "tests", "testing", "site-packages", "idlelib", "lib2to3", "pydoc_data", "_vendor"}
SKIPPED_FOLDERS |= {"_inductor", "_dynamo", "__pycache__"}  # torch: much code, few sentences
HELD_OUT_MODULES_PER_MILLE = 25
SHINGLE_WORDS = 8
SHORTEST_PARAGRAPH = 80
SHORTEST_DOCUMENT = 160
LONGEST_TEXT = {"general-train": 5_000_000, "general-held-out": 150_000}
"""Characters to stop at: what the base model can read once in about two minutes on two cores, and enough to measure."""

_HEADING = re.compile(r"^(?P<title>\S.*)\n(?P<rule>[*=~^-])(?P=rule){2,}$", re.MULTILINE)
_TABLE = re.compile(r"^\s*[|+][-=| +]", re.MULTILINE)
_PROSE = re.compile(r"[A-Z`*\"'(].*[.:!?)]['\"`)]*$", re.DOTALL)


class Paragraphs:
    """Paragraphs seen so far, by their words; each that is long enough to be recognised is handed out once."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def new(self, paragraphs: Iterable[str]) -> list[str]:
        """Keep the paragraphs that nobody has asked for before, and remember them."""
        kept = []
        for paragraph in paragraphs:
            words = _words(paragraph)
            key = " ".join(words)
            if len(words) < SHINGLE_WORDS or key not in self._seen:
                self._seen.add(key)
                kept.append(paragraph)
        return kept


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = _words(text)
    return {tuple(words[start : start + SHINGLE_WORDS]) for start in range(len(words) - SHINGLE_WORDS + 1)}


def sections(topic_text: str) -> Iterator[str]:
    """Cut a topic at its underlined headings; each section keeps its heading."""
    starts = [match.start() for match in _HEADING.finditer(topic_text)]
    for start, stop in zip([0, *starts], [*starts, len(topic_text)], strict=True):
        if section := topic_text[start:stop].strip():
            yield section


def domain_documents(names: Iterable[str], paragraphs: Paragraphs) -> Iterator[str]:
    """Write the sections of some topics as documents, without the paragraphs that another topic already gave."""
    for name in names:
        for section in sections(topics[name]):
            title = _HEADING.sub(r"\g<title>\n", section)  # the line below a heading says nothing
            kept = [unwrapped(found) for found in paragraphs.new(split(title)) if not _TABLE.search(found)]
            document = "\n\n".join(kept)
            if len(document) >= SHORTEST_DOCUMENT:
                yield document


def split(text: str) -> list[str]:
    """Cut a text at its blank lines."""
    return [found.strip("\n") for found in re.split(r"\n[ \t]*\n", text) if found.strip()]


def unwrapped(paragraph: str) -> str:
    """Write a paragraph without its indent, and sentences in one line: where lines were broken says nothing."""
    plain = textwrap.dedent(paragraph).strip()
    *full, _ = plain.splitlines()
    is_sentences = all(len(line) >= 50 and not line.startswith(" ") for line in full)
    return " ".join(plain.split()) if is_sentences or plain.startswith("* ") else plain


def is_prose(paragraph: str) -> bool:
    """Tell sentences from code, tables, parameter lists and markup."""
    if len(paragraph) < SHORTEST_PARAGRAPH or not _PROSE.match(paragraph) or ">>>" in paragraph or "|" in paragraph:
        return False
    plain = sum(char.isascii() and (char.isalpha() or char in " ,.'\n") for char in paragraph)
    return plain >= 0.93 * len(paragraph) and "\n  " not in paragraph


def module_files() -> Iterator[tuple[str, Path]]:
    """Name every source file of the standard library and of `PACKAGES`, in a fixed order."""
    roots = [("", Path(inspect.getfile(inspect)).parent)]
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            roots.append((f"{package}/", Path(spec.origin).parent))
    for prefix, root in roots:
        for path in sorted(root.rglob("*.py")):
            name = path.relative_to(root)
            if not SKIPPED_FOLDERS & set(name.parts):
                yield prefix + name.as_posix(), path


def docstrings(path: Path) -> Iterator[str]:
    """Read the docstrings of one source file without importing it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other people's invalid escapes are not our subject
        try:
            tree = ast.parse(path.read_text("utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            return
    yield from _docstrings_of(tree)


def _docstrings_of(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    yield ast.get_docstring(node) or ""
    for child in node.body:  # not `ast.walk`: nearly every node is an expression, and none of those has a docstring
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _docstrings_of(child)


def descriptions() -> Iterator[tuple[str, str]]:
    """Name and read the description that each installed package was published with."""
    found = {dist.metadata["Name"]: dist.metadata for dist in importlib.metadata.distributions()}
    for name in sorted(found, key=str.lower):
        yield f"description of {name}", str(found[name].json.get("description", ""))


def general_texts() -> Iterator[tuple[str, str]]:
    """Pair every docstring and description with the module or package that decides on which side it falls."""
    yield from descriptions()
    for name, path in module_files():
        for text in docstrings(path):
            yield name, text


def is_held_out(unit: str) -> bool:
    """Decide by a hash of the name, so that a new module moves no other."""
    digest = hashlib.sha256(unit.encode()).digest()
    return int.from_bytes(digest[:8]) % 1000 < HELD_OUT_MODULES_PER_MILLE


def general_documents(
    texts: Iterable[tuple[str, str]], paragraphs: Paragraphs, foreign: set[tuple[str, ...]]
) -> Iterator[str]:
    """Keep the prose of each text that is new and shares no `SHINGLE_WORDS` words with `foreign`."""
    for _, text in texts:
        prose = [found.strip() for found in split(text) if is_prose(found.strip())]
        document = "\n\n".join(unwrapped(found) for found in paragraphs.new(prose) if not _shingles(found) & foreign)
        if len(document) >= SHORTEST_DOCUMENT:
            yield document


def build() -> dict[str, list[str]]:
    """Make the documents of all four files, by file name."""
    paragraphs = Paragraphs()
    reference = {shingle for text in topics.values() for shingle in _shingles(text)}
    texts: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    for unit, text in general_texts():
        texts[is_held_out(unit)].append((unit, text))
    others = sorted(set(topics) - set(HELD_OUT_TOPICS))
    return {  # in the order in which a paragraph is claimed
        "domain-held-out": list(domain_documents(HELD_OUT_TOPICS, paragraphs)),
        "domain-train": list(domain_documents(others, paragraphs)),
        "general-held-out": list(general_documents(texts[True], paragraphs, reference)),
        "general-train": list(general_documents(texts[False], paragraphs, reference)),
    }


def shortened(documents: list[str], limit: int | None) -> list[str]:
    """Take evenly spaced documents until `limit` characters, so that every module still has its share."""
    total = sum(map(len, documents))
    if limit is None or total <= limit:
        return documents
    step = total / limit
    return [documents[int(index * step)] for index in range(int(len(documents) / step))]


def versions() -> dict[str, str]:
    """Name everything that the text depends on."""
    packages = {dist.metadata["Name"]: dist.version for dist in importlib.metadata.distributions()}
    script = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return {"python": platform.python_version(), "script": script} | dict(sorted(packages.items()))


def main(folder: Path) -> None:
    """Write the four files and `corpora.json`, unless they are already there for these versions."""
    record_path = folder / "corpora.json"
    made_from = versions()
    if is_made(folder, record_path, made_from):
        print(f"the corpora in {folder} are those of this Python and these packages; nothing to do")
        return
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, documents in build().items():
        kept = shortened(documents, LONGEST_TEXT.get(name))
        content = "".join(json.dumps({"text": text}) + "\n" for text in kept).encode()
        (folder / f"{name}.jsonl").write_bytes(content)
        files[f"{name}.jsonl"] = hashlib.sha256(content).hexdigest()
        print(f"{folder / name}.jsonl: {len(kept):,} documents, {sum(map(len, kept)):,} characters")
    record_path.write_text(json.dumps({"made_from": made_from, "files": files}, indent=2) + "\n", "utf-8")


def is_made(folder: Path, record_path: Path, made_from: dict[str, str]) -> bool:
    """Tell whether all files are there, unaltered, and made from the same versions."""
    if not record_path.is_file():
        return False
    record = json.loads(record_path.read_text("utf-8"))
    return record.get("made_from") == made_from and all(
        (folder / name).is_file() and hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        for name, digest in record["files"].items()
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
