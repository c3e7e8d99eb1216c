"""`python -m cloudcpt.train [--root DIR]`: run the job in a folder laid out like /opt/ml."""

import argparse
import sys
from pathlib import Path

from cloudcpt.train.launch import launch
from cloudcpt.wire import ML_ROOT


def main() -> int:
    """Read the command line and launch; exit codes are those of `cloudcpt.train.launch`."""
    parser = argparse.ArgumentParser(prog="cloudcpt.train", description="Run the training job in a folder.")
    parser.add_argument("--root", type=Path, default=ML_ROOT, help="folder laid out like /opt/ml (default %(default)s)")
    return launch(parser.parse_args().root.absolute())


if __name__ == "__main__":
    sys.exit(main())
