"""What ModelScope says of a model, what it gives, and each of its refusals in our words."""

import hashlib
from collections.abc import Callable

import pytest

from cloudcpt.errors import CloudcptError, ServiceRefused, SetupError, UsageProblem
from cloudcpt.fake.http import Answer
from cloudcpt.hub.modelscope import ModelScope
from tests.fake_hubs import LEFT_OUT, MODEL, TOKEN, FakeModelScope, as_json

Opened = Callable[..., ModelScope]


@pytest.fixture
def opened(scope: FakeModelScope, pauses: list[float]) -> Opened:
    return lambda token="": ModelScope(scope.url, token=token, sleep=pauses.append)


def refusal(action: Callable[[], object]) -> tuple[type[CloudcptError], str, str]:
    with pytest.raises(CloudcptError) as caught:
        action()
    (found,) = caught.value.diagnostics
    return type(caught.value), found.code, found.message


def test_a_model_is_what_lies_directly_in_its_repository_with_size_and_sha256(
    opened: Opened, scope: FakeModelScope
) -> None:
    found = opened().find("org/model", "")
    assert (found.source, found.endpoint, found.repo) == ("modelscope", scope.url, "org/model")
    assert (found.revision, found.commit) == ("master", "")
    assert {file.name: (file.size_bytes, file.sha256) for file in found.files} == {
        name: (len(body), hashlib.sha256(body).hexdigest())
        for name, body in {**MODEL, **LEFT_OUT}.items()
        if "/" not in name
    }


def test_a_commit_is_its_own_revision(opened: Opened, scope: FakeModelScope) -> None:
    commit = scope.repos["org/model"].commit
    found = opened().find("org/model", commit)
    assert (found.revision, found.commit) == (commit, commit)


def test_the_bytes_are_those_of_the_file_and_of_the_stretch(opened: Opened) -> None:
    publication = opened().find("org/model", "v1.0")
    file = publication.file("b.safetensors")
    assert b"".join(opened().stream(publication, file, 1000, 90_000)) == MODEL["b.safetensors"][1000:90_000]


def test_a_name_with_signs_is_asked_for_as_it_is(opened: Opened, scope: FakeModelScope) -> None:
    name = "a b+c&d=é.json"
    scope.repos["org/model"].files[name] = b"{}"
    publication = opened().find("org/model", "")
    assert b"".join(opened().stream(publication, publication.file(name), 0, 2)) == b"{}"


def test_a_token_is_sent_both_ways(opened: Opened, scope: FakeModelScope) -> None:
    scope.repos["org/model"].gated = True
    opened(TOKEN).find("org/model", "")
    headers = scope.seen[-1].headers
    assert (headers["authorization"], headers["cookie"]) == (f"Bearer {TOKEN}", f"m_session_id={TOKEN}")


def test_model_and_revision_that_are_not_there_are_told_apart(opened: Opened) -> None:
    kind, code, message = refusal(lambda: opened().find("org/absent", ""))
    assert (kind, code) == (UsageProblem, "CPT730")
    assert "`org/absent`" in message
    kind, code, message = refusal(lambda: opened().find("org/model", "v2"))
    assert (kind, code, message) == (UsageProblem, "CPT733", "`org/model` has no revision `v2`")


def test_terms_that_have_to_be_accepted_first(opened: Opened, scope: FakeModelScope) -> None:
    scope.repos["org/model"].gated = True
    kind, code, message = refusal(lambda: opened().find("org/model", ""))
    assert (kind, code) == (SetupError, "CPT731")
    assert "no permission" in message


def test_a_token_that_is_not_accepted(opened: Opened, scope: FakeModelScope) -> None:
    scope.on_the_way = lambda *_: as_json({"Code": 401, "Message": "user not logged in"}, 401)
    kind, code, message = refusal(lambda: opened("wrong").find("org/model", ""))
    assert (kind, code) == (SetupError, "CPT732")
    assert message.endswith("user not logged in")


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"Code": 403, "Success": False, "Message": "no permission", "Data": None}, "CPT731"),
        ({"Code": 10010205001, "Success": False, "Message": "it is broken"}, "CPT736"),
    ],
)
def test_a_refusal_that_comes_as_a_success(opened: Opened, scope: FakeModelScope, document: object, code: str) -> None:
    scope.on_the_way = lambda *_: as_json(document)
    _, found, message = refusal(lambda: opened().find("org/model", ""))
    assert found == code
    assert message.endswith(("no permission", "it is broken"))


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"Data": {"Files": [{"Path": "a"}]}}', b'{"Data": null}', b'{"Code": "?", "Data": {}}']
)
def test_an_answer_that_does_not_say_everything_is_not_believed(
    opened: Opened, scope: FakeModelScope, body: bytes
) -> None:
    scope.on_the_way = lambda *_: Answer(body=body)
    assert refusal(lambda: opened().find("org/model", ""))[:2] == (ServiceRefused, "CPT736")
