"""An upload that is killed anywhere, any number of times, ends with the right bytes and sends little twice."""

import random
from itertools import count

import pytest

from cloudcpt.errors import CloudcptError, InputError
from cloudcpt.jobs.journal import UploadJournal
from cloudcpt.jobs.stale import abort_stale, stale_uploads
from tests.fake_objects import KILLS, FakeObjects, Fault, Killed, Line
from tests.jobs.uploads import PART, RESUME, Corpus, outcome, run, small_store

DAY_S = 86_400


def clean(store: FakeObjects, folder) -> None:
    """Be `cloudcpt clean`, a day later."""
    store.now += DAY_S
    found = stale_uploads(store, "team/cpt", older_than_s=DAY_S / 2, now=store.now)
    abort_stale(store, found, UploadJournal(folder))


def require_way_on(problem: CloudcptError) -> None:
    assert not isinstance(problem, InputError)
    assert problem.diagnostics[-1].code == "CPT418"
    assert RESUME in problem.diagnostics[-1].hint


def require_right(store: FakeObjects, corpus: Corpus, folder) -> None:
    assert store.objects == corpus.objects
    clean(store, folder)
    assert store.uploads == {}
    assert list(folder.glob("*")) == []


@pytest.mark.parametrize("in_flight", [1, 3])
@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize("encryption", ["", "key-1"], ids=["adopting", "by the journal alone"])
def test_a_kill_at_any_event_loses_nothing_and_sends_at_most_the_parts_in_flight_twice(
    tmp_path, kill, in_flight, encryption
):
    corpus = Corpus.make(tmp_path / "data", 4 * PART + 7, 10, 2 * PART)
    for event in count():
        store, line, folder = small_store(), Line({event: kill}), tmp_path / f"journal-{event}"
        store.encryption = encryption
        try:
            run(store, corpus.files, folder, line=line, parts_in_flight=in_flight)
        except Killed:
            pass
        else:
            assert line.happened == []
            assert event == line.events
            assert event > 15
            break
        again = Line()
        run(store, corpus.files, folder, line=again, parts_in_flight=in_flight)
        assert line.sent_bytes + again.sent_bytes <= corpus.size_bytes + in_flight * PART
        require_right(store, corpus, folder)


@pytest.mark.parametrize("kill", KILLS)
def test_a_second_kill_at_any_event_of_the_resumed_run_changes_nothing(tmp_path, kill):
    corpus = Corpus.make(tmp_path / "data", 3 * PART + 7)
    for event in count():
        store, folder = small_store(), tmp_path / f"journal-{event}"
        first, second, third = Line({5: Fault.KILL_AFTER}), Line({event: kill}), Line()
        with pytest.raises(Killed):
            run(store, corpus.files, folder, line=first)
        try:
            run(store, corpus.files, folder, line=second)
        except Killed:
            run(store, corpus.files, folder, line=third)
        sent = first.sent_bytes + second.sent_bytes + third.sent_bytes
        assert sent <= corpus.size_bytes + 2 * PART
        require_right(store, corpus, folder)
        if not second.happened:
            break


def schedule(seed: int) -> tuple[dict[int, Fault], int]:
    """Choose one to three kills and up to four other faults; give also how often the client may be stopped by them."""
    chance = random.Random(seed)
    kills = chance.choices(KILLS, k=chance.randint(1, 3))
    others = [fault for fault in Fault if fault not in KILLS]
    faults = kills + chance.choices(others, k=chance.randint(0, 4))
    return dict(zip(chance.sample(range(40), k=len(faults)), faults, strict=True)), chance.choice((1, 2, 4))


@pytest.mark.parametrize("seed", range(200))
def test_a_random_schedule_of_kills_and_faults_ends_right(tmp_path, seed):
    corpus = Corpus.make(tmp_path / "data", 5 * PART + 3, 20, 3 * PART)
    faults, in_flight = schedule(seed)
    store, folder = small_store(), tmp_path / "journal"
    line = Line(faults)
    for _ in range(len(faults) + 1):
        line.is_dead = False
        problem = outcome(store, corpus.files, folder, line=line, parts_in_flight=in_flight)
        if problem is None:
            break
        if isinstance(problem, CloudcptError):
            require_way_on(problem)
    else:
        pytest.fail("not done although no fault is left")
    if Fault.CONFLICT not in line.happened:  # after a conflict S3 wants everything again
        assert line.sent_bytes <= corpus.size_bytes + len(line.happened) * in_flight * PART
    require_right(store, corpus, folder)


@pytest.mark.parametrize("event", range(30))
def test_expired_credentials_stop_clean_and_keep_what_was_sent(tmp_path, event):
    corpus = Corpus.make(tmp_path / "data", 6 * PART + 1, 5)
    store, line = small_store(), Line({event: Fault.EXPIRED})
    problem = outcome(store, corpus.files, tmp_path / "journal", line=line)
    if problem:
        assert problem.diagnostics[0].code == "CPT401"
        assert problem.exit_code == 3
        require_way_on(problem)
    else:
        assert event >= line.events
    again = run(store, corpus.files, tmp_path / "journal")
    assert line.sent_bytes + again.sent_bytes == corpus.size_bytes
    require_right(store, corpus, tmp_path / "journal")
