"""What the output of a data command depends on; while that is the same, unfinished output is gone on with.

Inputs are told apart without reading them: by size and time of the last change on this machine, by ETag and version in
S3. A file that changes its content and neither of these is taken for the same one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from cloudcpt import __version__
from cloudcpt.dataset.places import InputFile, is_in_s3

INPUT_FILES: Final = "input_files"
"""Key of the inputs; an `Output` looks there to keep its target apart from them."""


def work_of(command: str, files: Sequence[InputFile], **options: Any) -> Mapping[str, Any]:
    """Describe the work of a command.

    Args:
        command: Its name, such as `data dedup`.
        files: The inputs, in order.
        options: Everything else that the output depends on, as JSON; not the number of workers.
    """
    return {
        "cloudcpt": __version__,
        "command": command,
        INPUT_FILES: [_fingerprint(file) for file in files],
        "options": options,
    }


def _fingerprint(file: InputFile) -> Mapping[str, Any]:
    known = asdict(file)
    del known["shown"]  # another folder to start from is no other work
    return known if is_in_s3(file.path) else {**known, "mtime_ns": _mtime_ns(Path(file.path))}


def _mtime_ns(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None  # whoever opens it says why
