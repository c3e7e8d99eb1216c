import errno
import os
import socket
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from cloudcpt.errors import Blame, DatasetError, Place, SetupError, error
from cloudcpt.train.failures import (
    PEER_LOST,
    TrainingFailure,
    failure_of,
    read_failure,
    reserve_space,
    write_failure,
)
from cloudcpt.wire import FAILURE_LIMIT, Failure, MlFolder

ROOT_CAUSE = Failure(code="CPT604", blame=Blame.USER, message="loss is not finite at step 12", hint="lower `lr`")
ECHO = Failure(code=PEER_LOST, blame=Blame.PLATFORM, message="this process lost its connection to another one")


@pytest.fixture
def ml(tmp_path: Path) -> MlFolder:
    return MlFolder(tmp_path)


def raised(exc: BaseException) -> BaseException:
    """The exception with a traceback, as it arrives in an `except`."""
    try:
        raise exc
    except BaseException as caught:  # noqa: BLE001
        return caught


@pytest.mark.parametrize(
    ("exc", "code", "blame"),
    [
        (TrainingFailure(ROOT_CAUSE), "CPT604", Blame.USER),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "CPT655", Blame.USER),
        (MemoryError(), "CPT656", Blame.USER),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 bytes"), "CPT656", Blame.USER),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/opt/ml/tmp/x"), "CPT657", Blame.USER),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "CPT657", Blame.USER),
        (OSError("1000000 requested and 262128 written"), "CPT657", Blame.USER),  # numpy's `save`
        (torch.distributed.DistBackendError("/dev/shm/nccl-1: No space left on device"), "CPT668", Blame.PLATFORM),
        (torch.distributed.DistNetworkError("anything"), "CPT668", Blame.PLATFORM),
        (
            torch.distributed.DistNetworkError(
                "Failed to recv, got 0 bytes. Connection was likely closed. Did it crash?"
            ),
            PEER_LOST,
            Blame.PLATFORM,
        ),
        (torch.distributed.DistStoreError("wait timeout after 600000ms, keys: /x"), PEER_LOST, Blame.PLATFORM),
        (RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [::1]:2"), PEER_LOST, Blame.PLATFORM),
        (RuntimeError("Connection reset by peer"), PEER_LOST, Blame.PLATFORM),
        (KeyError("lr"), "CPT699", Blame.BUG),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "CPT699", Blame.BUG),
        (FileNotFoundError(errno.ENOENT, "No such file", "x"), "CPT699", Blame.BUG),
        (KeyboardInterrupt(), "CPT699", Blame.BUG),
    ],
)
def test_every_kind_of_exception_has_its_code_and_blame(exc: BaseException, code: str, blame: Blame) -> None:
    failure = failure_of(raised(exc))
    assert (failure.code, failure.blame) == (code, blame)


NCCL = """NCCL error in: NCCLUtils.cpp:94, {kind} (run with NCCL_DEBUG=INFO for details), NCCL version 2.30.7
{name}: {meaning}
Last error:
{last}
"""


@pytest.mark.parametrize(
    ("kind", "name", "last", "code"),
    [
        ("remote process exited", "ncclRemoteError", "socketProgress: Connection closed by remote peer", "CPT658"),
        ("unhandled system error", "ncclSystemError", "ibv_reg_mr failed: Cannot allocate memory", "CPT668"),
        ("invalid usage", "ncclInvalidUsage", "Duplicate GPU detected : rank 1 and rank 0", "CPT668"),
        ("unhandled cuda error", "ncclUnhandledCudaError", "Cuda failure 2 'out of memory'", "CPT655"),
    ],
)
def test_an_error_of_nccl_is_an_echo_only_when_it_says_that_a_peer_is_gone(
    kind: str, name: str, last: str, code: str
) -> None:
    said = NCCL.format(kind=kind, name=name, meaning="A call failed.", last=last)
    failure = failure_of(torch.distributed.DistBackendError(said))
    assert failure.code == code
    assert code != "CPT668" or failure.message.endswith(last)


def test_a_real_port_that_is_taken_is_no_lost_peer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RuntimeError) as raised:
            torch.distributed.TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
    failure = failure_of(raised.value)
    assert failure.code == "CPT668"
    assert str(port) in failure.message


def test_a_real_allocation_beyond_the_machine_is_host_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 55, dtype=torch.uint8)
    assert failure_of(caught.value).code == "CPT656"


def test_diagnostics_keep_their_code_place_and_hint() -> None:
    found = error("CPT310", "not JSON", place=Place(path="train/a.jsonl", line=3, column=1), hint="fix the line")
    failure = failure_of(DatasetError(found, error("CPT311", "blank")))
    assert failure == Failure(
        code="CPT310", blame=Blame.USER, message="train/a.jsonl:3:1: not JSON (and 1 more)", hint="fix the line"
    )
    assert failure_of(SetupError(error("CPT401", "no key"))).message == "no key"


def test_a_bug_carries_the_tail_of_its_traceback_into_the_file(ml: MlFolder) -> None:
    write_failure(ml, failure_of(raised(KeyError("lr"))), rank=3)
    text = ml.failure.read_text("utf-8")
    assert len(text) <= FAILURE_LIMIT
    assert text.splitlines()[0] == "CPT699 [bug] unexpected KeyError: 'lr'"
    assert text.endswith("KeyError: 'lr'\nrank 3\n")


def test_the_first_reason_stays(ml: MlFolder, capsys: pytest.CaptureFixture[str]) -> None:
    other = Failure(code="CPT657", blame=Blame.USER, message="the disk is full")
    write_failure(ml, ROOT_CAUSE, rank=1)
    write_failure(ml, other, rank=0)
    assert read_failure(ml) == ROOT_CAUSE
    assert "rank 0: CPT657 [user] the disk is full" in capsys.readouterr().err


@pytest.mark.parametrize("order", [(ECHO, ROOT_CAUSE), (ROOT_CAUSE, ECHO), (ECHO, ROOT_CAUSE, ECHO)])
def test_a_reason_wins_over_the_echo_of_a_lost_peer_whichever_comes_first(
    ml: MlFolder, order: tuple[Failure, ...]
) -> None:
    for rank, failure in enumerate(order):
        write_failure(ml, failure, rank)
    assert read_failure(ml) == ROOT_CAUSE


def test_an_echo_alone_is_better_than_nothing(ml: MlFolder) -> None:
    write_failure(ml, ECHO, rank=0)
    assert read_failure(ml) == ECHO


def test_the_reserve_is_given_back_for_the_failure_file(ml: MlFolder) -> None:
    reserve_space(ml)
    assert sum(path.stat().st_size for path in ml.scratch.iterdir()) >= FAILURE_LIMIT
    write_failure(ml, ROOT_CAUSE, rank=0)
    assert list(ml.scratch.iterdir()) == []


def test_a_failure_that_cannot_be_written_does_not_hide_the_reason(
    ml: MlFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    ml.output.write_text("a file where the folder should be")
    write_failure(ml, ROOT_CAUSE, rank=0)
    assert "loss is not finite at step 12" in capsys.readouterr().err


def test_no_failure_file_is_no_failure(ml: MlFolder) -> None:
    assert read_failure(ml) is None
