"""What goes wrong on the way between a client and a service, chosen by operation and number or by a seed.

A fault says what happens to one call; `Faults` decides which calls it happens to. A seeded schedule depends on the
seed and on the number of the call alone, so a run of a client that makes its calls in one order can be repeated.
"""

import random
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class FaultKind(StrEnum):
    """What happens to a call."""

    REFUSE = "refuse"
    """An error answer; nothing is done."""
    REFUSE_AFTER = "refuse-after"
    """It is done, and the answer says that it failed."""
    DROP_BEFORE = "drop-before"
    """The connection is reset; nothing is done."""
    DROP_AFTER = "drop-after"
    """It is done, and the connection is reset instead of an answer."""
    CUT_REQUEST = "cut-request"
    """The connection is reset while the client still sends."""
    CUT_ANSWER = "cut-answer"
    """Half of the answer's body arrives."""
    FLIP_REQUEST = "flip-request"
    """One bit of the request's body is another one when it arrives."""
    FLIP_ANSWER = "flip-answer"
    """One bit of the answer's body is another one when it arrives."""
    STALL = "stall"
    """Nothing happens for a while, then everything as usual."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    Args:
        kind: What happens.
        status: HTTP status of an error answer.
        code: The service's code in an error answer.
        message: The service's text in an error answer.
        seconds: How long a stall lasts, in real time.
        position: Where in the body a bit flips, from 0.0 (first byte) up to 1.0.
    """

    kind: FaultKind
    status: int = 500
    code: str = "InternalError"
    message: str = "We encountered an internal error. Please try again."
    seconds: float = 0.0
    position: float = 0.5


INTERNAL_ERROR = Fault(kind=FaultKind.REFUSE)
SLOW_DOWN = Fault(kind=FaultKind.REFUSE, status=503, code="SlowDown", message="Please reduce your request rate.")
UNAVAILABLE = Fault(
    kind=FaultKind.REFUSE, status=503, code="ServiceUnavailable", message="Service is unable to handle request."
)
THROTTLED = Fault(kind=FaultKind.REFUSE, status=400, code="ThrottlingException", message="Rate exceeded")
TOO_MANY_REQUESTS = replace(THROTTLED, status=429, code="TooManyRequestsException", message="Too Many Requests")
EXPIRED_TOKEN = Fault(kind=FaultKind.REFUSE, status=400, code="ExpiredToken", message="The provided token has expired.")
EXPIRED_TOKEN_JSON = replace(
    EXPIRED_TOKEN,
    code="ExpiredTokenException",
    message="The security token included in the request is expired",
)
CLOCK_SKEW = Fault(
    kind=FaultKind.REFUSE,
    status=403,
    code="RequestTimeTooSkewed",
    message="The difference between the request time and the current time is too large.",
)
CONDITIONAL_CONFLICT = Fault(
    kind=FaultKind.REFUSE,
    status=409,
    code="ConditionalRequestConflict",
    message="The conditional request cannot succeed due to a conflicting operation against this resource.",
)
LOST_REQUEST = Fault(kind=FaultKind.DROP_BEFORE)
LOST_ANSWER = Fault(kind=FaultKind.DROP_AFTER)
FAILED_ANSWER = Fault(kind=FaultKind.REFUSE_AFTER)
CUT_REQUEST = Fault(kind=FaultKind.CUT_REQUEST)
CUT_ANSWER = Fault(kind=FaultKind.CUT_ANSWER)
FLIPPED_REQUEST = Fault(kind=FaultKind.FLIP_REQUEST)
FLIPPED_ANSWER = Fault(kind=FaultKind.FLIP_ANSWER)

TRANSIENT: tuple[Fault, ...] = (
    INTERNAL_ERROR,
    SLOW_DOWN,
    UNAVAILABLE,
    LOST_REQUEST,
    LOST_ANSWER,
    FAILED_ANSWER,
    CUT_REQUEST,
    CUT_ANSWER,
    FLIPPED_REQUEST,
)
"""What a client should survive by trying again."""

EVERY_OPERATION = "*"


@dataclass(kw_only=True)
class _Appointment:
    fault: Fault
    operation: str
    calls_to_pass: int
    times_left: int


@dataclass(frozen=True, kw_only=True)
class _Schedule:
    seed: int | str
    rate: float
    faults: tuple[Fault, ...]


class Faults:
    """Decides, for each call of one service, what goes wrong with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._appointments: list[_Appointment] = []
        self._schedule: _Schedule | None = None
        self._calls = 0

    def add(self, *faults: Fault, operation: str = EVERY_OPERATION, nth: int = 1, times: int = 1) -> None:
        """Let faults happen to coming calls, one after the other.

        Args:
            faults: The first one happens to the nth call, the next one to the call after that.
            operation: Only calls of this operation count.
            nth: 1 is the very next call.
            times: How often each of them happens before the next one does.
        """
        with self._lock:
            for place, fault in enumerate(faults):
                passing = nth - 1 + place * times
                self._appointments.append(
                    _Appointment(fault=fault, operation=operation, calls_to_pass=passing, times_left=times)
                )

    def seed(self, seed: int | str, *, rate: float, faults: Sequence[Fault] = TRANSIENT) -> None:
        """Let faults happen at random from now on, until `clear`.

        Args:
            seed: The same seed gives the same faults for the same sequence of calls.
            rate: Share of the calls that a fault happens to.
            faults: What is chosen from; a flip gets a position of its own.
        """
        with self._lock:
            self._calls = 0
            self._schedule = _Schedule(seed=seed, rate=rate, faults=tuple(faults))

    def clear(self) -> None:
        """Let everything go well from now on."""
        with self._lock:
            self._appointments.clear()
            self._schedule = None

    def next(self, operation: str) -> Fault | None:
        """Count a call and give what goes wrong with it."""
        with self._lock:
            self._calls += 1
            due = [found for found in self._matching(operation) if _is_due(found)]
            self._appointments = [found for found in self._appointments if found.times_left > 0]
            return due[0].fault if due else self._drawn()

    def _matching(self, operation: str) -> Iterable[_Appointment]:
        return [found for found in self._appointments if found.operation in (operation, EVERY_OPERATION)]

    def _drawn(self) -> Fault | None:
        if self._schedule is None:
            return None
        draw = random.Random(f"{self._schedule.seed}:{self._calls}")
        if draw.random() >= self._schedule.rate:
            return None
        return replace(draw.choice(self._schedule.faults), position=draw.random())


def _is_due(appointment: _Appointment) -> bool:
    """Count one call that the appointment waits for, and tell whether this is the one."""
    if appointment.calls_to_pass > 0:
        appointment.calls_to_pass -= 1
        return False
    appointment.times_left -= 1
    return True


def flipped(body: bytes, position: float) -> bytes:
    """Give the body with one bit changed."""
    if not body:
        return body
    place = min(int(position * len(body)), len(body) - 1)
    changed = bytearray(body)
    changed[place] ^= 1 << (place % 8)
    return bytes(changed)
