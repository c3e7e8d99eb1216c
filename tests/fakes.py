"""One fake per port of `cloudcpt.jobs.ports`, and the small plan that tests start jobs from.

The fakes keep the promises that the ports state and nothing else: the same conformance tests (tests/jobs/test_ports.py)
run against them and against every real adapter. Nothing in them waits: a fake job moves one state on each time somebody
looks at it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3

from cloudcpt.errors import Blame
from cloudcpt.jobs.fetch import job_model_faults
from cloudcpt.jobs.names import unknown_job
from cloudcpt.jobs.ports import START, JobState, JobStatus, LogChunk, Phase, Submission
from cloudcpt.plan.plan import (
    Checkpoints,
    Compute,
    DataFile,
    Dropouts,
    Estimate,
    Evaluation,
    Geometry,
    MemoryFit,
    ModelSpec,
    Optimizer,
    Plan,
    Schedule,
    Source,
    World,
)
from cloudcpt.wire import SCHEMA_VERSION, TRAIN_CHANNEL, Failure, complete_model

WAY = (JobState.PENDING, JobState.PREPARING, JobState.TRAINING, JobState.SAVING)
"""The states before the final one, in order."""


@dataclass
class FakeJob:
    """One job of a `FakeJobs`: what it executes, where it will end, where it is."""

    plan: Plan
    ahead: list[JobState]
    phases: list[Phase]
    has_model: bool = False


@dataclass
class FakeJobs:
    """A `JobService` in memory. Each look at a job moves it one state on, until it reaches its end.

    Args:
        end: The final state of every job that nobody stops.
        hold: Never go beyond this state, until told otherwise by a stop.
        recovery_step: After which a job that failed or was stopped can go on.
    """

    end: JobState = JobState.COMPLETED
    hold: JobState | None = None
    recovery_step: int | None = None
    jobs: dict[str, FakeJob] = field(default_factory=dict)

    def create(self, plan: Plan, *, replace: bool = False) -> Submission:
        """Add a job unless there is one; replace only one that failed or was stopped."""
        name = plan.job_name
        known = self.jobs.get(name)
        if known and not (replace and known.phases[-1].state in {JobState.FAILED, JobState.STOPPED}):
            return Submission(name=name, adopted=True)
        way = list(WAY[1 : WAY.index(self.hold) + 1] if self.hold else (*WAY[1:], self.end))
        self.jobs.pop(name, None)
        self.jobs[name] = FakeJob(plan, way, [Phase(state=JobState.PENDING, at=time.time())])
        return Submission(name=name, adopted=False)

    def status(self, name: str) -> JobStatus:
        """Move the job one state on and describe it."""
        job = self.job(name)
        if job.ahead:
            job.phases.append(Phase(state=job.ahead.pop(0), at=time.time()))
        state = job.phases[-1].state
        job.has_model = state is JobState.COMPLETED
        unhappy = state in {JobState.FAILED, JobState.STOPPED}
        return JobStatus(
            name=name,
            target=job.plan.target,
            plan_hash=job.plan.hash,
            phases=tuple(job.phases),
            failure=Failure(code="CPT604", blame=Blame.USER, message="loss is not finite") if unhappy else None,
            progress=None,
            evaluations=(),
            files=f"fake://{name}",
            model=f"fake://{name}/model" if job.has_model else None,
            is_rehearsal=job.plan.model.stand_in,
            recovery_step=self.recovery_step if unhappy else None,
        )

    def resume(self, name: str) -> Submission:
        """Send a job that failed or was stopped on its way again."""
        job = self.job(name)
        if job.phases[-1].state not in {JobState.FAILED, JobState.STOPPED}:
            return Submission(name=name, adopted=True)
        job.phases.append(Phase(state=JobState.PENDING, at=time.time()))
        job.ahead = list(WAY[1 : WAY.index(self.hold) + 1] if self.hold else (*WAY[1:], self.end))
        return Submission(name=name, adopted=False)

    def stop(self, name: str) -> None:
        """Send a job that has not ended towards `stopped`."""
        job = self.job(name)
        if not job.phases[-1].state.is_final:
            job.ahead = [JobState.STOPPING, JobState.STOPPED]

    def names(self) -> tuple[str, ...]:
        """Name every job, newest first."""
        return tuple(reversed(self.jobs))

    def job(self, name: str) -> FakeJob:
        """Find a job of that name."""
        if name not in self.jobs:
            raise unknown_job(self.names(), name)
        return self.jobs[name]


@dataclass
class FakeLogs:
    """A `LogSource` whose lines appear one per read; all of them once the job has ended. A position counts lines."""

    jobs: FakeJobs
    lines: Sequence[str] = ("first", "second", "third")
    shown: int = 0

    def read(self, name: str, position: str = START) -> LogChunk:
        """Let one more line appear and give those after the position."""
        is_final = self.jobs.job(name).phases[-1].state.is_final
        self.shown = len(self.lines) if is_final else min(self.shown + 1, len(self.lines))
        lines = tuple(self.lines[int(position or 0) : self.shown])
        return LogChunk(lines=lines, position=str(self.shown), ended=True)


@dataclass
class FakeModels:
    """A `ModelSource` whose completed jobs all made the same small model; the others left half of one.

    Args:
        jobs: Knows which job has completed.
        folder: Where the models are written when somebody asks for them.
        files: Of the model, by name.
    """

    jobs: FakeJobs
    folder: Path
    files: dict[str, bytes] = field(default_factory=lambda: {"config.json": b"{}", "model.safetensors": b"weights"})

    def faults(self, name: str) -> list[str]:
        """Verify the model in a scratch folder."""
        scratch = self.folder / f"{name}-{len(list(self.folder.iterdir()))}"
        self.copy(name, scratch)
        return job_model_faults(scratch, self.jobs.job(name).plan.hash)

    def copy(self, name: str, folder: Path) -> None:
        """Write the model's files, and seal them when the job has completed."""
        job = self.jobs.job(name)
        for file, content in self.files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)
        if job.has_model:
            complete_model(folder, plan_hash=job.plan.hash, job_name=name, steps=3, tokens=96)


def small_plan(data: Path, *, name: str = "demo", max_runtime_s: int = 0, seed: int = 42) -> Plan:
    """Make a plan of three steps on one small file, which is written when it is not there."""
    if not data.exists():
        data.write_text('{"text": "hello"}\n', "utf-8")
    content = data.read_bytes()
    file = DataFile(
        name=data.name, uri=str(data.absolute()), size_bytes=len(content), blake3=blake3(content).hexdigest()
    )
    return Plan(
        schema_version=SCHEMA_VERSION,
        made_by="cloudcpt 0",
        name=name,
        recipe_path="recipe.yaml",
        recipe_blake3="0" * 64,
        recipe_text="run: {}\n",
        target="local",
        seed=seed,
        log_every_steps=1,
        max_runtime_s=max_runtime_s,
        model=ModelSpec(
            model_type="hf",
            name_or_path="base",
            family="open",
            size_class="micro",
            architecture="llama",
            parameters=1000,
            layers=1,
            hidden_size=8,
            vocab_size=16,
            tied_embeddings=True,
            dtype="float32",
            files=(),
            stand_in=True,
            origin=None,
            lineage=(),
        ),
        sources=(
            Source(
                name="domain",
                role="train",
                channel=TRAIN_CHANNEL,
                files=(file,),
                documents=1,
                tokens=96,
                rows=3,
                cut_documents=0,
                cut_tokens=0,
                exact=True,
                weight=1.0,
            ),
        ),
        world=World(
            nodes=1,
            processes_per_node=1,
            device="cpu",
            instance_type="local",
            compute_dtype="float32",
            timeout_s=600,
            environment=(),
            image="",
        ),
        compute=Compute(compile=False, float8="none", shard_processes=1),
        geometry=Geometry(
            seq_len_tokens=32,
            packing="best_fit",
            global_batch_rows=1,
            micro_batch_rows=1,
            accumulation=1,
            steps=3,
            bound="max_steps",
            train_rows=3,
            train_tokens=96,
            epochs=1.0,
        ),
        schedule=Schedule(name="cosine", lr=1e-4, min_lr=1e-5, warmup_steps=1, constant_steps=0, steps=3),
        optimizer=Optimizer(
            adam_w_mode=True, beta1=0.9, beta2=0.95, eps=1e-8, weight_decay=0.1, max_grad_norm=1.0, max_skipped_steps=0
        ),
        dropouts=Dropouts(hidden=0.0, attention=0.0, ffn=0.0),
        lora=None,
        evaluation=Evaluation(every_steps=0, max_rows=0, prompts=(), sample_tokens=8),
        checkpoints=Checkpoints(every_steps=0, keep_last=0, recovery_every_steps=0),
        memory=MemoryFit(terms=(), total_bytes=0, capacity_bytes=0, activations="none"),
        estimate=Estimate(
            hours=0.1,
            hours_low=0.1,
            hours_high=0.2,
            time_source="a guess",
            usd_per_instance_hour=0.0,
            usd=0.0,
            usd_low=0.0,
            usd_high=0.0,
            price_source="the machine at hand",
        ),
        launch=None,
    )
