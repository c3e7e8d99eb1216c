"""How far texts are from each other by the measure that `general_ratio: auto` goes by: the figures of docs/numerics.md.

    python bench/shift.py [--to FILE]

The texts are those that lie on a machine with documentation (Debian's man pages and translations, a Python, C headers)
and those of the demo, where `make demo` has written them. What is not there is left out and named at the end.

    against     each text against each of the general ones
    halves      a text against itself: its documents in two parts, all of them and fewer
    partly      messages in English, a part of them in German
"""

import argparse
import gettext
import gzip
import json
import re
import sysconfig
from collections.abc import Iterable, Iterator
from fractions import Fraction
from hashlib import blake2b
from pathlib import Path

from cloudcpt.dataset.sample import Sample
from cloudcpt.plan.shift import measure_shift

SHARE = Path("/usr/share")
GENERAL = ("docstrings", "English manual", "English messages")
LANGUAGES = ("de", "fr", "es", "nl", "pt_BR", "pl", "cs", "tr", "fi", "el", "ru", "ja", "zh_CN", "vi", "th", "hi")
SKIPPED_CATALOGUES = ("iso", "initdb", "pg_", "gtk20-prop")
"""Names of countries and the like, and those that every language has half translated."""

_HOLES = re.compile(r"%[-#0-9.]*[a-zA-Z]+|<[^>]+>|\$?\{[^}]*\}")
_DOCUMENT_MESSAGES = 20
_FEWEST_CHARACTERS = 300
_MOST_CHARACTERS = 5_000_000


def jsonl(path: Path) -> Iterator[str]:
    """Read the demo's documents."""
    with path.open(encoding="utf-8") as lines:
        yield from (json.loads(line)["text"] for line in lines)


def manual(*folders: Path) -> Iterator[str]:
    """Read manual pages without their markup."""
    for path in sorted(found for folder in folders for found in folder.rglob("*.gz") if not found.is_symlink()):
        if path.name.startswith("gcloud"):  # ten thousand pages of one mould
            continue
        source = gzip.decompress(path.read_bytes()).decode("utf-8", errors="replace")
        lines = (
            line for line in source.splitlines() if not re.match(r"[.'](\\\"|TH|so|de|if|ie|el|nr|ds|ig|tr)", line)
        )
        plain = "\n".join(re.sub(r"^[.']\w*\s*", "", line) for line in lines)
        plain = re.sub(r"\\f(\[[^\]]*\]|\(..|.)|\\\*?\(..|\\\[[^\]]*\]|\\s[-+]?\d", "", plain)
        yield re.sub(r"\\(.)", r"\1", plain)


def messages(language: str, *, original: bool = False) -> Iterator[str]:
    """Read what programs say in a language, or what was translated, twenty messages to a document."""
    for path in sorted((SHARE / "locale" / language / "LC_MESSAGES").glob("*.mo")):
        if path.name.startswith(SKIPPED_CATALOGUES):
            continue
        with path.open("rb") as file:
            try:
                catalogue = vars(gettext.GNUTranslations(file))["_catalog"]
            except (OSError, UnicodeDecodeError, ValueError):
                continue
        pairs = [(key if isinstance(key, str) else key[0], text) for key, text in catalogue.items() if key]
        texts = [key if original else text for key, text in pairs if len(text) > 30 and key != text]
        for start in range(0, len(texts), _DOCUMENT_MESSAGES):
            yield _HOLES.sub(" ", "\n".join(texts[start : start + _DOCUMENT_MESSAGES]))


def files(folder: Path, pattern: str) -> Iterator[str]:
    """Read text files whole."""
    for path in sorted(folder.rglob(pattern)):
        if path.is_file():
            yield path.read_text("utf-8", errors="replace")


def clauses(folder: Path) -> Iterator[str]:
    """Read licences, a numbered clause to a document."""
    for text in files(folder, "*"):
        yield from re.split(r"\n\s*\n(?=\s*\d+\.)", text)


def texts_here() -> dict[str, list[str]]:
    """Collect every text of this machine by name."""
    sources: dict[str, Iterable[str]] = {
        "docstrings": jsonl(Path("build/demo/general-train.jsonl")),
        "Python reference": jsonl(Path("build/demo/domain-train.jsonl")),
        "English manual": manual(*(SHARE / "man" / f"man{section}" for section in (1, 2, 3, 5, 7, 8))),
        "English messages": messages("de", original=True),
        "licences": clauses(SHARE / "common-licenses"),
        "Python code": files(Path(sysconfig.get_path("stdlib")) / "asyncio", "*.py"),
        "Perl code": files(SHARE / "perl", "*.pm"),
        "C headers": files(Path("/usr/include"), "*.h"),
        **{f"{name} manual": manual(SHARE / "man" / name) for name in ("de", "fr", "nl", "ja")},
        **{f"{name} messages": messages(name) for name in LANGUAGES},
    }
    return {name: found for name, texts in sources.items() if (found := taken(texts))}


def taken(texts: Iterable[str]) -> list[str]:
    """Take different documents that are long enough, up to so many characters; none where the files are not there."""
    found: dict[str, None] = {}
    characters = 0
    try:
        for text in texts:
            if len(text) >= _FEWEST_CHARACTERS and text not in found and characters < _MOST_CHARACTERS:
                found[text] = None
                characters += len(text)
    except FileNotFoundError:
        return []
    return list(found)


def excerpts(texts: Iterable[str], most: int = 500) -> tuple[str, ...]:
    """Draw the excerpts that a plan would go by."""
    sample = Sample(most)
    for text in texts:
        sample.offer(blake2b(text.encode(), digest_size=16).digest(), text)
    return sample.excerpts()


def shift(domain: Iterable[str], general: Iterable[str], most: int = 500) -> float | None:
    """Measure as a plan does."""
    return measure_shift(excerpts(domain, most), [(Fraction(1), excerpts(general, most))])


def halves(texts: list[str], most: int) -> float | None:
    """Measure a text against itself, documents in turn."""
    drawn = excerpts(texts, 2 * most)
    return measure_shift(drawn[0::4] + drawn[1::4], [(Fraction(1), drawn[2::4] + drawn[3::4])])


def shown(value: float | None) -> str:
    """Write a shift."""
    return "-" if value is None else f"{value:.3f}"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=Path("build/shift.json"))
    to = parser.parse_args().to
    texts = texts_here()
    general = [name for name in GENERAL if name in texts]
    against = {name: {one: shift(texts[name], texts[one]) for one in general if one != name} for name in texts}
    itself = {name: {most: halves(texts[name], most) for most in (50, 200, 500)} for name in texts}
    print(
        f"{'':20}{'documents':>10}" + "".join(f"{name:>18}" for name in general) + "   itself: 50, 200, 500 documents"
    )
    for name in texts:
        cells = [shown(against[name].get(one)) for one in general]
        own = "  ".join(shown(value) for value in itself[name].values())
        print(f"{name:20}{len(texts[name]):>10}" + "".join(f"{cell:>18}" for cell in cells) + f"   {own}")
    partly = {}
    english, german = texts.get("English messages", []), texts.get("de messages", [])
    for percent in (0, 10, 25, 50, 75, 100) if english and german else ():
        mixed = [german[at % len(german)] if at % 100 < percent else text for at, text in enumerate(english)]
        partly[percent] = shift(mixed, texts["English manual"])
        print(f"English messages, {percent}% of them in German, against the English manual: {shown(partly[percent])}")
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json.dumps({"against": against, "itself": itself, "partly": partly}, indent=1) + "\n", "utf-8")
    print(f"wrote {to}")


if __name__ == "__main__":
    main()
