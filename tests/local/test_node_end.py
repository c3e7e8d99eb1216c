"""Of all containers of a job, the one that knows why it ended is believed, and what it cannot say is found out."""

from dataclasses import replace

import pytest

from cloudcpt.errors import Blame
from cloudcpt.local.node_end import NodeEnd, root_cause
from cloudcpt.wire import Failure

ECHO = Failure(code="CPT658", blame=Blame.PLATFORM, message="this process lost its connection to another one")
NAN = Failure(code="CPT604", blame=Blame.USER, message="the loss is not finite")
MEMORY = Failure(code="CPT656", blame=Blame.USER, message="out of memory", hint="take an instance with more memory")

END = NodeEnd(
    host="algo-1", status=1, ended_at=1.0, left=None, state={}, was_silent=False, last_line="no space", memory=""
)
ECHOED = replace(END, left=ECHO)
PUZZLED = replace(END, left=Failure(code="CPT668", blame=Blame.PLATFORM, message="the processes cannot exchange"))
KILLED = replace(END, host="algo-2", status=137, ended_at=2.0)
HUNG = replace(KILLED, was_silent=True)
OOM = replace(KILLED, state={"OOMKilled": True})
GONE = replace(KILLED, state=None)
FAILED = replace(END, host="algo-2", left=NAN, ended_at=3.0)


@pytest.mark.parametrize(
    ("ends", "code", "words"),
    [
        ([ECHOED, FAILED], "CPT604", "not finite"),
        ([HUNG, FAILED], "CPT604", "not finite"),
        ([ECHOED, HUNG], "CPT658", "algo-2 stopped answering"),
        ([ECHOED, replace(HUNG, left=ECHO)], "CPT658", "algo-2 stopped answering"),
        ([ECHOED, KILLED], "CPT656", "algo-2 was killed (SIGKILL), most likely because memory ran out"),
        ([ECHOED, replace(OOM, left=ECHO)], "CPT656", "algo-2 was killed because it used more memory than there is"),
        ([PUZZLED, KILLED], "CPT656", "algo-2 was killed (SIGKILL)"),
        ([PUZZLED, HUNG], "CPT668", "cannot exchange"),
        ([ECHOED, GONE], "CPT663", "algo-2 was removed while it ran"),
        ([HUNG, replace(KILLED, host="algo-3")], "CPT656", "algo-3 was killed (SIGKILL)"),
        ([replace(END, left=MEMORY, ended_at=9.0), FAILED], "CPT604", "not finite"),
        ([END], "CPT663", "algo-1 ended with exit status 1 and without a reason"),
        ([replace(END, status=125)], "CPT792", "the container engine could not run algo-1: no space"),
        ([ECHOED], "CPT658", "lost its connection"),
    ],
)
def test_who_knows_most_is_believed_and_of_two_the_one_who_ended_first(
    ends: list[NodeEnd], code: str, words: str
) -> None:
    cause = root_cause(ends)
    assert cause.code == code
    assert words in cause.message


def test_the_hint_for_want_of_memory_names_the_key_that_limits_it() -> None:
    limited = replace(OOM, memory="2000000000")
    assert "more memory than it may (2000000000)" in limited.failure.message
    assert "`launch.container.memory_gb`" in str(limited.failure.hint)
    assert "free memory on this machine" in str(OOM.failure.hint)
    assert "`launch.container.memory_gb`" in str(replace(limited, left=MEMORY).failure.hint)
    assert replace(OOM, left=MEMORY).failure == MEMORY


def test_a_full_disk_is_the_one_of_this_machine() -> None:
    full = Failure(code="CPT657", blame=Blame.USER, message="the disk is full", hint="give the job a larger volume")
    assert "$CLOUDCPT_STATE_DIR" in str(replace(END, left=full).failure.hint)
