"""Where inputs are: on this machine, in S3, or coming in through a pipe, behind one port.

boto3 is loaded when something in S3 is named, and not before: checking a file should not wait for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudcpt.dataset.files import LocalFiles
from cloudcpt.dataset.places import STDIN, DataPlace, InputFile, InputStream, Selection, is_in_s3
from cloudcpt.dataset.standard_input import StandardInput
from cloudcpt.errors import CloudcptError, SetupError, TransientError

if TYPE_CHECKING:
    from cloudcpt.aws.s3_data import S3Data
    from cloudcpt.aws.s3_model import S3Model
    from cloudcpt.dataset.versions import Pin


class InputPlaces:
    """A `DataPlace` that looks at how a path begins.

    Args:
        base: The folder that a relative path starts from.
        region: Of AWS; the configured one when empty.
        owner: The account that buckets must belong to; empty when it is not known.
    """

    def __init__(self, base: Path, *, region: str = "", owner: str = "") -> None:
        self._here = LocalFiles(base)
        self._pipe = StandardInput()
        self._region = region
        self._owner = owner
        self._is_in_reach = False

    def select(self, path: str) -> Selection:
        """Find the files that a path means; see `DataPlace.select`."""
        return self._place_of(path).select(path)

    def open(self, file: InputFile) -> InputStream:
        """Open a file; see `DataPlace.open`."""
        return self._place_of(file.path).open(file)

    def select_version(self, path: str, pin: "Pin") -> Selection:
        """Find the files that a path means in one version of them.

        Args:
            path: As for `select`.
            pin: What it pins is there for such a path; that of a content is not looked at here, but after the read.

        Raises:
            DatasetError: as `select`; and there is no such version.
        """
        return self.select(path) if pin.blake3 else self._s3.select_version(path, pin)

    def out_of_reach(self, uri: str) -> CloudcptError | None:
        """Say why nothing in S3 can be read from this machine; None when it can, as far as one quick look shows.

        Args:
            uri: Of something that is to be read.
        """
        if not self._is_in_reach:
            try:
                self._s3.require_reach(uri)
            except (SetupError, TransientError) as exc:
                return exc
            self._is_in_reach = True
        return None

    def model(self, uri: str, progress: Callable[[str, int, int], None]) -> "S3Model":
        """Look at a base model in S3.

        Args:
            uri: Of its folder.
            progress: Told the file, bytes done and bytes in all, while weights are hashed.

        Raises:
            SetupError: there is no such bucket, or we may not list it.
        """
        from cloudcpt.aws.known_hashes import KnownHashes
        from cloudcpt.aws.s3_model import S3Model
        from cloudcpt.local.folder import state_dir

        return S3Model(self._s3, uri, known=KnownHashes(state_dir() / "hashes.json"), progress=progress)

    def __getstate__(self) -> dict[str, Any]:
        """Leave what is connected behind: another process connects for itself, and has no part in our pipe."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_s3", "_pipe")}

    def _place_of(self, path: str) -> DataPlace:
        if path == STDIN:
            return self._pipe
        return self._s3 if is_in_s3(path) else self._here

    @cached_property
    def _s3(self) -> "S3Data":
        from cloudcpt.aws.s3_data import S3Data

        return S3Data(region=self._region, owner=self._owner)


@dataclass(frozen=True, slots=True)
class PinnedPlace:
    """A `DataPlace` where every path means one version of what is there.

    Args:
        places: Where the data is.
        pin: The version.
    """

    places: InputPlaces
    pin: "Pin"

    def select(self, path: str) -> Selection:
        """Find the files that a path means in this version."""
        return self.places.select_version(path, self.pin)

    def open(self, file: InputFile) -> InputStream:
        """Open a file as it was listed."""
        return self.places.open(file)
