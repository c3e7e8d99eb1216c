"""A staged model is whole, verified and recorded, or it is not there; what has come is never lost, nor believed."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from cloudcpt.errors import CloudcptError, InputError, PlanError, SetupError, TransientError, UsageProblem
from cloudcpt.fake.http import Answer, Request
from cloudcpt.hub.hugging_face import HuggingFace
from cloudcpt.hub.modelscope import ModelScope
from cloudcpt.jobs.gathering import gathering
from cloudcpt.jobs.intake import StagingProgress
from cloudcpt.jobs.published import HEAD_BYTES
from cloudcpt.jobs.stage import StagedModel, stage_model
from cloudcpt.plan.model_folder import LocalModel
from cloudcpt.plan.staged import STAGED_FILE, read_staged
from tests.fake_hubs import CONFIG, LEFT_OUT, MODEL, FakeHub, FakeHuggingFace, FakeModelScope, flipped, is_large

WHOLE = sum(map(len, MODEL.values()))
WEIGHTS = "b.safetensors"
NOW = datetime(2026, 11, 25, 12, 30, tzinfo=UTC)


@pytest.fixture
def hub() -> Iterator[FakeHuggingFace]:
    made = FakeHuggingFace()
    yield made
    made.close()


@pytest.fixture
def scope() -> Iterator[FakeModelScope]:
    made = FakeModelScope()
    yield made
    made.close()


def stage(
    hub: FakeHub, folder: Path, *, revision: str = "", show: Callable[[StagingProgress], None] = lambda _: None
) -> StagedModel:
    kind = ModelScope if isinstance(hub, FakeModelScope) else HuggingFace
    publisher = kind(hub.url, token="", sleep=lambda _: None)
    publication = publisher.find("org/model", revision)
    return stage_model(publisher, publication, folder, show=show, now=lambda: NOW)


def failure(action: Callable[[], object]) -> CloudcptError:
    with pytest.raises(CloudcptError) as caught:
        action()
    return caught.value


def codes(action: Callable[[], object]) -> list[str]:
    return [found.code for found in failure(action).diagnostics]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def partial(folder: Path) -> Path:
    """Find the folder in which a model is gathered."""
    (found,) = folder.parent.glob(f".{folder.name}.*.partial")
    return found


def until_a_byte_is_missing(hub: FakeHub, name: str, after: int) -> None:
    """Let every answer about a file end after so many bytes of it, counted from its start, for good."""

    def cut(request: Request, answer: Answer) -> Answer:
        is_a_look = request.headers.get("range") == f"bytes=0-{HEAD_BYTES - 1}"
        if name not in request.path + request.query or answer.status != 206 or is_a_look:
            return answer
        start = int(answer.headers["Content-Range"].removeprefix("bytes ").split("-")[0])
        return replace(answer, cut_at=max(0, after - start))

    hub.on_the_way = cut


@pytest.mark.parametrize("kind", ["hub", "scope"])
def test_what_a_job_needs_comes_and_nothing_else(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    hub = request.getfixturevalue(kind)
    staged = stage(hub, tmp_path / "deep" / "model")
    found = contents(tmp_path / "deep" / "model")
    record = json.loads(found.pop(STAGED_FILE))
    assert found == MODEL
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model"]
    assert {name: hub.downloads(name) for name in LEFT_OUT} == {name: [] for name in LEFT_OUT}
    assert record == {
        "schema_version": 1,
        "made_by": record["made_by"],
        "source": "hub" if kind == "hub" else "modelscope",
        "endpoint": hub.url,
        "repo": "org/model",
        "revision": "main" if kind == "hub" else "master",
        "commit": hub.repos["org/model"].commit if kind == "hub" else "",
        "listing": record["listing"],
        "staged_at": "2026-11-25T12:30:00+00:00",
        "files": [
            {
                "name": name,
                "size_bytes": len(body),
                "sha256": hashlib.sha256(body).hexdigest(),
                "blake3": blake3(body).hexdigest(),
            }
            for name, body in sorted(MODEL.items())
        ],
    }
    assert staged.record == read_staged(LocalModel(tmp_path / "deep" / "model"))
    assert (staged.base.architecture, staged.base.sizes.parameters) == ("llama", (1024 + 4096) * 256)
    assert staged.progress == StagingProgress(files=len(MODEL), size_bytes=WHOLE, fetched_bytes=WHOLE, kept_bytes=0)


def test_an_empty_folder_is_a_good_destination(hub: FakeHuggingFace, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    stage(hub, tmp_path / "model")
    assert contents(tmp_path / "model").keys() == {*MODEL, STAGED_FILE}


def test_progress_never_goes_back_and_ends_at_the_whole(hub: FakeHuggingFace, tmp_path: Path) -> None:
    seen: list[int] = []
    stage(hub, tmp_path / "model", show=lambda reached: seen.append(reached.done_bytes))
    assert seen == sorted(seen)
    assert seen[-1] == WHOLE


@pytest.mark.parametrize("kind", ["hub", "scope"])
def test_the_same_command_again_verifies_and_fetches_no_weights(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    hub = request.getfixturevalue(kind)
    first = stage(hub, tmp_path / "model")
    hub.seen.clear()
    again = stage(hub, tmp_path / "model")
    assert again.record == first.record
    assert (again.progress.fetched_bytes, again.progress.kept_bytes) == (0, WHOLE)
    assert hub.downloads(WEIGHTS) == [f"bytes=0-{HEAD_BYTES - 1}"]  # its header
    assert hub.downloads("tokenizer.json") == []


@pytest.mark.parametrize("after", [0, 1, 700_000, len(MODEL[WEIGHTS]) - 1])
def test_what_has_come_of_a_file_is_not_fetched_again(hub: FakeHuggingFace, tmp_path: Path, after: int) -> None:
    until_a_byte_is_missing(hub, WEIGHTS, after)
    gone = failure(lambda: stage(hub, tmp_path / "model"))
    assert isinstance(gone, TransientError)
    assert [found.code for found in gone.diagnostics] == ["CPT735", "CPT743"]
    assert not (tmp_path / "model").exists()
    work = partial(tmp_path / "model")
    assert f"`{work}`" in gone.diagnostics[1].message
    assert (work / WEIGHTS).read_bytes() == MODEL[WEIGHTS][:after]
    finished = {path.name for path in work.iterdir() if path.read_bytes() == MODEL[path.name]}
    hub.on_the_way = lambda _, answer: answer
    hub.seen.clear()
    staged = stage(hub, tmp_path / "model")
    assert {name: body for name, body in contents(tmp_path / "model").items() if name != STAGED_FILE} == MODEL
    assert hub.downloads(WEIGHTS)[1:] == [f"bytes={after}-{len(MODEL[WEIGHTS]) - 1}"]
    assert all(hub.downloads(name)[1:] == [] for name in finished)
    assert staged.progress.kept_bytes == after + sum(len(MODEL[name]) for name in finished)
    assert staged.progress.done_bytes == WHOLE
    assert not work.exists()


@pytest.mark.parametrize("damage", ["a bit", "too long", "zeros"])
def test_what_has_come_is_not_believed(hub: FakeHuggingFace, tmp_path: Path, damage: str) -> None:
    """A power cut may leave anything of what was being written."""
    until_a_byte_is_missing(hub, WEIGHTS, 900_000)
    failure(lambda: stage(hub, tmp_path / "model"))
    path = partial(tmp_path / "model") / WEIGHTS
    body = bytearray(path.read_bytes())
    if damage == "a bit":
        body[100] ^= 1
    elif damage == "too long":
        body += bytes(len(MODEL[WEIGHTS]))
    else:
        body[-4096:] = bytes(4096)
    path.write_bytes(body)
    hub.on_the_way = lambda _, answer: answer
    staged = stage(hub, tmp_path / "model")
    assert (tmp_path / "model" / WEIGHTS).read_bytes() == MODEL[WEIGHTS]
    assert staged.progress.done_bytes - staged.progress.fetched_bytes == staged.progress.kept_bytes
    assert staged.record.files == stage(hub, tmp_path / "model").record.files


@pytest.mark.parametrize("name", [WEIGHTS, "README.md"])
def test_a_flipped_bit_is_found_and_the_file_is_fetched_again(hub: FakeHuggingFace, tmp_path: Path, name: str) -> None:
    """A large file is known by its SHA-256, a small one by the hash that git gives it."""
    hub.on_the_way = lambda request, answer: flipped(answer) if name in request.path and answer.body else answer
    # Looking at the weights reads their header only, which is not in the middle of what comes.
    damaged = failure(lambda: stage(hub, tmp_path / "model"))
    assert isinstance(damaged, TransientError)
    assert damaged.diagnostics[0].code == "CPT737"
    assert f"`{name}` of `org/model` arrived damaged" in damaged.diagnostics[0].message
    assert not (tmp_path / "model").exists()
    assert not (partial(tmp_path / "model") / name).exists()
    hub.on_the_way = lambda _, answer: answer
    stage(hub, tmp_path / "model")
    assert (tmp_path / "model" / name).read_bytes() == MODEL[name]


def test_the_state_that_was_looked_at_is_the_one_that_comes(scope: FakeModelScope, tmp_path: Path) -> None:
    """ModelScope has no commits to ask by: what changes in between is refused by its SHA-256."""
    publisher = ModelScope(scope.url, token="", sleep=lambda _: None)
    publication = publisher.find("org/model", "")
    scope.repos["org/model"].files["README.md"] = b"# another"
    assert codes(lambda: stage_model(publisher, publication, tmp_path / "model", show=lambda _: None))[0] == "CPT737"


def test_everything_is_asked_for_by_commit(hub: FakeHuggingFace, tmp_path: Path) -> None:
    stage(hub, tmp_path / "model", revision="v1.0")
    commit = hub.repos["org/model"].commit
    assert {request.path.split("/")[4] for request in hub.seen if "/resolve/" in request.path} == {commit}


@pytest.mark.parametrize("what", ["notes", "file", "model"])
def test_what_is_at_the_destination_is_never_touched(hub: FakeHuggingFace, tmp_path: Path, what: str) -> None:
    place = tmp_path / "model"
    if what == "file":
        place.write_text("mine")
    else:
        place.mkdir()
        (place / "notes.txt").write_text("mine")
    if what == "model":
        (place / STAGED_FILE).write_text("{}")
    before = place.read_text() if what == "file" else contents(place)
    refusal = failure(lambda: stage(hub, place))
    assert (type(refusal), refusal.diagnostics[0].code) == (UsageProblem, "CPT739")
    assert (place.read_text() if what == "file" else contents(place)) == before
    assert len(hub.seen) == 1  # it was not even looked at


def test_another_state_of_the_model_needs_another_folder(hub: FakeHuggingFace, tmp_path: Path) -> None:
    stage(hub, tmp_path / "model")
    before, commit = contents(tmp_path / "model"), hub.repos["org/model"].commit
    hub.repos["org/model"].files["README.md"] = b"# Better"
    refusal = failure(lambda: stage(hub, tmp_path / "model"))
    assert (type(refusal), refusal.diagnostics[0].code) == (UsageProblem, "CPT739")
    assert f"`org/model at {commit[:12]}`" in refusal.diagnostics[0].message
    assert contents(tmp_path / "model") == before


def test_two_states_are_not_mixed(hub: FakeHuggingFace, tmp_path: Path) -> None:
    until_a_byte_is_missing(hub, WEIGHTS, 800_000)
    failure(lambda: stage(hub, tmp_path / "model"))
    files = hub.repos["org/model"].files
    files[WEIGHTS] = files[WEIGHTS][:-1] + b"?"
    hub.on_the_way = lambda _, answer: answer
    hub.seen.clear()
    assert stage(hub, tmp_path / "model").progress.kept_bytes == 0
    assert (tmp_path / "model" / WEIGHTS).read_bytes() == files[WEIGHTS]


@pytest.mark.parametrize("change", ["bit", "gone"])
def test_a_staged_model_that_was_changed_is_not_called_whole(hub: FakeHuggingFace, tmp_path: Path, change: str) -> None:
    stage(hub, tmp_path / "model")
    path = tmp_path / "model" / WEIGHTS
    body = bytearray(path.read_bytes())
    body[-1] ^= 1
    path.write_bytes(body)
    if change == "gone":
        (tmp_path / "model" / "tokenizer.json").unlink()
    refusal = failure(lambda: stage(hub, tmp_path / "model"))
    assert isinstance(refusal, InputError)
    assert [found.code for found in refusal.diagnostics] == ["CPT741"] * (1 + (change == "gone"))
    assert f"`{path}`" in refusal.diagnostics[0].message


def config(**changes: Any) -> bytes:
    return json.dumps(CONFIG | changes).encode()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"a.safetensors": None, "b.safetensors": None, "model.safetensors.index.json": None}, "CPT528"),
        ({"a.safetensors": None}, "CPT529"),
        ({"config.json": config(quantization_config={"bits": 4})}, "CPT525"),
        ({"config.json": config(auto_map={"AutoModel": "modeling_x.X"})}, "CPT526"),
        ({"config.json": config(model_type="mamba")}, "CPT531"),
        ({"config.json": None}, "CPT521"),
        ({"tokenizer.json": None}, "CPT527"),
        ({"b.safetensors": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n"}, "CPT529"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_its_weights_are_fetched(
    hub: FakeHuggingFace, tmp_path: Path, changes: dict[str, bytes | None], found: str
) -> None:
    files = {name: body for name, body in {**MODEL, **changes}.items() if body is not None}
    hub.repos["org/model"].files = files
    refusal = failure(lambda: stage(hub, tmp_path / "model"))
    assert isinstance(refusal, PlanError)
    assert found in [one.code for one in refusal.diagnostics]
    assert refusal.diagnostics[0].message.startswith("`org/model` ")
    assert list(tmp_path.iterdir()) == []
    assert sum(len(MODEL[name]) for name in files if len(hub.downloads(name)) > 1) == 0


@pytest.mark.parametrize(("name", "code"), [("pytorch_model.bin", "CPT522"), ("model.Q4_K_M.gguf", "CPT523")])
def test_weights_in_another_form_are_never_fetched(hub: FakeHuggingFace, tmp_path: Path, name: str, code: str) -> None:
    files = {kept: body for kept, body in MODEL.items() if "safetensors" not in kept}
    hub.repos["org/model"].files = {**files, name: b"x" * 1000}
    assert codes(lambda: stage(hub, tmp_path / "model")) == [code]
    assert hub.downloads(name) == []


def test_a_disk_that_is_too_small_is_said_before_anything_comes(hub: FakeHuggingFace, tmp_path: Path) -> None:
    def swollen(request: Request, answer: Answer) -> Answer:
        if not request.path.startswith("/api/"):
            return answer
        document = json.loads(answer.body)
        for row in document["siblings"]:
            row["size"] = 1 << 60 if row["rfilename"] == "README.md" else row["size"]
        return replace(answer, body=json.dumps(document).encode())

    hub.on_the_way = swollen
    refusal = failure(lambda: stage(hub, tmp_path / "model"))
    assert (type(refusal), refusal.diagnostics[0].code) == (SetupError, "CPT738")
    assert "1,073,741,824.0 GiB are still to come" in refusal.diagnostics[0].message
    assert hub.downloads("tokenizer.json") == []


def test_a_place_that_cannot_be_written_is_said(hub: FakeHuggingFace, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refusal = failure(lambda: stage(hub, tmp_path / "file" / "model"))
    assert (type(refusal), refusal.diagnostics[0].code) == (SetupError, "CPT738")
    assert "Not a directory" in refusal.diagnostics[0].message


def test_a_name_that_could_not_be_shown_is_refused(hub: FakeHuggingFace, tmp_path: Path) -> None:
    hub.repos["org/model"].files["bell\a.json"] = b"{}"
    assert codes(lambda: stage(hub, tmp_path / "model")) == ["CPT310"]


def test_two_at_once_do_not_write_into_each_others_files(hub: FakeHuggingFace, tmp_path: Path) -> None:
    seen: list[str] = []

    def stage_again(_: StagingProgress) -> None:
        if not seen:
            seen.append("")
            refusal = failure(lambda: stage(hub, tmp_path / "model"))
            seen[0] = f"{type(refusal).__name__} {refusal.diagnostics[0].code}"

    stage(hub, tmp_path / "model", show=stage_again)
    assert seen == ["TransientError CPT740"]
    assert (tmp_path / "model" / WEIGHTS).read_bytes() == MODEL[WEIGHTS]


def test_a_folder_that_was_finished_meanwhile_is_not_gathered_in(tmp_path: Path) -> None:
    with gathering(tmp_path / "model", "0" * 64) as work:
        work.rename(tmp_path / "model")
        with gathering(tmp_path / "model", "0" * 64) as other:  # a new one, with a lock of its own
            assert other.is_dir()
    assert (tmp_path / "model").is_dir()


def test_small_files_are_verified_by_the_hash_that_git_gives_them(hub: FakeHuggingFace) -> None:
    publisher = HuggingFace(hub.url, token="", sleep=lambda _: None)
    files = publisher.find("org/model", "").files
    assert {file.name: bool(file.sha256) for file in files} == {file.name: is_large(file.name) for file in files}
    assert all(file.sha256 or file.git_sha1 for file in files)
