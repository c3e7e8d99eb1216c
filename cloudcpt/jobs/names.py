"""Which job a person means: a name in full, its first letters, or nothing for the newest."""

import difflib
from collections.abc import Sequence

from cloudcpt.errors import UsageProblem, error


def find_job(names: Sequence[str], wanted: str | None) -> str:
    """Pick the job that a person means.

    Args:
        names: Every job, newest first.
        wanted: A name or the start of one that no other job shares; None for the newest job.

    Raises:
        UsageProblem: there is no job at all, no such job, or more than one.
    """
    if not names:
        raise UsageProblem(
            error("CPT453", "there are no jobs here yet", hint="start one: `cloudcpt submit RECIPE --target local`")
        )
    if wanted is None:
        return names[0]
    if wanted in names:
        return wanted
    matches = [name for name in names if wanted and name.startswith(wanted)]
    if len(matches) > 1:
        some = ", ".join(f"`{name}`" for name in matches[:5]) + (", ..." if len(matches) > 5 else "")
        raise UsageProblem(error("CPT455", f"`{wanted}` is the start of {len(matches)} jobs: {some}"))
    if not matches:
        raise unknown_job(names, wanted)
    return matches[0]


def unknown_job(names: Sequence[str], wanted: str) -> UsageProblem:
    """Say that there is no such job, and which one may have been meant."""
    close = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(f'`{name}`' for name in close)}?" if close else "see `cloudcpt list`"
    return UsageProblem(error("CPT454", f"there is no job `{wanted}`", hint=hint))
