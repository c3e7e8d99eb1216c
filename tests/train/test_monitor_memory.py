"""A run that goes on is judged as one that was never interrupted, wherever the interruption was."""

import json
import math
import random

import pytest

from cloudcpt.train.course import CourseWatch
from cloudcpt.train.spikes import SpikeWatch

pytestmark = pytest.mark.train

NOISE = random.Random(5)
LOSSES = [
    3.0 - step / 200 + NOISE.uniform(-0.02, 0.02) + (1.5 if step in (90, 91, 160) else 0) + max(0, step - 200) / 40
    for step in range(280)
]


def whole(watch, feed):
    return [feed(watch, step, loss) for step, loss in enumerate(LOSSES, 1)]


def interrupted(make, feed, every):
    """Feed the same steps to a chain of watches, each of which has only read what the last one left as JSON."""
    watch, judged = make(), []
    for step, loss in enumerate(LOSSES, 1):
        judged.append(feed(watch, step, loss))
        if step % every == 0:
            memory = json.loads(json.dumps(watch.memory()))
            watch = make()
            watch.recall(memory)
    return judged


def spike(watch, _step, loss):
    return watch.step(loss)


def course(watch, step, loss):
    return watch.step(step, loss=loss, grad_norm=1.0 + math.sin(step)), watch.course


@pytest.mark.parametrize("every", [1, 7, 95])
@pytest.mark.parametrize(
    ("make", "feed"),
    [
        (lambda: SpikeWatch(1.1), spike),
        (lambda: CourseWatch(warmup_steps=5, total_steps=len(LOSSES)), course),
    ],
    ids=["spikes", "course"],
)
def test_a_watch_that_was_read_back_judges_alike(make, feed, every):
    judged = whole(make(), feed)
    assert len(set(map(str, judged))) > 1
    assert interrupted(make, feed, every) == judged
