"""What Hugging Face says of a model, what it gives, and each of its refusals in our words."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from cloudcpt.errors import CloudcptError, ServiceRefused, SetupError, UsageProblem
from cloudcpt.fake.http import Answer
from cloudcpt.hub.hugging_face import HuggingFace
from tests.fake_hubs import LEFT_OUT, MODEL, TOKEN, FakeHuggingFace, Repo, git_hash, is_large

Opened = Callable[..., HuggingFace]


@pytest.fixture
def opened(hub: FakeHuggingFace, pauses: list[float]) -> Opened:
    return lambda token="": HuggingFace(hub.url, token=token, sleep=pauses.append)


def refusal(action: Callable[[], object]) -> tuple[type[CloudcptError], str, str, str]:
    with pytest.raises(CloudcptError) as caught:
        action()
    (found,) = caught.value.diagnostics
    return type(caught.value), found.code, found.message, found.hint or ""


def whole(hub: HuggingFace, name: str, repo: str = "org/model") -> bytes:
    publication = hub.find(repo, "")
    file = publication.file(name)
    return b"".join(hub.stream(publication, file, 0, file.size_bytes))


def test_a_model_is_what_lies_directly_in_its_repository_with_size_and_hashes(
    opened: Opened, hub: FakeHuggingFace
) -> None:
    found = opened().find("org/model", "")
    assert (found.source, found.endpoint, found.repo) == ("hub", hub.url, "org/model")
    assert (found.revision, found.commit) == ("main", hub.repos["org/model"].commit)
    listed = {file.name: (file.size_bytes, file.sha256, file.git_sha1) for file in found.files}
    assert listed == {
        name: (len(body), *((hashlib.sha256(body).hexdigest(), "") if is_large(name) else ("", git_hash(body))))
        for name, body in {**MODEL, **LEFT_OUT}.items()
        if "/" not in name
    }


@pytest.mark.parametrize("name", ["a.safetensors", "config.json", "tokenizer.json"])
def test_the_bytes_are_those_of_the_commit_and_come_by_way_of_the_store(
    opened: Opened, hub: FakeHuggingFace, name: str
) -> None:
    assert whole(opened(), name) == MODEL[name]
    assert f"/resolve/{hub.repos['org/model'].commit}/" in hub.seen[-1].path
    assert bool(hub.store_seen) == is_large(name)


def test_a_token_is_for_the_hub_and_not_for_its_store(opened: Opened, hub: FakeHuggingFace) -> None:
    whole(opened(TOKEN), "a.safetensors")
    assert {request.headers.get("authorization") for request in hub.seen} == {f"Bearer {TOKEN}"}
    assert [request.headers.get("authorization") for request in hub.store_seen] == [None]


@pytest.mark.parametrize("revision", ["main", "v1.0", "refs/pr/1"])
def test_a_revision_is_resolved_to_its_commit(opened: Opened, hub: FakeHuggingFace, revision: str) -> None:
    found = opened().find("org/model", revision)
    assert (found.revision, found.commit) == (revision, hub.repos["org/model"].commit)
    again = opened().find("org/model", found.commit)
    assert replace(again, revision=revision) == found


def test_a_model_that_has_moved_goes_by_its_new_name(opened: Opened, hub: FakeHuggingFace) -> None:
    hub.on_the_way = lambda request, answer: (
        Answer(status=307, headers={"Location": request.path.replace("old/name", "org/model") + "?" + request.query})
        if "old/name" in request.path
        else answer
    )
    assert opened().find("old/name", "").repo == "org/model"


def test_a_model_that_is_not_there(opened: Opened) -> None:
    for hub in (opened(), opened(TOKEN)):
        kind, code, message, _ = refusal(lambda hub=hub: hub.find("org/absent", ""))
        assert (kind, code) == (UsageProblem, "CPT730")
        assert "`org/absent`" in message


def test_to_strangers_a_private_model_is_not_there_and_the_hint_says_so(opened: Opened, hub: FakeHuggingFace) -> None:
    hub.repos["org/model"].private = True
    assert "for a private one sign in" in refusal(lambda: opened().find("org/model", ""))[3]
    assert opened(TOKEN).find("org/model", "").repo == "org/model"


def test_a_token_that_is_not_accepted(opened: Opened) -> None:
    kind, code, message, hint = refusal(lambda: opened("hf_wrong").find("org/model", ""))
    assert (kind, code) == (SetupError, "CPT732")
    assert "Invalid credentials" in message
    assert "hf_wrong" not in message + hint


def test_a_licence_that_has_to_be_accepted_first(opened: Opened, hub: FakeHuggingFace) -> None:
    hub.repos["org/model"].gated = True
    kind, code, _, hint = refusal(lambda: whole(opened(), "config.json"))
    assert (kind, code) == (SetupError, "CPT731")
    assert hint == (
        "accept the licence at https://huggingface.co/org/model; then sign in with `hf auth login`, or set $HF_TOKEN"
    )
    assert whole(opened(TOKEN), "config.json") == MODEL["config.json"]


def test_a_licence_that_the_account_of_the_token_has_not_accepted(opened: Opened, hub: FakeHuggingFace) -> None:
    hub.on_the_way = lambda request, answer: (
        Answer(status=403, headers={"X-Error-Code": "GatedRepo"}) if "/resolve/" in request.path else answer
    )
    assert "of the account that did" in refusal(lambda: whole(opened(TOKEN), "config.json"))[3]


def test_a_token_that_may_not_read_the_model(opened: Opened, hub: FakeHuggingFace) -> None:
    hub.on_the_way = lambda *_: Answer(status=403, body=b'{"error": "Forbidden"}')
    kind, code, message, hint = refusal(lambda: opened(TOKEN).find("org/model", ""))
    assert (kind, code) == (SetupError, "CPT732")
    assert "Forbidden" in message
    assert "fine-grained" in hint


def test_a_revision_that_is_not_there(opened: Opened) -> None:
    kind, code, message, _ = refusal(lambda: opened().find("org/model", "v2"))
    assert (kind, code, message) == (UsageProblem, "CPT733", "`org/model` has no revision `v2`")


def test_a_refusal_without_a_name_of_its_own(opened: Opened, hub: FakeHuggingFace) -> None:
    hub.on_the_way = lambda *_: Answer(status=451, body=b'{"error": "Unavailable for legal reasons"}')
    kind, code, message, _ = refusal(lambda: opened().find("org/model", ""))
    assert (kind, code) == (ServiceRefused, "CPT736")
    assert message.endswith("refuses `org/model` (HTTP 451): Unavailable for legal reasons")


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b'{"sha": "1", "id": "org/model"}',
        b'{"sha": "1", "id": "org/model", "siblings": [{"rfilename": "config.json"}]}',
        b'{"sha": "1", "id": "org/model", "siblings": [{"rfilename": "a", "size": "many"}]}',
        b'{"sha": "1", "id": "org/model", "siblings": [5]}',
    ],
)
def test_a_mirror_that_does_not_say_everything_is_not_believed(
    opened: Opened, hub: FakeHuggingFace, body: bytes
) -> None:
    hub.on_the_way = lambda *_: Answer(body=body)
    assert refusal(lambda: opened().find("org/model", ""))[:2] == (ServiceRefused, "CPT736")


def test_an_empty_file_needs_no_request(opened: Opened, hub: FakeHuggingFace) -> None:
    hub.repos["org/empty"] = Repo({"NOTICE": b""})
    assert whole(opened(), "NOTICE", "org/empty") == b""
    assert len(hub.seen) == 1
