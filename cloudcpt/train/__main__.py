"""`python -m cloudcpt.train [train] [--root DIR]`: run the job in a folder laid out like /opt/ml.

SageMaker starts a training container with the one argument `train`.
"""

import argparse
import os
import sys
from pathlib import Path

from cloudcpt.train.launch import launch
from cloudcpt.train.privileges import IMAGE_VARIABLE, give_up_root
from cloudcpt.wire import ML_ROOT, MlFolder


def main() -> int:
    """Read the command line and launch; exit codes are those of `cloudcpt.train.launch`."""
    parser = argparse.ArgumentParser(prog="cloudcpt.train", description="Run the training job in a folder.")
    parser.add_argument("--root", type=Path, default=ML_ROOT, help="folder laid out like /opt/ml (default %(default)s)")
    parser.add_argument("action", nargs="?", choices=["train"], default="train", help="what SageMaker asks for")
    root = parser.parse_args().root.absolute()
    if os.environ.get(IMAGE_VARIABLE) and (words := give_up_root(MlFolder(root))):
        print(words, flush=True)  # noqa: T201  # the log of a job is its output
    return launch(root)


if __name__ == "__main__":
    sys.exit(main())
