"""`python -m cloudcpt.train [train] [--root DIR]`: run the job in a folder laid out like /opt/ml.

SageMaker starts a training container with the one argument `train`.
"""

import signal

# First of all: process 1 of a container loses a signal that it has no handler for, and the platform sends SIGTERM once.
# One that waits here is delivered when `launch` has its handlers.
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))

# ruff: noqa: E402
import argparse
import os
import sys
from pathlib import Path

from cloudcpt.train.launch import launch
from cloudcpt.train.privileges import IMAGE_VARIABLE
from cloudcpt.wire import ML_ROOT


def main() -> int:
    """Read the command line and launch; exit codes are those of `cloudcpt.train.launch`."""
    parser = argparse.ArgumentParser(prog="cloudcpt.train", description="Run the training job in a folder.")
    parser.add_argument("--root", type=Path, default=ML_ROOT, help="folder laid out like /opt/ml (default %(default)s)")
    parser.add_argument("action", nargs="?", choices=["train"], default="train", help="what SageMaker asks for")
    return launch(parser.parse_args().root.absolute(), is_image=bool(os.environ.get(IMAGE_VARIABLE)))


if __name__ == "__main__":
    sys.exit(main())
