"""Whatever goes wrong on the line, an upload ends right or says how to go on; and going on ends right.

A schedule is a seed. It chooses files, requests in flight, what goes wrong and how often, whether the client keeps its
journal, and what S3 answers to a completion that it has seen before. Of 300 schedules some hundred runs fail.
"""

import queue
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloudcpt.aws.session import READ_TIMEOUT_S
from cloudcpt.errors import CloudcptError, InputError
from cloudcpt.fake.cloud import FakeCloud
from cloudcpt.fake.faults import (
    CONDITIONAL_CONFLICT,
    EXPIRED_TOKEN,
    SLOW_DOWN,
    TOO_MANY_REQUESTS,
    TRANSIENT,
    Fault,
    FaultKind,
)
from cloudcpt.fake.s3_rules import OWNER_HEADER, S3Rules
from cloudcpt.jobs.journal import UploadJournal
from cloudcpt.jobs.local_file import LocalFile
from cloudcpt.jobs.stale import abort_stale, stale_uploads
from cloudcpt.jobs.tally import UploadProgress
from cloudcpt.jobs.upload import upload
from moto_tests.upload_lanes import PART, Lane, make_files, open_lanes

LANES = 8
RESUME = "cloudcpt submit plan.json"
STALL = Fault(kind=FaultKind.STALL, seconds=0.02)
THROTTLES = (SLOW_DOWN, TOO_MANY_REQUESTS)
"""botocore waits up to seconds after these, so fewer schedules have them."""
QUICK = tuple(fault for fault in TRANSIENT if fault not in THROTTLES)
HARD = (EXPIRED_TOKEN, CONDITIONAL_CONFLICT, STALL)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What happens to one set of files.

    Args:
        sizes: Of the files, in bytes.
        in_flight: Requests under way at once.
        rate: Share of the requests that something goes wrong with.
        faults: What may go wrong.
        expires_at: From which call on the credentials have expired, until new ones are there; 0 for never.
        keeps_journal: From one run to the next.
        repeated_complete: See `S3Rules`.
    """

    sizes: list[int]
    in_flight: int
    rate: float
    faults: tuple[Fault, ...]
    expires_at: int
    keeps_journal: bool
    repeated_complete: str

    @classmethod
    def draw(cls, seed: int) -> "Schedule":
        chance = random.Random(seed)
        sizes = [chance.randint(1, 4) * PART + chance.choice((1, 700)) for _ in range(chance.choice((1, 1, 1, 2)))]
        sizes += [chance.randint(0, PART) for _ in range(chance.randint(0, 1))]
        faults = chance.sample(QUICK, k=chance.randint(1, len(QUICK))) + chance.sample(HARD, k=chance.randint(0, 2))
        if chance.random() < 0.1:
            faults.append(chance.choice(THROTTLES))
        return cls(
            sizes=sizes,
            in_flight=chance.randint(1, 4),
            rate=chance.choice((0.05, 0.1, 0.2, 0.3)),
            faults=tuple(faults),
            expires_at=chance.randint(1, 12) if chance.random() < 0.2 else 0,
            keeps_journal=chance.random() < 0.7,
            repeated_complete=chance.choice(("NoSuchUpload", "PreconditionFailed", "success")),
        )


def send(lane: Lane, files: Sequence[LocalFile], journal: Path, *, in_flight: int = 2) -> UploadProgress:
    return upload(
        lane.store,
        files,
        journal=UploadJournal(journal),
        resume=RESUME,
        parts_in_flight=in_flight,
        smallest_part_bytes=PART,
    )


def refusal(lane: Lane, files: Sequence[LocalFile], journal: Path, in_flight: int) -> CloudcptError | None:
    """Run a client; give how it ended, None when it went well. Whatever has no code goes up."""
    try:
        send(lane, files, journal, in_flight=in_flight)
    except CloudcptError as exc:
        return exc
    return None


def require_way_on(problem: CloudcptError) -> None:
    assert not isinstance(problem, InputError), problem
    assert problem.diagnostics[0].code != "CPT418", "a reason comes first"
    assert problem.diagnostics[-1].code == "CPT418", problem
    assert RESUME in (problem.diagnostics[-1].hint or "")


def require_nothing_wrong(lane: Lane, files: Sequence[LocalFile]) -> None:
    """Insist that each object is the file or is not there."""
    for file in files:
        assert lane.stored(file.key) in (None, file.path.read_bytes())


def carry_out(seed: int, lane: Lane, folder: Path) -> int:
    """Upload as a schedule says, then once more on a good line; give how many runs failed."""
    schedule = Schedule.draw(seed)
    prefix = f"team/{seed}"
    files = make_files(folder / "data", seed, schedule.sizes, prefix=prefix)
    journal, failed = folder / "journal", 0
    lane.clear(S3Rules(min_part_bytes=PART, repeated_complete=schedule.repeated_complete))
    if schedule.expires_at:
        lane.front.faults.add(EXPIRED_TOKEN, nth=schedule.expires_at, times=10_000)
    for attempt in range(3):
        lane.front.faults.seed(f"{seed}:{attempt}", rate=schedule.rate, faults=schedule.faults)
        problem = refusal(lane, files, journal, schedule.in_flight)
        require_nothing_wrong(lane, files)
        if problem is None:
            break
        failed += 1
        require_way_on(problem)
        lane.front.faults.clear()
        if not schedule.keeps_journal:
            shutil.rmtree(journal, ignore_errors=True)
    lane.front.faults.clear()
    require_end(lane, files, prefix, journal)
    return failed


def require_end(lane: Lane, files: Sequence[LocalFile], prefix: str, journal: Path) -> None:
    """Insist that a run on a good line completes, that the next one sends nothing, and that nothing is left behind."""
    send(lane, files, journal)
    assert [lane.stored(file.key) for file in files] == [file.path.read_bytes() for file in files]
    before = lane.sent_bytes()
    assert send(lane, files, journal).sent_bytes == 0
    assert lane.sent_bytes() == before
    left = stale_uploads(lane.store, prefix, older_than_s=0, now=time.time() + 60)
    abort_stale(lane.store, left, UploadJournal(journal))
    assert lane.service.uploads() == ()
    assert list(journal.glob("*")) == []
    owners = {call.headers.get(OWNER_HEADER) for call in lane.front.calls.all()}
    assert owners == {"123456789012"}, "the owner goes with every request"


@pytest.fixture
def lanes(fake_cloud: FakeCloud) -> Iterator[tuple[Lane, ...]]:
    with open_lanes(fake_cloud, LANES) as opened:
        yield opened


def carry_out_all(lanes: Sequence[Lane], seeds: Sequence[int], folder: Path) -> int:
    """Carry schedules out side by side, a lane each; give how many runs failed. A wrong end names its seed."""
    free: queue.SimpleQueue[Lane] = queue.SimpleQueue()
    for lane in lanes:
        free.put(lane)

    def one(seed: int) -> int:
        lane = free.get()
        try:
            return carry_out(seed, lane, folder / str(seed))
        except BaseException as exc:
            exc.add_note(f"schedule {seed}: {Schedule.draw(seed)}")
            raise
        finally:
            free.put(lane)
            shutil.rmtree(folder / str(seed), ignore_errors=True)

    with ThreadPoolExecutor(len(lanes)) as clients:
        return sum(clients.map(one, seeds))


@pytest.mark.slow
def test_300_schedules_of_faults_end_right_or_say_how_to_go_on(lanes, tmp_path):
    failed = carry_out_all(lanes, range(300), tmp_path)
    assert failed > 100, "schedules that do not hurt prove nothing"


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_5000_schedules_of_faults_end_right_or_say_how_to_go_on(lanes, tmp_path):
    carry_out_all(lanes, range(300, 5300), tmp_path)


@pytest.mark.torture
def test_a_connection_on_which_nothing_moves_for_a_minute_is_left_for_another(lanes, tmp_path):
    lane, files = lanes[0], make_files(tmp_path / "data", 0, [3 * PART], prefix="team")
    lane.clear(S3Rules(min_part_bytes=PART))
    lane.front.faults.add(Fault(kind=FaultKind.STALL, seconds=READ_TIMEOUT_S + 5), operation="UploadPart")
    assert send(lane, files, tmp_path / "journal", in_flight=1).done_bytes == 3 * PART
    assert lane.store.last_retry == "retry 1/9: ReadTimeoutError"
