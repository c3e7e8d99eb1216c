"""Secrets in a recipe are refused and never repeated."""

from pathlib import Path

import pytest

from cloudcpt.recipe.credentials import redact
from tests.recipe.samples import changed, findings, full_training, listing, written

AWS_KEY = "AKIA" + "ABCDEFGHIJKLMNOP"
HF_TOKEN = "hf_" + "abcdefghijklmnopqrstuvwxyzABCDEF12"
SECRETS = [
    AWS_KEY,
    "ASIA" + "0123456789ABCDEF",
    HF_TOKEN,
    "ghp_" + "0123456789abcdefghijklmnopqrstuvwxyz",
    "github_pat_" + "0123456789abcdefghij_ABCDEFGHIJ",
    "-----BEGIN RSA " + "PRIVATE KEY-----",
    "aws_secret_access_key=" + "wJalrXUtnFEMI0K7MDENG0bPxRfiCYEXAMPLEKEY",
    "token: " + "0123456789abcdefghijABCDEFGHIJ",
    "https://me:" + "hunter2@host/x",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("form", ["# {}", 'run: {{name: "{}"}}', '"{}": 1'])
def test_a_secret_is_found_in_values_keys_and_comments_and_shown_nowhere(
    tmp_path: Path, secret: str, form: str
) -> None:
    found = findings(tmp_path, form.format(secret))
    assert "CPT025" in [one.code for one in found]
    shown = listing(found)
    for part in secret.replace("=", " ").replace(": ", " ").split():
        if len(part) > 16 and not part.startswith(("aws_", "-----", "PRIVATE")):
            assert part not in shown


def test_the_finding_is_at_the_secret(tmp_path: Path) -> None:
    text = written(tmp_path, full_training()).read_text() + f"\n#   {AWS_KEY} is mine"
    (found,) = findings(tmp_path, text)
    assert found.code == "CPT025"
    assert found.place is not None
    assert found.place.line == len(text.splitlines())
    assert (found.place.column, found.place.length) == (5, 20)
    assert found.message == "this looks like an AWS access key, a recipe is copied into plans and reports"


def test_an_otherwise_good_recipe_with_a_secret_is_refused(tmp_path: Path) -> None:
    found = findings(tmp_path, changed(full_training(), run__model_package_group=HF_TOKEN))
    assert [one.code for one in found] == ["CPT025"]


@pytest.mark.parametrize(
    "text",
    [
        "s3://my-bucket/AKIAfoo/hf_model/",
        "nova-micro/prod",
        "sample_tokens: 64",
        "tokenizer: a-very-long-tokenizer-name-2024",
        "meta-llama/Llama-3.1-8B",
        "https://example.com:8080/a@b",
    ],
)
def test_ordinary_text_is_no_secret(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("secret", SECRETS)
def test_redaction_hides_what_is_found(secret: str) -> None:
    assert "***" in redact(f"before {secret} after")
