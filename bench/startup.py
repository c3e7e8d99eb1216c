"""CPU seconds of starting cloudcpt, each command paired with the bare interpreter in the same run.

    python bench/startup.py [PAIRS]

Prints one line per command: median CPU over the bare interpreter in milliseconds, and the interquartile range.
"""

import resource
import statistics
import subprocess
import sys

BARE = ["-c", "pass"]
COMMANDS = {
    "import click": ["-c", "import click"],
    "cloudcpt --help": ["-m", "cloudcpt", "--help"],
    "cloudcpt --version": ["-m", "cloudcpt", "--version"],
    "cloudcpt explain CPT901": ["-m", "cloudcpt", "explain", "CPT901"],
    "cloudcpt models": ["-m", "cloudcpt", "models"],
}


def cpu_s(arguments: list[str]) -> float:
    """Run an interpreter and return the user and system seconds that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Alternate bare and command, so that a change of load hits both."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    for name, arguments in COMMANDS.items():
        over_ms = sorted(1000 * (cpu_s(arguments) - cpu_s(BARE)) for _ in range(pairs))
        low, middle, high = statistics.quantiles(over_ms, n=4)
        print(f"{name:<26} {middle:6.0f} ms over the bare interpreter ({low:.0f} to {high:.0f})")


if __name__ == "__main__":
    main()
