"""The instance table, and the machine at hand."""

import pytest

from cloudcpt.errors import PlanError
from cloudcpt.plan.instances import Machine, chip_tflops, find_instance, instances, read_nvidia_smi, this_machine

WITHOUT_GPU = {"ml.m5.xlarge", "ml.m5.4xlarge", "ml.m5.24xlarge"}


def test_every_type_of_the_reference_is_there():
    assert set(instances()) == {
        "ml.p4d.24xlarge",
        "ml.p4de.24xlarge",
        "ml.p5.4xlarge",
        "ml.p5.48xlarge",
        "ml.p5e.48xlarge",
        "ml.p5en.48xlarge",
        "ml.p6-b200.48xlarge",
        "ml.p6-b300.48xlarge",
        *WITHOUT_GPU,
    }


@pytest.mark.parametrize("row", instances().values(), ids=lambda row: row.name)
def test_every_row_is_whole_and_says_where_its_price_is_from(row):
    has_gpus = row.name not in WITHOUT_GPU
    assert (row.gpus in (1, 8)) == has_gpus
    assert (row.gpu_memory_bytes >= 40 * 10**9) == has_gpus
    assert (row.bf16_tflops > 0) == has_gpus
    assert row.vcpus >= 4
    assert "2026" in row.price_source
    assert row.price_usd_per_hour > 0 or "no public" in row.price_source


@pytest.mark.parametrize(
    ("name", "ec2_price"),
    [
        ("ml.p4d.24xlarge", 21.958),
        ("ml.p4de.24xlarge", 27.447),
        ("ml.p5.48xlarge", 55.04),
        ("ml.p5.4xlarge", 6.88),
        ("ml.p5en.48xlarge", 63.296),
        ("ml.p6-b200.48xlarge", 113.933),
        ("ml.p6-b300.48xlarge", 142.416),
    ],
)
def test_prices_are_15_percent_above_ec2_and_derived_ones_say_so(name, ec2_price):
    row = find_instance(name)
    assert row.price_usd_per_hour == pytest.approx(ec2_price * 1.15, abs=0.006)
    assert row.price_derived == (name not in ("ml.p4d.24xlarge", "ml.p5.48xlarge"))


def test_an_unknown_type_names_the_nearest_one():
    with pytest.raises(PlanError) as caught:
        find_instance("ml.p5.48xlarg")
    (found,) = caught.value.diagnostics
    assert found.code == "CPT511"
    assert found.hint == "did you mean `ml.p5.48xlarge`?"


def test_a_type_far_from_all_gets_no_guess():
    with pytest.raises(PlanError) as caught:
        find_instance("local")
    assert "did you mean" not in str(caught.value.diagnostics[0].hint)


def test_nvidia_smi_is_read_with_the_smallest_gpu_deciding():
    answer = "NVIDIA H100 80GB HBM3, 81559\nNVIDIA H100 80GB HBM3, 40000\n"
    assert read_nvidia_smi(answer, cpus=16, visible=None) == Machine(
        gpus=2, gpu_memory_bytes=40_000 * 2**20, cpus=16, gpu_name="NVIDIA H100 80GB HBM3"
    )


@pytest.mark.parametrize("answer", ["", "No devices were found\n", "NVIDIA-SMI has failed, could not talk to it\n"])
def test_anything_else_is_no_gpu(answer):
    assert read_nvidia_smi(answer, cpus=2, visible=None) == Machine(gpus=0, gpu_memory_bytes=0, cpus=2)


@pytest.mark.parametrize(("visible", "gpus"), [(None, 3), ("0,1,2", 3), ("1", 1), ("2,0", 2), ("0,-1,1", 1), ("", 0)])
def test_only_gpus_that_cuda_will_show_count(visible, gpus):
    assert read_nvidia_smi("NVIDIA A100, 40960\n" * 3, cpus=2, visible=visible).gpus == gpus


def test_a_chip_is_known_by_the_name_of_its_driver():
    assert chip_tflops("NVIDIA H200") == chip_tflops("NVIDIA H100 80GB HBM3") == 989.4
    assert chip_tflops("NVIDIA A100-SXM4-40GB") == 312
    assert chip_tflops("NVIDIA GeForce RTX 4090") == 0
    assert chip_tflops("") == 0


@pytest.mark.parametrize(
    "name", ["NVIDIA H100 PCIe", "NVIDIA H200 NVL", "NVIDIA GH200 480GB", "NVIDIA H100 MIG 1g.10gb"]
)
def test_a_chip_with_another_peak_is_not_taken_for_its_namesake(name):
    assert chip_tflops(name) == 0


def test_this_machine_has_at_least_one_cpu():
    assert this_machine().cpus >= 1
