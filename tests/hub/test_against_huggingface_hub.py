"""The fake hub is believed by Hugging Face's own library, and what it reads there is what we read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloudcpt.hub.hugging_face import HuggingFace
from tests.fake_hubs import MODEL, TOKEN, FakeHuggingFace, Repo

pytestmark = pytest.mark.train

READ = """
import json, sys
from huggingface_hub import HfApi, errors, hf_hub_download
endpoint, folder, token = sys.argv[1:]
info = HfApi(endpoint=endpoint, token=token).model_info("org/model", files_metadata=True)
rows = []
for row in info.siblings:
    hashes = [row.lfs.sha256, ""] if row.lfs else ["", row.blob_id]
    rows.append([row.rfilename, row.size, *hashes])
for name in ("config.json", "a.safetensors"):
    hf_hub_download("org/model", name, endpoint=endpoint, local_dir=folder, token=token, revision=info.sha)
refused = []
for repo, revision in (("org/absent", "main"), ("org/model", "v2"), ("org/gated", "main")):
    try:
        place = {"endpoint": endpoint, "local_dir": f"{folder}/no", "token": False}
        hf_hub_download(repo, "config.json", revision=revision, **place)
    except Exception as exc:
        refused.append(type(exc).__name__)
print(json.dumps([info.sha, rows, refused]))
"""
"""In a process of its own: the library reads its settings when it is imported."""


def test_huggingface_hub_reads_the_same_from_the_fake(hub: FakeHuggingFace, tmp_path: Path) -> None:
    hub.repos["org/gated"] = Repo(dict(MODEL), gated=True)
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-W", "ignore", "-c", READ, hub.url, str(tmp_path), TOKEN]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    commit, rows, refused = json.loads(done.stdout)
    found = HuggingFace(hub.url, token=TOKEN, sleep=lambda _: None).find("org/model", "")
    assert found.commit == commit
    ours = [[file.name, file.size_bytes, file.sha256, file.git_sha1] for file in found.files]
    assert ours == [row for row in rows if "/" not in row[0]]
    assert all((tmp_path / name).read_bytes() == MODEL[name] for name in ("config.json", "a.safetensors"))
    assert refused == ["RepositoryNotFoundError", "RevisionNotFoundError", "GatedRepoError"]
