"""Channels: what the service is told to bring lands where the trainer looks for it."""

import json
from dataclasses import replace

import pytest

from cloudcpt.jobs.channels import channel_documents, channels
from tests.jobs.cloud_plans import cloud_plan, in_place, source, uploaded


def landed(plan, name):
    """Play the service: give the objects of a channel by where they land."""
    (channel,) = (one for one in channels(plan) if one.name == name)
    assert channel.kind == "ManifestFile"
    (prefix, *rests) = json.loads(channel_documents(plan)[channel.uri])
    assert set(prefix) == {"prefix"}
    assert len(rests) == len(set(rests))
    return {rest: prefix["prefix"] + rest for rest in rests}


def expected(files):
    return {file.placed: file.uri for file in files}


def test_uploaded_files_land_under_the_hash_of_their_content(tmp_path):
    files = (uploaded("a.jsonl", "a"), uploaded("deep/b.jsonl", "b"))
    plan = cloud_plan(tmp_path, sources=(source("train", *files),))
    assert landed(plan, "train") == expected(files)
    assert [place.partition("/")[0] for place in landed(plan, "train")] == ["a" * 64, "b" * 64]


def test_files_of_the_user_land_under_their_names(tmp_path):
    files = tuple(in_place(f"s3://other/corpus/v2/{name}", name) for name in ("a.jsonl", "part/b é.jsonl"))
    plan = cloud_plan(tmp_path, sources=(source("train", *files),))
    assert landed(plan, "train") == expected(files)


def test_the_model_is_a_channel_like_any_dataset(tmp_path):
    plan = cloud_plan(tmp_path)
    assert landed(plan, "model") == expected(plan.model.files)


def test_the_plan_lands_alone_and_is_the_plan_itself(tmp_path):
    plan = cloud_plan(tmp_path)
    (uri,) = landed(plan, "plan").values()
    assert channel_documents(plan)[uri] == plan.to_json().encode()


def test_two_files_of_the_same_content_are_one_object(tmp_path):
    plan = cloud_plan(tmp_path, sources=(source("train", uploaded("x/a.jsonl"), uploaded("y/a.jsonl")),))
    assert len(landed(plan, "train")) == 1


def test_papers_lie_under_the_hash_of_their_plan_and_the_plan_comes_first(tmp_path):
    plan = cloud_plan(tmp_path)
    papers = list(channel_documents(plan))
    assert papers == [
        f"s3://my-bucket/cpt/cloudcpt/plans/{plan.hash}/{name}"
        for name in ("plan.json", "plan.manifest", "train.manifest", "model.manifest")
    ]


def test_papers_of_two_plans_never_meet(tmp_path):
    plan = cloud_plan(tmp_path)
    assert not set(channel_documents(plan)) & set(channel_documents(replace(plan, seed=7)))


def test_a_channel_of_files_from_two_places_is_our_mistake(tmp_path):
    plan = cloud_plan(
        tmp_path, sources=(source("train", uploaded("a.jsonl"), in_place("s3://b/c/d.jsonl", "d.jsonl")),)
    )
    with pytest.raises(AssertionError, match="one prefix"):
        channels(plan)
