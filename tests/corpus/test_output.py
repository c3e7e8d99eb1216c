"""An output appears whole under its name or not at all, whatever is killed, and nothing is replaced unasked."""

import functools
import json
import os
import resource
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.corpus import partial
from cloudcpt.corpus.output import REPORT_FILE, Output
from cloudcpt.errors import CloudcptError, ExitCode
from tests.corpus.kills import killed_at

STEPS = ("a.jsonl", "deep/b.jsonl", "c.jsonl")
OLD = {"old.jsonl": b"old\n"}


def text_of(work: Mapping[str, Any], step: str) -> bytes:
    return f"{work['name']} {step}\n".encode() * 3


def write_folder(target: Path, work: Mapping[str, Any], *, overwrite: bool = False) -> Output:
    """Do the work of a command in three steps, as the data commands do: those that are finished are not done again."""
    output = Output(target, work, overwrite=overwrite)
    for step in STEPS:
        if step in output.finished:
            continue
        with output.writing(step) as file:
            file.write(text_of(work, step))
        with output.appending("dropped.jsonl") as file:
            file.write(f"dropped from {step}\n".encode())
        output.finish(step, {"documents": 3})
    output.commit({"documents": sum(noted["documents"] for noted in output.finished.values())})
    return output


def write_file(target: Path, work: Mapping[str, Any], *, overwrite: bool = False) -> Output:
    output = Output(target, work, overwrite=overwrite)
    for step in STEPS:
        if step not in output.finished:
            with output.appending(target.name) as file:
                file.write(text_of(work, step))
            output.finish(step, None)
    output.commit({})
    return output


def content(target: Path) -> dict[str, bytes]:
    """Read everything below a folder, or a single file under its own name; empty when nothing is there."""
    if target.is_file():
        return {target.name: target.read_bytes()}
    return {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}


def code_of(function: Callable[[], object]) -> str:
    with pytest.raises(CloudcptError) as raised:
        function()
    (found,) = raised.value.diagnostics
    assert found.hint, "every refusal says what to do"
    assert raised.value.exit_code in (ExitCode.USAGE, ExitCode.SETUP)
    return found.code


@pytest.mark.parametrize(
    ("write", "is_there", "has_exchange"),
    [
        (write_folder, False, True),
        (write_folder, True, True),
        (write_folder, True, False),
        (write_file, False, True),
        (write_file, True, True),
    ],
)
def test_a_kill_at_any_step_leaves_the_old_or_the_new_and_the_same_command_goes_on(
    tmp_path: Path, write: Callable[..., Output], is_there: bool, has_exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "out" if write is write_folder else "out.jsonl"
    write(tmp_path / "wanted" / name, {"name": "new"})
    write(tmp_path / "before" / name, {"name": "old"})
    wanted, before = content(tmp_path / "wanted" / name), content(tmp_path / "before" / name) if is_there else {}
    if not has_exchange:
        monkeypatch.setattr(partial, "exchange", lambda *_: False)
    between_renames = 0
    for event in range(1, 1000):
        target = tmp_path / str(event) / name
        if is_there:
            write(target, {"name": "old"})
        again = functools.partial(write, target, {"name": "new"})
        was_killed = killed_at(event, functools.partial(again, overwrite=is_there))
        if not target.exists() and is_there and not has_exchange:
            between_renames += 1
        else:
            assert content(target) in (before, wanted)
        if content(target) == wanted and not is_there:
            assert code_of(again) == "CPT370"
        else:
            again(overwrite=is_there)
        assert content(target) == wanted
        assert not list(target.parent.glob(f"{name}.partial")), "nothing is left beside it"
        if not was_killed:
            break
    assert event > 40, "the kills went through the whole work"
    assert between_renames == (1 if write is write_folder and is_there and not has_exchange else 0)


def test_finished_steps_are_not_done_again(tmp_path: Path) -> None:
    target = tmp_path / "out"
    first = Output(target, {"name": "new"})
    with first.writing(STEPS[0]) as file:
        file.write(b"written by the first command\n")
    first.finish(STEPS[0], {"documents": 40})
    with first.writing(STEPS[1]) as file:
        file.write(b"never finished\n")
    write_folder(target, {"name": "new"})
    assert content(target)["a.jsonl"] == b"written by the first command\n"
    assert content(target)[STEPS[1]] == text_of({"name": "new"}, STEPS[1])
    assert json.loads(content(target)[REPORT_FILE])["documents"] == 46


def test_other_work_begins_anew(tmp_path: Path) -> None:
    target = tmp_path / "out"
    first = Output(target, {"name": "old"})
    for name in ("a.jsonl", "only-the-first.jsonl"):
        with first.writing(name) as file:
            file.write(b"of other work\n")
    first.finish("a.jsonl", {"documents": 3})
    output = write_folder(target, {"name": "new"})
    assert output.gave_up
    assert set(content(target)) == {*STEPS, "dropped.jsonl", REPORT_FILE}
    assert content(target)["a.jsonl"] == text_of({"name": "new"}, "a.jsonl")


def test_half_a_line_of_the_journal_is_a_step_that_did_not_end(tmp_path: Path) -> None:
    target = tmp_path / "out"
    first = Output(target, {})
    for step in "ab":
        with first.appending("all.jsonl") as file:
            file.write(step.encode())
        first.finish(step, None)
    journal = tmp_path / "out.partial" / "journal"
    journal.write_bytes(journal.read_bytes()[:-9])
    second = Output(target, {})
    assert list(second.finished) == ["a"]
    second.commit({})
    assert content(target)["all.jsonl"] == b"a"


def test_the_partial_folder_is_no_dataset(tmp_path: Path) -> None:
    from cloudcpt.dataset.files import LocalFiles

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "in.jsonl").write_text("")
    output = Output(tmp_path / "data" / "out.jsonl", {})
    with output.appending("out.jsonl") as file:
        file.write(b"{}")
    output.finish("in.jsonl", None)
    assert [file.name for file in LocalFiles(tmp_path).select("data").files] == ["in.jsonl"]


@pytest.mark.parametrize(
    ("prepare", "target", "overwrite", "code"),
    [
        (lambda at: (at / "out").mkdir() or (at / "out" / "mine.txt").touch(), "out", False, "CPT370"),
        (lambda at: (at / "out").mkdir() or (at / "out" / "mine.txt").touch(), "out", True, "CPT373"),
        (lambda at: (at / "out").mkdir() or (at / "out" / REPORT_FILE).write_text("{}"), "out", True, "CPT373"),
        (lambda at: (at / "out.jsonl").touch(), "out.jsonl", False, "CPT370"),
        (lambda at: (at / "out.jsonl").mkdir(), "out.jsonl", True, "CPT370"),
        (lambda at: (at / "out").touch(), "out", True, "CPT370"),
        (lambda at: (at / "out").symlink_to("nothing"), "out", True, "CPT370"),
        (lambda at: (at / "out.jsonl").symlink_to("nothing"), "out.jsonl", False, "CPT370"),
        (lambda at: (at / "out.partial").touch(), "out", True, "CPT373"),
        (lambda at: (at / "out.partial").symlink_to("nothing"), "out", True, "CPT373"),
        (lambda at: (at / "out.partial").mkdir() or (at / "out.partial" / "mine").touch(), "out", True, "CPT373"),
        (lambda at: (at / "file").touch(), "file/out", True, "CPT374"),
        (lambda at: (at / "file").touch(), "file/deep/out", True, "CPT374"),
        (lambda _: None, "n" * 250, True, "CPT374"),
        (lambda at: (at / "out").mkdir() or (at / "out" / "mine.txt").touch(), "out/.", True, "CPT373"),
    ],
)
def test_what_is_not_ours_is_never_replaced(
    tmp_path: Path, prepare: Callable[[Path], None], target: str, overwrite: bool, code: str
) -> None:
    prepare(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert code_of(lambda: Output(tmp_path / target, {}, overwrite=overwrite)) == code
    assert sorted(tmp_path.rglob("*")) == before, "a refusal changes nothing"


def test_the_current_folder_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.txt").touch()
    monkeypatch.chdir(tmp_path)
    assert code_of(lambda: Output(Path(), {}, overwrite=True)) == "CPT373"
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert code_of(lambda: Output(Path(".."), {}, overwrite=True)) == "CPT373"


def test_folders_on_the_way_are_made_and_an_empty_folder_is_written_into(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_folder(tmp_path / "empty", {"name": "new"})
    write_file(tmp_path / "not" / "yet" / "there.jsonl", {"name": "new"})
    assert content(tmp_path / "empty")
    assert content(tmp_path / "not" / "yet" / "there.jsonl")


@pytest.mark.parametrize(
    ("target", "inputs", "sources"),
    [
        ("data", ["data/a.jsonl"], []),
        ("data/a.jsonl", ["data/a.jsonl"], []),
        ("data/out", [], ["data"]),
        ("data/deep/out.jsonl", [], ["data"]),
        ("data", [], ["data"]),
        ("link/out", [], ["data"]),
    ],
)
def test_an_output_does_not_lie_among_its_inputs(
    tmp_path: Path, target: str, inputs: list[str], sources: list[str]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    work = {"input_files": [{"path": str(tmp_path / path)} for path in inputs]}
    named = [str(tmp_path / source) for source in sources]
    assert code_of(lambda: Output(tmp_path / target, work, overwrite=True, sources=named)) == "CPT371"


def test_an_output_may_lie_beside_its_input(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    work = {"input_files": [{"path": str(tmp_path / "a.jsonl")}, {"path": "s3://bucket/a.jsonl"}]}
    Output(tmp_path / "b.jsonl", work, sources=[str(tmp_path / "a.jsonl"), "s3://bucket/"])


def test_the_same_command_hears_that_there_is_nothing_to_do(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", {"name": "new"})
    with pytest.raises(CloudcptError, match="this same command wrote it"):
        write_folder(tmp_path / "out", {"name": "new"})
    with pytest.raises(CloudcptError, match=r"`.*out` is there already$"):
        write_folder(tmp_path / "out", {"name": "other"})


@pytest.mark.parametrize("name", ["out", "out.jsonl"])
def test_what_has_come_to_be_there_meanwhile_stays(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    output = Output(target, {})
    with output.writing(name) as file:
        file.write(b"ours")
    output.finish("one", None)
    theirs = target if target.suffix else target / "theirs"
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_bytes(b"theirs")
    assert code_of(lambda: output.commit({})) == "CPT370"
    assert theirs.read_bytes() == b"theirs"
    theirs.unlink()
    again = Output(target, {})
    assert list(again.finished) == ["one"]
    again.commit({})
    assert b"ours" in content(target).values()


def test_a_second_command_at_the_same_time_is_refused(tmp_path: Path) -> None:
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        Output(tmp_path / "out", {})
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    assert code_of(lambda: Output(tmp_path / "out", {})) == "CPT372"
    assert code_of(lambda: Output(tmp_path / "out", {"other": "work"}, overwrite=True)) == "CPT372"
    os.write(done[1], b"x")
    os.waitpid(child, 0)
    for descriptor in (*ready, *done):
        os.close(descriptor)
    write_folder(tmp_path / "out", {"name": "new"})


@pytest.mark.parametrize("buffered", [True, False])
def test_a_full_disk_is_said_and_the_same_command_goes_on(tmp_path: Path, buffered: bool) -> None:
    """A limit on the size of files stands in for a disk: the system refuses the same call at the same place."""
    size = 1000 if buffered else 3 << 20

    def write(output: Output, step: str, letter: bytes) -> None:
        with output.writing(step) as file:
            file.write(letter * size)
        output.finish(step, None)

    script = Output(tmp_path / "out", {})
    write(script, "a", b"a")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))
    try:
        with pytest.raises(CloudcptError, match=r"CPT374: .*File too large") as raised:
            write(script, "b", b"b")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.exit_code is ExitCode.SETUP
    again = Output(tmp_path / "out", {})
    assert list(again.finished) == ["a"]
    write(again, "b", b"b")
    again.commit({})
    assert content(tmp_path / "out")["b"] == b"b" * size


def test_a_full_disk_says_what_to_do(tmp_path: Path) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", tmp_path], capture_output=True).returncode:
        pytest.skip("file systems can be mounted by root only")
    try:
        output = Output(tmp_path / "out", {})
        with pytest.raises(CloudcptError, match="No space left") as raised, output.writing("a") as file:
            file.write(b"a" * (2 << 20))
        assert "make room" in (raised.value.diagnostics[0].hint or "")
        assert code_of(lambda: Output(tmp_path, {})) == "CPT370", "a folder cannot be renamed over a mount"
    finally:
        subprocess.run(["umount", "--lazy", tmp_path], check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert code_of(lambda: Output(tmp_path / "out", {})) == "CPT374"


def test_a_file_system_that_is_read_only_is_said() -> None:
    assert code_of(lambda: Output(Path("/proc/out"), {})) == "CPT374"


def test_an_error_of_the_command_leaves_no_half_file(tmp_path: Path) -> None:
    output = Output(tmp_path / "out", {})

    def write() -> None:
        with output.writing("a.jsonl") as file:
            file.write(b"a" * (3 << 20))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    output.commit({})
    assert "a.jsonl" not in content(tmp_path / "out")
