"""A process that splits a corpus and kills itself at one moment: `python -m tests.corpus.mortal_split DATA OUT MOMENT`.

Moments are numbered: before and after each file that is written and each step that is noted, and before the commit.
"""

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from cloudcpt.corpus.output import Output
from cloudcpt.corpus.split import SplitOptions, split, split_work
from cloudcpt.dataset.files import LocalFiles


class MortalOutput(Output):
    """An output that is killed at its n-th moment."""

    left = 0

    def moment(self) -> None:
        """Live through one more moment, or not."""
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Write a file, with a moment before it and one when it is half written."""
        self.moment()
        with super().writing(name) as file:
            yield file
            file.flush()
            self.moment()
        self.moment()

    def finish(self, name: str, noted: Any) -> None:
        """Note a step, with a moment before it and one after it."""
        self.moment()
        super().finish(name, noted)
        self.moment()

    def commit(self, report: Mapping[str, Any]) -> None:
        """Commit, with a moment before it."""
        self.moment()
        super().commit(report)


def main(data: Path, out: Path, moment: int) -> None:
    """Split, and die on the way if the moment comes."""
    place, options = LocalFiles(data), SplitOptions(validation=0.3, seed=5, near=True)
    selection = place.select(".")
    output = MortalOutput(out, split_work(selection, options))
    output.left = moment
    steps = len(output.finished)
    split(place, selection, options, output, workers=1)
    sys.stdout.write(f"{steps}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
