"""`python -m cloudcpt` and the `cloudcpt` command."""

import sys

from cloudcpt.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
