"""What crosses between client and container reads back as it was written, and a damaged model never passes."""

import dataclasses
import json
import math
import os
import string
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt import wire
from cloudcpt.errors import Blame

STEP = wire.Progress(step=7, loss=2.25, tokens_per_s=1024, total_steps=9, lr=1e-5, grad_norm=0.5, tokens=77, eta_s=3)


@given(
    step=st.integers(1, 10**7),
    total=st.integers(1, 10**7),
    tokens=st.integers(0, 10**13),
    loss=st.floats(0, 100) | st.just(math.nan) | st.just(math.inf),
    rate=st.floats(0, 1e8),
    lr=st.floats(0, 1),
)
def test_a_progress_line_reads_back(step, total, tokens, loss, rate, lr):
    progress = wire.Progress(
        step=step, loss=loss, tokens_per_s=rate, total_steps=total, lr=lr, grad_norm=1.5, tokens=tokens, eta_s=12
    )
    read = wire.parse_progress(progress.line())
    assert read is not None
    assert (read.step, read.total_steps, read.tokens, read.grad_norm) == (step, total, tokens, 1.5)
    assert read.loss == pytest.approx(loss, abs=1e-6, nan_ok=True)
    assert read.lr == pytest.approx(lr, rel=1e-6)
    assert read.tokens_per_s == pytest.approx(rate, abs=0.06)


share = st.none() | st.floats(0, 1)


@given(
    shares=st.fixed_dictionaries(
        dict.fromkeys(("mfu_full", "mfu_document", "data_wait_share", "gpu_utilisation", "bits_per_byte"), share)
    ),
    flops=st.none() | st.floats(0, 1e21),
    memory=st.none() | st.integers(0, 10**12),
    course=st.sampled_from(wire.Course),
    counts=st.tuples(st.integers(0, 10**6), st.integers(0, 100)),
)
def test_what_a_progress_line_measured_reads_back_and_what_it_did_not_is_none(shares, flops, memory, course, counts):
    spikes, skipped = counts
    progress = dataclasses.replace(
        STEP, **shares, flops_per_s_full=flops, memory_bytes=memory, course=course, spikes=spikes, skipped=skipped
    )
    read = wire.parse_progress(progress.line())
    assert read is not None
    for name, value in [*shares.items(), ("flops_per_s_full", flops), ("memory_bytes", memory)]:
        assert getattr(read, name) == (None if value is None else pytest.approx(value, rel=1e-5))
    assert (read.course, read.spikes, read.skipped) == (course, spikes, skipped)


def test_a_line_of_an_older_job_is_read_and_so_are_pairs_of_a_newer_one():
    old = "120|2.250000|81234.5|of=500 lr=1.000000e-05 grad_norm=0.7500 tokens=7864320 eta_s=3600"
    assert wire.parse_progress(old) == dataclasses.replace(
        STEP, step=120, tokens_per_s=81234.5, total_steps=500, grad_norm=0.75, tokens=7_864_320, eta_s=3600.0
    )
    new = wire.parse_progress(f"{old} mfu_full=0.5 moon=full spikes=many course=sideways tokens_per_moon=3")
    assert new is not None
    assert (new.mfu_full, new.spikes, new.course) == (0.5, 0, wire.Course.STEADY)


@pytest.mark.parametrize("number", ["nan", "-inf", "1e-7", "12345678"])
def test_a_progress_line_with_very_many_pairs_or_hostile_ones_is_read_at_once(number):
    pairs = f" a={number}" * 60
    assert wire.parse_progress(STEP.line() + pairs) is None  # more than a line ever has
    assert wire.parse_progress(STEP.line() + pairs[:-1] + "!" * 40) is None


def test_the_perplexity_of_a_line_is_never_too_large_to_write():
    assert "perplexity=inf" in dataclasses.replace(STEP, loss=800.0).line()
    assert "perplexity=nan" in dataclasses.replace(STEP, loss=math.nan).line()


@given(
    loss=st.floats(0, 100),
    bits=st.none() | st.floats(0, 10),
    change=st.none() | st.floats(-50, 50),
)
def test_an_evaluation_line_reads_back_with_what_it_measured(loss, bits, change):
    line = wire.evaluation_line("general", 80, loss, 7.5, bits_per_byte=bits, change_nats=change)
    read = wire.parse_evaluation(line)
    assert read is not None
    assert (read.step, read.loss) == (80, pytest.approx(loss, abs=1e-6))
    assert read.bits_per_byte == (None if bits is None else pytest.approx(bits, abs=1e-6))
    assert read.change_nats == (None if change is None else pytest.approx(change, abs=1e-6))


@pytest.mark.parametrize("line", ["", "hello", "1|2", "eval|domain|3|1.0|2.7", "12|nan|3"])
def test_other_lines_are_not_progress(line):
    assert wire.parse_progress(line) is None


def test_every_metric_regex_finds_its_number_and_fits_the_service_limits():
    import re

    numbers = {field.name: 0.25 for field in dataclasses.fields(STEP) if getattr(STEP, field.name) is None}
    progress = dataclasses.replace(STEP, **numbers).line()
    more = {"bits_per_byte": 0.9, "change_nats": 0.01}
    lines = [progress, *(wire.evaluation_line(name, 7, 2.0, 7.389, **more) for name in wire.EVALUATION_SETS)]
    found = {}
    for name, regex in wire.METRIC_REGEXES.items():
        assert re.compile(regex).groups == 1
        assert len(regex) <= 500
        assert len(name) <= 255
        matches = [match[1] for line in lines if (match := re.search(regex, line))]
        assert len(matches) == 1, name
        found[name] = float(matches[0])
    assert len(found) <= 40
    assert found["train:loss"] == 2.25
    assert found["train:tokens_per_s"] == 1024
    assert found["train:lr"] == 1e-5
    assert found["train:grad_norm"] == 0.5
    assert found["train:mfu_document"] == found["train:gpu_utilisation"] == 0.25
    assert found["train:perplexity"] == pytest.approx(math.exp(2.25), rel=1e-5)
    assert found["eval:general_perplexity"] == 7.389
    assert found["eval:domain_bits_per_byte"] == 0.9
    assert found["eval:forgetting_nats"] == 0.01


printable = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=80)


@given(message=printable, hint=st.none() | printable.filter(bool), blame=st.sampled_from(Blame))
def test_a_failure_survives_the_failure_reason_of_the_service(message, hint, blame):
    failure = wire.Failure(
        code="CPT604", blame=blame, message=message.replace("; hint: ", ""), hint=hint, detail="tb\nline"
    )
    read = wire.parse_failure("AlgorithmError: " + failure.text()[: wire.FAILURE_LIMIT])
    assert read is not None
    assert (read.code, read.blame) == ("CPT604", blame)
    assert read.message == failure.message
    assert read.hint == hint


@given(message=st.text(max_size=3000), detail=st.text(max_size=3000))
def test_a_failure_file_is_ascii_and_within_the_limit(message, detail):
    text = wire.Failure(code="CPT699", blame=Blame.BUG, message=message, detail=detail).text()
    assert text.isascii()
    assert len(text.strip("\n")) <= wire.FAILURE_LIMIT


def test_text_without_a_code_is_no_failure():
    assert wire.parse_failure("InternalServerError: We encountered an internal error") is None


def test_a_failure_file_that_is_none_is_no_failure(tmp_path):
    (tmp_path / "ours").write_text(wire.Failure(code="CPT604", blame=Blame.USER, message="not finite").text())
    (tmp_path / "theirs").write_bytes(b"\xff it went wrong")
    found = wire.failure_in(tmp_path / "ours")
    assert found is not None
    assert found.code == "CPT604"
    for name in ("theirs", "absent", ".", "ours/below"):
        assert wire.failure_in(tmp_path / name) is None


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "provenance").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(os.urandom(4096))
    (folder / "provenance" / "plan.json").write_text("{}")
    wire.complete_model(folder, plan_hash="a" * 64, job_name="job", steps=3, tokens=12)
    return folder


def test_a_complete_model_has_no_faults_and_its_manifest_fits_the_schema(model):
    assert wire.model_faults(model) == []
    jsonschema.Draft202012Validator.check_schema(wire.MANIFEST_SCHEMA)
    manifest = json.loads((model / "manifest.json").read_text())
    jsonschema.validate(manifest, wire.MANIFEST_SCHEMA)
    assert [row["name"] for row in manifest["files"]] == ["config.json", "model.safetensors", "provenance/plan.json"]


def test_the_manifest_hashes_are_those_that_sha256sum_prints(model):
    import hashlib

    for row in json.loads((model / "manifest.json").read_text())["files"]:
        assert row["sha256"] == hashlib.sha256((model / row["name"]).read_bytes()).hexdigest()


def test_every_single_flipped_byte_is_found(model):
    for name in ("config.json", "model.safetensors", "provenance/plan.json", "manifest.json", "COMPLETE"):
        path = model / name
        whole = path.read_bytes()
        for offset in range(0, len(whole), max(1, len(whole) // 64)):
            path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
            assert wire.model_faults(model), f"{name} byte {offset}"
        path.write_bytes(whole)
    assert wire.model_faults(model) == []


@pytest.mark.parametrize("name", ["COMPLETE", "manifest.json", "config.json", "provenance/plan.json"])
def test_a_missing_file_is_found(model, name):
    (model / name).unlink()
    faults = wire.model_faults(model)
    assert len(faults) == 1
    assert name in faults[0]


def test_an_unlisted_file_is_found(model):
    (model / "pytorch_model.bin").write_bytes(b"x")
    assert wire.model_faults(model) == ["`pytorch_model.bin` is not in the manifest"]


def test_a_manifest_that_points_outside_the_folder_is_refused(model):
    manifest = json.loads((model / "manifest.json").read_text())
    manifest["files"][0]["name"] = "../config.json"
    wire.commit_text(model / "manifest.json", json.dumps(manifest))
    wire.commit_text(model / "COMPLETE", wire.sha256_of(model / "manifest.json") + "\n")
    assert "`../config.json` points outside the model folder" in wire.model_faults(model)


@given(st.text(string.printable, max_size=200))
def test_commit_text_leaves_the_text_and_nothing_else(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("commit")
    wire.commit_text(folder / "deep" / "file.json", "old")
    wire.commit_text(folder / "deep" / "file.json", text)
    assert (folder / "deep" / "file.json").read_bytes() == text.encode()
    assert [path.name for path in (folder / "deep").iterdir()] == ["file.json"]
