"""The wheel of the cloudcpt that is running, made from its own files.

An image has to hold the code that the plan was made with, whether it came from an index or is somebody's checkout with
changes; both are a folder of files and the metadata that was installed beside them. The same files give the same bytes.

Source: PyPA specification "Binary distribution format", version 1.0.
"""

import base64
import hashlib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

import cloudcpt
from cloudcpt.image.material import container_files

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold; when a file was written is no part of what it is."""

_TAG: Final = "py3-none-any"


def write_own_wheel(folder: Path) -> Path:
    """Write the wheel into a folder and give its path."""
    stem = f"cloudcpt-{cloudcpt.__version__}"
    path = folder / f"{stem}-{_TAG}.whl"
    entries = {**dict(_package_files()), **_metadata_files(f"{stem}.dist-info")}
    record = f"{stem}.dist-info/RECORD"
    lines = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in sorted(entries.items())]
    entries[record] = ("\n".join([*lines, f"{record},,"]) + "\n").encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in sorted(entries.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            wheel.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return path


def _package_files() -> Iterator[tuple[str, bytes]]:
    package = Path(cloudcpt.__file__).parent
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"cloudcpt/{path.relative_to(package).as_posix()}", path.read_bytes()
    for name, content in container_files().items():
        yield f"cloudcpt/image/container/{name}", content


def _metadata_files(folder: str) -> dict[str, bytes]:
    installed = metadata.distribution("cloudcpt")
    texts = {name: installed.read_text(name) or "" for name in ("METADATA", "entry_points.txt")}
    texts["WHEEL"] = f"Wheel-Version: 1.0\nGenerator: cloudcpt\nRoot-Is-Purelib: true\nTag: {_TAG}\n"
    return {f"{folder}/{name}": text.encode() for name, text in texts.items()}


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
