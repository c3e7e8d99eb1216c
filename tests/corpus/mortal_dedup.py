"""A process that dedups a corpus and kills itself at one moment: `python -m tests.corpus.mortal_dedup DATA OUT MOMENT`.

Moments are those of `mortal_split`, and before and after each file of records.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cloudcpt.corpus.dedup import DedupOptions, dedup_work, sign, write_unique
from cloudcpt.corpus.recording import RECORDS
from cloudcpt.corpus.repeats import find_repeats
from cloudcpt.corpus.signing import Method
from cloudcpt.dataset.files import LocalFiles
from tests.corpus.mortal_split import MortalOutput


class MortalRecords(MortalOutput):
    """An output that may also be killed while records are appended."""

    @contextmanager
    def appending(self, name: str) -> Iterator[BinaryIO]:
        """Append to a file, with a moment when half of it is written."""
        with super().appending(name) as file:
            yield file
            file.flush()
            self.moment()


def main(data: Path, out: Path, moment: int) -> None:
    """Dedup, and die on the way if the moment comes."""
    place, options = LocalFiles(data), DedupOptions(method=Method.NEAR)
    files = place.select(".").files
    output = MortalRecords(out, dedup_work(files, options))
    output.left = moment
    steps = len(output.finished)
    counts = sign(place, files, options, output, workers=1)
    repeats = find_repeats(output.path_of(RECORDS), options.method, threshold=options.threshold)
    write_unique(place, files, repeats, counts, options, output)
    sys.stdout.write(f"{steps}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
