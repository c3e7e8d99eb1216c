"""A session says at once what is missing, and makes clients that wait and retry as we promise."""

import pytest

from cloudcpt.aws.session import AwsSession, configured_region
from cloudcpt.errors import SetupError

HIDDEN = (
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch, tmp_path):
    for name in HIDDEN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_no_region_is_said_before_anything_is_asked():
    with pytest.raises(SetupError, match="CPT406"):
        AwsSession()


def test_the_region_of_the_configuration_is_used(tmp_path):
    (tmp_path / "config").write_text("[default]\nregion = eu-west-1\n[profile other]\nregion = us-west-2\n")
    assert AwsSession().region == "eu-west-1"
    assert AwsSession(profile="other").region == "us-west-2"
    assert AwsSession(profile="other", region="us-east-1").region == "us-east-1"


def test_the_configured_region_can_be_looked_up_alone(tmp_path, monkeypatch):
    assert configured_region() == ""
    (tmp_path / "config").write_text("[default]\nregion = eu-west-1\n")
    assert configured_region() == "eu-west-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-1")
    assert (configured_region(), AwsSession().region) == ("us-west-1", "us-west-1")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert (configured_region(), AwsSession().region) == ("us-west-2", "us-west-2")
    assert AwsSession(region="us-east-1").region == "us-east-1"


def test_a_profile_that_is_not_there_is_named():
    with pytest.raises(SetupError, match=r"CPT400.*nobody"):
        AwsSession(profile="nobody", region="us-east-1")


def test_missing_credentials_are_said():
    with pytest.raises(SetupError, match="CPT400"):
        _ = AwsSession(region="us-east-1").identity


def test_clients_retry_and_give_up_as_promised():
    config = AwsSession(region="us-east-1").client("s3").meta.config
    assert config.retries == {"mode": "standard", "total_max_attempts": 10}
    assert (config.connect_timeout, config.read_timeout) == (10, 60)
    assert config.user_agent_extra.startswith("cloudcpt/")
