"""Weights that are not safetensors: told by the name of a file, or by its first bytes where the name says otherwise.

One list for the client, which refuses such a model before anything is spent, and for the trainer, which may have been
started around the client.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightFormat:
    """A way to store weights that cannot be trained from.

    Args:
        code: Of the refusal.
        words: What it is, as it reads after "only" or "is".
        hint: What to do.
    """

    code: str
    words: str
    hint: str


_CONVERT: Final = "pickle can run code when it is opened; convert it once with `model.save_pretrained(folder)`"
_DECRYPT: Final = "decrypt them as the page of the model says, and name the folder of the result"

PICKLE: Final = WeightFormat(code="CPT522", words="as pickle (`.bin`, `.pt`)", hint=_CONVERT)
GGUF: Final = WeightFormat(
    code="CPT523",
    words="as GGUF",
    hint="GGUF is made for inference; use the safetensors weights that it was made from",
)
ARCHIVE: Final = WeightFormat(code="CPT524", words="in an archive", hint="unpack it there")
ENCRYPTED: Final = WeightFormat(code="CPT541", words="encrypted", hint=_DECRYPT)

_SUFFIXES: Final = {
    PICKLE: {".bin", ".pt", ".pth", ".ckpt", ".pkl"},
    GGUF: {".gguf"},
    ARCHIVE: {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar"},
    ENCRYPTED: {".enc", ".gpg", ".pgp", ".asc", ".age", ".aes"},
}

HEAD_BYTES: Final = 64
"""How much of a file `disguised_format` looks at."""

_MAGIC: Final = (
    (b"age-encryption.org/v", ENCRYPTED, "a file encrypted with age"),
    (b"-----BEGIN AGE ENCRYPTED FILE", ENCRYPTED, "a file encrypted with age"),
    (b"Salted__", ENCRYPTED, "a file encrypted with openssl"),
    (b"-----BEGIN PGP MESSAGE", ENCRYPTED, "a file encrypted with gpg"),
    (b"\x85", ENCRYPTED, "a file encrypted with gpg"),
    (b"\x84", ENCRYPTED, "a file encrypted with gpg"),
    (b"\x8c\x0d\x04", ENCRYPTED, "a file encrypted with gpg"),
    (b"\xc1", ENCRYPTED, "a file encrypted with gpg"),
    (b"\xc3", ENCRYPTED, "a file encrypted with gpg"),
    (b"\x80\x02", PICKLE, "a pickle"),
    (b"\x80\x03", PICKLE, "a pickle"),
    (b"\x80\x04", PICKLE, "a pickle"),
    (b"\x80\x05", PICKLE, "a pickle"),
    (b"PK\x03\x04", PICKLE, "a pickle, as `torch.save` writes it"),
    (b"GGUF", GGUF, "GGUF"),
    (b"\x1f\x8b", ARCHIVE, "an archive"),
    (b"BZh", ARCHIVE, "an archive"),
    (b"\xfd7zXZ\x00", ARCHIVE, "an archive"),
    (b"\x28\xb5\x2f\xfd", ARCHIVE, "an archive"),
    (b"7z\xbc\xaf\x27\x1c", ARCHIVE, "an archive"),
)
"""First bytes, the format, what to call the file. Only asked about a file whose header is not that of safetensors.

Source: age's format page, RFC 4880 4.2-5.3 (packet tags 1 and 3), openssl-enc(1), PEP 3154, ggml's gguf.md, RFC 1952.
"""


def named_format(names: Iterable[str]) -> WeightFormat | None:
    """Tell in which format the files of a folder without safetensors have its weights; None when there are none."""
    suffixes = {PurePosixPath(name).suffix for name in names}
    return next((found for found, known in _SUFFIXES.items() if suffixes & known), None)


def disguised_format(head: bytes) -> tuple[WeightFormat, str] | None:
    """Tell what a file is that is named `.safetensors` and is none, and what to call it.

    Args:
        head: The first `HEAD_BYTES` of the file.
    """
    return next(((found, words) for magic, found, words in _MAGIC if head.startswith(magic)), None)
