"""Which address is asked, and who gets to see a token."""

from pathlib import Path

import pytest

from cloudcpt.errors import SetupError, UsageProblem
from cloudcpt.hub.access import open_hub, token_for
from tests.fake_hubs import FakeHuggingFace, FakeModelScope

PUBLIC = "https://huggingface.co"
MIRROR = "https://mirror.example"


@pytest.mark.parametrize(
    ("environment", "address", "token"),
    [
        ({"HF_TOKEN": "mine"}, PUBLIC, "mine"),
        ({"HF_TOKEN": " mine\n"}, PUBLIC, "mine"),
        ({"HUGGING_FACE_HUB_TOKEN": "older"}, PUBLIC, "older"),
        ({"HF_TOKEN": "", "HUGGING_FACE_HUB_TOKEN": "older"}, PUBLIC, "older"),
        ({"HF_TOKEN": "mine"}, MIRROR, "mine"),
        ({"HF_TOKEN": "mine"}, "http://mirror.example", ""),
        ({"HF_TOKEN": "mine"}, "http://localhost:8080", "mine"),
        ({}, PUBLIC, "login"),
        ({}, MIRROR, ""),
        ({}, "http://huggingface.co", ""),
        ({"MODELSCOPE_API_TOKEN": "other"}, PUBLIC, "login"),
    ],
)
def test_a_login_is_for_its_own_hub_and_a_variable_for_any_that_nobody_overhears(
    environment: dict[str, str], address: str, token: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("login\n")
    assert token_for("hub", address, {"HF_HOME": str(tmp_path), **environment}) == token


def test_modelscope_gets_its_own_token_only(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("login")
    environment = {"HF_HOME": str(tmp_path), "HF_TOKEN": "mine"}
    assert token_for("modelscope", "https://modelscope.cn", environment) == ""
    assert token_for("modelscope", "https://modelscope.cn", {**environment, "MODELSCOPE_API_TOKEN": "ms"}) == "ms"


def test_the_login_is_where_the_hubs_own_tool_keeps_it(tmp_path: Path) -> None:
    (tmp_path / "huggingface").mkdir()
    (tmp_path / "huggingface" / "token").write_text("cached")
    (tmp_path / "token").write_text("homely")
    (tmp_path / "elsewhere").write_text("named")
    cache = {"XDG_CACHE_HOME": str(tmp_path)}
    home = {**cache, "HF_HOME": str(tmp_path)}
    assert token_for("hub", PUBLIC, cache) == "cached"
    assert token_for("hub", PUBLIC, home) == "homely"
    assert token_for("hub", PUBLIC, {**home, "HF_TOKEN_PATH": str(tmp_path / "elsewhere")}) == "named"
    assert token_for("hub", PUBLIC, {"HF_HOME": str(tmp_path / "nowhere")}) == ""


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "schlüssel"])
def test_what_cannot_be_a_token_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(SetupError) as caught:
        token_for("hub", PUBLIC, {"HF_TOKEN": token})
    assert caught.value.diagnostics[0].code == "CPT732"
    assert token not in str(caught.value)


def test_the_command_line_comes_before_the_environment(hub: FakeHuggingFace, pauses: list[float]) -> None:
    for endpoint, environment in (
        (hub.url, {"HF_ENDPOINT": "https://nowhere.invalid"}),
        ("", {"HF_ENDPOINT": f"{hub.url}/"}),
        (f" {hub.url}/ ", {}),
    ):
        publisher = open_hub("hub", endpoint, sleep=pauses.append, environment=environment)
        assert publisher.find("org/model", "").endpoint == hub.url


def test_modelscope_has_an_address_of_its_own(scope: FakeModelScope, pauses: list[float]) -> None:
    environment = {"HF_ENDPOINT": "https://nowhere.invalid", "MODELSCOPE_ENDPOINT": scope.url, "HF_HUB_OFFLINE": "1"}
    publisher = open_hub("modelscope", "", sleep=pauses.append, environment=environment)
    assert publisher.find("org/model", "").endpoint == scope.url


@pytest.mark.parametrize("endpoint", ["ftp://x", "https://", "https://a b", "https://x?y", "https://x#y", "://x"])
def test_what_is_no_address_is_refused(endpoint: str, pauses: list[float]) -> None:
    with pytest.raises(UsageProblem, match="CPT742"):
        open_hub("hub", endpoint, sleep=pauses.append, environment={})


def test_a_password_has_no_place_in_an_address(pauses: list[float]) -> None:
    with pytest.raises(UsageProblem) as caught:
        open_hub("hub", "https://user:hunter2@mirror.example", sleep=pauses.append, environment={})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_whoever_says_offline_is_believed(variable: str, pauses: list[float], hub: FakeHuggingFace) -> None:
    with pytest.raises(SetupError, match=rf"CPT735: \${variable} is set"):
        open_hub("hub", hub.url, sleep=pauses.append, environment={variable: "true"})
    open_hub("hub", hub.url, sleep=pauses.append, environment={variable: "0"})
