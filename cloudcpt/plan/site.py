"""Where a job runs: the target, the machine, the processes on it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

from cloudcpt.errors import Diagnostic, PlanError, error, note, warning
from cloudcpt.plan.instances import LOCAL, Instance, Machine, chip_tflops, find_instance, weakest
from cloudcpt.plan.plan import World
from cloudcpt.recipe.launch import DEFAULT_INSTANCE
from cloudcpt.recipe.load import LoadedRecipe

Target = Literal["local", "container", "sagemaker", "hyperpod"]

ASSUMED_TFLOPS = 312.0
"""Of a GPU at hand that the table does not have: an A100's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """Machines and processes of one job.

    Args:
        target: Where the job runs.
        instance: What is rented; None on the machine at hand.
        world: Processes.
        gpu_memory_bytes: Of one GPU; 0 on CPU.
        tflops: Dense bf16 peak of one GPU; 0 on CPU.
        cpus: Of one machine that trains without a GPU; 0 where GPUs do.
    """

    target: Target
    instance: Instance | None
    world: World
    gpu_memory_bytes: int
    tflops: float
    cpus: int

    @property
    def is_here(self) -> bool:
        """Tell whether the job runs on the machine at hand."""
        return self.instance is None


def choose_target(loaded: LoadedRecipe, wanted: str | None) -> Target:
    """Take the target of the command line, else of the recipe; a Nova recipe that names none goes to HyperPod.

    Args:
        loaded: The recipe.
        wanted: One of the four targets, from the command line; None to follow the recipe.
    """
    launch = loaded.recipe.launch
    if wanted is not None:
        return cast("Target", wanted)
    if loaded.recipe.is_nova and "target" not in launch.model_fields_set:
        return "hyperpod"
    return launch.target


def choose_site(loaded: LoadedRecipe, target: Target, machine: Machine, *, nodes: int = 0) -> Site:
    """Lay out the processes.

    Args:
        loaded: The recipe.
        target: From `choose_target`.
        machine: What `local` and `container` run on.
        nodes: Containers of target `container`; 0 for as many as the recipe says.

    Raises:
        PlanError: an unknown instance type, a GPU that is not there, more processes than GPUs.
    """
    if target in ("local", "container"):
        pretended = nodes or loaded.recipe.launch.container.machines
        return _site_here(loaded, target, machine, nodes=pretended if target == "container" else 1)
    launch, replicas = loaded.recipe.launch, loaded.recipe.run.replicas
    instance = _rented(loaded)
    if not instance.gpus:
        return _site_on_cpus(loaded, target, instance)
    if launch.device == "cpu":
        message = f"`device: cpu` on `{instance.name}` would leave its {instance.gpus} GPUs idle"
        raise PlanError(error("CPT512", message, place=loaded.place("launch", "device"), hint="leave `device` out"))
    world = World(
        nodes=replicas,
        processes_per_node=_processes(loaded, instance.gpus, f"`{instance.name}`"),
        device="cuda",
        instance_type=instance.name,
        compute_dtype="bfloat16",
        timeout_s=loaded.recipe.training_config.trainer.timeout_s,
        environment=tuple(sorted(loaded.recipe.launch.environment.items())),
        image="",
    )
    return Site(
        target=target,
        instance=instance,
        world=world,
        gpu_memory_bytes=instance.gpu_memory_bytes,
        tflops=instance.bf16_tflops,
        cpus=0,
    )


def _rented(loaded: LoadedRecipe) -> Instance:
    """Find the machine to reckon with; of several preferred ones, a machine with the weaknesses of all.

    Raises:
        PlanError: unknown instance types, or preferred ones on which the processes would be laid out differently.
    """
    launch = loaded.recipe.launch
    if not launch.instance_preferences:
        return find_instance(launch.instance_type or DEFAULT_INSTANCE, loaded.place("launch", "instance_type"))
    faults: list[Diagnostic] = []
    found: list[Instance] = []
    for index, name in enumerate(launch.instance_preferences):
        try:
            found.append(find_instance(name, loaded.place("launch", "instance_preferences", index)))
        except PlanError as exc:
            faults += exc.diagnostics
    if faults:
        raise PlanError(*faults)
    if len({instance.gpus for instance in found}) > 1:
        counts = ", ".join(f"`{instance.name}` {instance.gpus}" for instance in found)
        message = f"the preferred machines differ in their number of GPUs, and a plan is for one number: {counts}"
        raise PlanError(error("CPT587", message, place=loaded.place("launch", "instance_preferences")))
    return weakest(found)


def _site_on_cpus(loaded: LoadedRecipe, target: Target, instance: Instance) -> Site:
    launch = loaded.recipe.launch
    if launch.device == "cuda":
        message = f"`device: cuda`, and `{instance.name}` has no GPU"
        hint = "leave `device` out for a rehearsal on its CPUs, or choose another `instance_type`"
        raise PlanError(error("CPT512", message, place=loaded.place("launch", "device"), hint=hint))
    world = World(
        nodes=loaded.recipe.run.replicas,
        processes_per_node=launch.processes_per_node or 1,
        device="cpu",
        instance_type=instance.name,
        compute_dtype="float32",
        timeout_s=loaded.recipe.training_config.trainer.timeout_s,
        environment=tuple(sorted(loaded.recipe.launch.environment.items())),
        image="",
    )
    return Site(target=target, instance=instance, world=world, gpu_memory_bytes=0, tflops=0.0, cpus=instance.vcpus)


def _site_here(loaded: LoadedRecipe, target: Target, machine: Machine, *, nodes: int) -> Site:
    wanted = loaded.recipe.launch.device
    if wanted == "cuda" and not machine.gpus:
        hint = "leave `device` out to train on the CPU, or choose another target"
        message = "`device: cuda`, and this machine shows no NVIDIA GPU"
        raise PlanError(error("CPT512", message, place=loaded.place("launch", "device"), hint=hint))
    on_gpu = machine.gpus > 0 and wanted != "cpu"
    world = World(
        nodes=nodes,
        processes_per_node=_processes(loaded, machine.gpus, "this machine")
        if on_gpu
        else loaded.recipe.launch.processes_per_node or 1,
        device="cuda" if on_gpu else "cpu",
        instance_type=LOCAL,
        compute_dtype="bfloat16" if on_gpu else "float32",
        timeout_s=loaded.recipe.training_config.trainer.timeout_s,
        environment=tuple(sorted(loaded.recipe.launch.environment.items())),
        image="",
    )
    return Site(
        target=target,
        instance=None,
        world=world,
        gpu_memory_bytes=machine.gpu_memory_bytes if on_gpu else 0,
        tflops=(chip_tflops(machine.gpu_name) or ASSUMED_TFLOPS) if on_gpu else 0.0,
        cpus=machine.cpus,
    )


def _processes(loaded: LoadedRecipe, gpus: int, shown: str) -> int:
    wanted = loaded.recipe.launch.processes_per_node
    if wanted > gpus:
        raise PlanError(
            error(
                "CPT512",
                f"`processes_per_node: {wanted}`, and {shown} has {gpus} GPUs",
                place=loaded.place("launch", "processes_per_node"),
                hint="one process needs one GPU; leave the key out to use all of them",
            )
        )
    return wanted or gpus


def site_advice(loaded: LoadedRecipe, site: Site) -> Iterator[Diagnostic]:
    """Comment on the choice of machines."""
    replicas, place = loaded.recipe.run.replicas, loaded.place("run", "replicas")
    if site.instance is None:
        if replicas > 1:
            yield note("CPT516", f"`replicas: {replicas}` is for the cloud; here the job has one machine", place=place)
        return
    where = loaded.place("launch", "instance_type")
    if loaded.recipe.is_nova and site.instance.name != DEFAULT_INSTANCE:
        message = f"AWS publishes recipes for Nova on `{DEFAULT_INSTANCE}` only, not on `{site.instance.name}`"
        yield warning("CPT515", message, place=where)
    elif not site.instance.gpus:
        message = f"`{site.instance.name}` has no GPU: good for a rehearsal, too slow for a real model"
        yield note("CPT574", message, place=where)
    elif site.instance.gpus == 1 and replicas > 1:
        hint = f"one `{DEFAULT_INSTANCE}` has 8 of the same GPUs on a link that is many times faster"
        yield note(
            "CPT573",
            f"{replicas} machines of one GPU each exchange all weights over the network",
            place=where,
            hint=hint,
        )
