"""DRV004: GPUs that the driver no longer drives, or not yet."""

from __future__ import annotations

from typing import Any

import pytest

from autoglm_doctor.checks.cuda import cuda_initialises
from autoglm_doctor.checks.driver import driver_present
from autoglm_doctor.checks.driver_gpu import driver_supports_gpu
from autoglm_doctor.checks.driver_torch import driver_runs_torch_cuda
from autoglm_doctor.checks.torch_gpu import architectures
from autoglm_doctor.facts import Cuda, Driver, Environment, Facts, Gpu, Host, PciGpu, Torch, known, with_readings
from autoglm_doctor.finding import Finding
from autoglm_doctor.intent import Intent, Launch
from autoglm_doctor.launch import parse_command
from autoglm_doctor.matrix import load_matrix
from autoglm_doctor.runner import run_checks
from autoglm_doctor.testing import judge

M = load_matrix()
INTENT = Intent(model="zai-org/AutoGLM-Phone-9B")
LOADED = {"nvml_code": 0, "read_by": ("NVML",)}
#: As it is found where the module ignores the only GPU: it does not stay loaded.
NOT_LOADED: dict[str, Any] = {"nvml_code": 9, "nvml_error": "Driver Not Loaded"}


def driver(version: str, **more: Any) -> Driver:
    return Driver(version=version, **more)


def gpu(capability: str, index: int = 0, name: str = "", **more: Any) -> Gpu:
    name = name or f"GPU of {capability}"
    return Gpu(index=index, name=name, compute_capability=capability, total_bytes=1, free_bytes=1, **more)


def pci(device_id: str, address: str = "0000:01:00.0", by: str | None = None) -> PciGpu:
    return PciGpu(address=address, device_id=device_id, driver=by)


def of(**given: Any) -> list[Finding]:
    return judge(driver_supports_gpu, **{"intent": INTENT, **given})


@pytest.mark.parametrize(
    ("version", "capability", "branch"),
    [
        pytest.param("595.71.03", "6.0", "580", id="P100 on 595"),
        pytest.param("590.44.01", "7.0", "580", id="V100 on 590"),
        pytest.param("615.71.09", "5.2", "580", id="Maxwell on 615"),
        pytest.param("620.10", "6.1", "580", id="Pascal on a branch after the table"),
        pytest.param("535", "3.0", "470", id="GTX 760 on the bare branch 535"),
        pytest.param("580.95.05", "3.7", "470", id="K80 on 580"),
        pytest.param("470.256.02", "2.0", "390", id="Fermi on 470"),
    ],
)
def test_dropped(version: str, capability: str, branch: str) -> None:
    (found,) = of(driver=driver(version), gpus=(gpu(capability),))
    assert (found.status, found.cause, found.expected) == ("fail", "DRIVER_DROPPED_GPU", f"<={branch}")
    fix = found.fixes[0]
    assert (fix.needs_root, fix.reboot, fix.effort) == (True, True, "reboot")
    assert f"sudo apt-get install -y nvidia-driver-{branch}" in fix.commands


@pytest.mark.parametrize(
    ("version", "capability", "package"),
    [
        pytest.param("470.256.02", "8.9", "nvidia-driver-580", id="RTX 4090 on 470"),
        pytest.param("565.57.01", "12.0", "nvidia-driver-580-open", id="RTX 5090 on 565: open modules"),
        pytest.param("570.124.06", "12.1", "nvidia-driver-580-open", id="GB10 on 570"),
    ],
)
def test_not_yet(version: str, capability: str, package: str) -> None:
    (found,) = of(driver=driver(version), gpus=(gpu(capability),))
    assert (found.status, found.cause) == ("fail", "DRIVER_TOO_OLD")
    assert f"sudo apt-get install -y {package}" in found.fixes[0].commands


@pytest.mark.parametrize(
    ("version", "capability"),
    [
        pytest.param("580.95.05", "6.1", id="P40 on 580"),
        pytest.param("580.65.06", "7.0", id="V100 on 580"),
        pytest.param("470.57.02", "3.0", id="GTX 680 on 470"),
        pytest.param("470.57.02", "8.0", id="A100 on 470"),
        pytest.param("455.23.04", "8.6", id="RTX 3090 on its first driver"),
        pytest.param("390.157", "2.1", id="GTX 460 on 390"),
        pytest.param("595.71.03", "7.5", id="T4 on 595"),
        pytest.param("570.86.16", "12.0", id="RTX 5090 on its first driver"),
        pytest.param("580.82.07", "10.3", id="GB300 on 580"),
        pytest.param("551.88", "8.9", id="a driver of Windows, in WSL"),
        pytest.param("474.44", "3.5", id="the driver of Windows for Kepler"),
        pytest.param("525.105.17", "8.6", id="A6000 on 525"),
    ],
)
def test_driven(version: str, capability: str) -> None:
    (found,) = of(driver=driver(version), gpus=(gpu(capability),))
    assert (found.status, found.subject) == ("pass", "gpu:0")


HERE = gpu("8.0", name="A100", uuid="GPU-1", pci_bus_id="00000000:41:00.0")
DROPPED = pci("0x15f8", "0000:02:00.0")


@pytest.mark.parametrize(
    ("given", "status"),
    [
        pytest.param(
            {"driver": driver("595.71.03", **NOT_LOADED), "pci_gpus": (pci("0x15f8"),)}, "fail", id="P100 alone, on 595"
        ),
        pytest.param(
            {"driver": driver("595.71.03", **LOADED), "gpus": (), "pci_gpus": (pci("0x1db1"),)},
            "fail",
            id="V100, the module stays loaded",
        ),
        pytest.param(
            {"driver": Driver(version=None, library_version="595.71.03", **NOT_LOADED), "pci_gpus": (pci("0x1b38"),)},
            "fail",
            id="P40, the version in the name of the library only",
        ),
        pytest.param(
            {"driver": driver("535.54.03", **NOT_LOADED), "pci_gpus": (pci("0x1187", by="nouveau"),)},
            "fail",
            id="GTX 760 that nouveau took",
        ),
        pytest.param(
            {
                "driver": driver("595.71.03", **LOADED),
                "gpus": (HERE,),
                "pci_gpus": (pci("0x20b5", "0000:41:00.0"), DROPPED),
            },
            "not_applicable",
            id="an A100 is enough beside it",
        ),
        pytest.param(
            {
                "driver": driver("595.71.03", **LOADED),
                "gpus": (HERE,),
                "pci_gpus": (pci("0x20b5", "0000:41:00.0"), DROPPED),
                "intent": Intent(model="m", launch=Launch(tensor_parallel=2)),
            },
            "fail",
            id="an A100 is not enough for two",
        ),
        pytest.param(
            {"driver": driver("595.71.03", **NOT_LOADED), "pci_gpus": (pci("0x20b5", "0000:41:00.0"), DROPPED)},
            "not_applicable",
            id="the A100 beside it would keep the module loaded: another fault",
        ),
        pytest.param(
            {"driver": driver("595.71.03", **NOT_LOADED), "pci_gpus": (pci("0x1b38", by="vfio-pci"),)},
            "not_applicable",
            id="given to a virtual machine",
        ),
        pytest.param(
            {"driver": driver("580.95.05", **NOT_LOADED), "pci_gpus": (pci("0x1b38"),)},
            "not_applicable",
            id="P40 on 580: another fault",
        ),
        pytest.param(
            {"driver": driver("470.57.02", **NOT_LOADED), "pci_gpus": (pci("0x1187"),)},
            "not_applicable",
            id="Kepler on 470",
        ),
        pytest.param(
            {"driver": driver("595.71.03", **NOT_LOADED), "pci_gpus": (pci("0x2684"),)},
            "not_applicable",
            id="RTX 4090, no driver: another fault",
        ),
        pytest.param(
            {"driver": driver("595.71.03", **NOT_LOADED), "pci_gpus": (pci(""),)},
            "not_applicable",
            id="a number not read",
        ),
        pytest.param(
            {"driver": driver("595.71.03", **LOADED), "gpus": (gpu("6.0", uuid="GPU-9", pci_bus_id="0:2:0.0"),)},
            "pass",
            id="NVML shows it: what is seen beats the table",
        ),
        pytest.param(
            {"driver": driver("595.71.03", nvml_code=0), "gpus": (gpu("6.0"),)}, "fail", id="assumed by --assume"
        ),
        pytest.param(
            {"driver": driver("595.71.03"), "gpus": (gpu("6.0"), gpu("8.0", 1))},
            "not_applicable",
            id="stated beside another",
        ),
        pytest.param({"driver": driver("620.10"), "gpus": (gpu("8.9"),)}, "unknown", id="a branch after the table"),
        pytest.param({"driver": driver("595.71.03"), "gpus": (gpu(""),)}, "unknown", id="a capability not known"),
        pytest.param(
            {"driver": Driver(version=None, cuda_version="12.4"), "gpus": (gpu("6.0"),)}, "unknown", id="no version"
        ),
        pytest.param({"driver": driver("340.108"), "gpus": (gpu("3.0"),)}, "unknown", id="a branch before the table"),
        pytest.param({"driver": driver("595.71.03")}, "not_applicable", id="no GPU is known of"),
        pytest.param(
            {
                "driver": driver("540.4.0"),
                "gpus": (gpu("7.2"),),
                "host": Host(system="Linux", machine="aarch64", kernel="5", tegra=True),
            },
            "not_applicable",
            id="a Jetson",
        ),
        pytest.param(
            {"driver": driver("595.71.03"), "gpus": (gpu("6.0"),), "intent": Intent(model="m", device="cpu")},
            "not_applicable",
            id="for the CPU",
        ),
        pytest.param(
            {
                "driver": driver("595.71.03"),
                "gpus": (gpu("6.0"),),
                "environment": Environment(variables={"CUDA_VISIBLE_DEVICES": "-1"}),
            },
            "not_applicable",
            id="hidden by the user",
        ),
    ],
)
def test_machines(given: dict[str, Any], status: str) -> None:
    (found,) = of(**given)
    assert found.status == status


RTX_4090, GT_710 = "0x2684", "0x128b"
NO_GPU_HERE: dict[str, Any] = {"driver": driver("590.48.01", **LOADED), "gpus": ()}


@pytest.mark.parametrize(
    ("given", "status"),
    [
        pytest.param(
            {"pci_gpus": (pci(RTX_4090, by="nvidia"), pci(GT_710, "0000:02:00.0", by="nvidia"))},
            "not_applicable",
            id="the container was given none of them",
        ),
        pytest.param(
            {"pci_gpus": (pci(RTX_4090, by="vfio-pci"), pci(GT_710, "0000:02:00.0"))},
            "fail",
            id="the other one belongs to a virtual machine",
        ),
        pytest.param(
            {"pci_gpus": (pci(RTX_4090, by="nouveau"), pci(GT_710, "0000:02:00.0"))},
            "fail",
            id="the other one is bound to something else",
        ),
        pytest.param(
            {
                "gpus": (HERE,),
                "pci_gpus": (
                    pci("0x20b5", "0000:41:00.0", by="nvidia"),
                    pci("0x20b5", "0000:42:00.0", by="nvidia"),
                    DROPPED,
                ),
                "intent": Intent(model="m", launch=Launch(tensor_parallel=2)),
            },
            "not_applicable",
            id="the container was given one of two",
        ),
        pytest.param(
            {
                "gpus": (HERE,),
                "pci_gpus": (pci("0x20b5", "0000:41:00.0", by="nvidia"), DROPPED),
                "intent": parse_command(["vllm", "serve", "m", "-tp", "1", "-pp", "2", "--nnodes", "2"]),
            },
            "not_applicable",
            id="its share of a cluster",
        ),
        pytest.param(
            {"gpus": (gpu("6.0"),), "pci_gpus": (pci(RTX_4090, by="nvidia"),)},
            "fail",
            id="an assumed GPU is not mixed with the bus",
        ),
    ],
)
def test_the_bus_shows_more_than_the_container(given: dict[str, Any], status: str) -> None:
    (found,) = of(**{**NO_GPU_HERE, **given})
    assert found.status == status


TWO = Intent(model="m", launch=Launch(tensor_parallel=2))


@pytest.mark.parametrize(
    ("version", "gpus", "bus", "wanted"),
    [
        pytest.param("590.48.01", ("8.9", "3.5"), (), "", id="no branch drives both"),
        pytest.param("590.48.01", ("8.0", "6.0"), (), "nvidia-driver-580", id="580 drives both"),
        pytest.param("590.48.01", ("8.0", "6.0", "3.5"), (), "nvidia-driver-580", id="580 brings enough of them back"),
        pytest.param("615.71.09", ("10.7", "6.0"), (), "", id="580 does not know Rubin"),
        pytest.param("470.57.02", ("3.5", "8.9"), (), "", id="a newer driver would drop the other"),
        pytest.param("590.48.01", (), (RTX_4090, GT_710), "", id="by numbers on the bus alone"),
    ],
)
def test_no_way_out_drops_another_gpu(version: str, gpus: tuple[str, ...], bus: tuple[str, ...], wanted: str) -> None:
    places = tuple(pci(one, f"0000:0{number}:00.0") for number, one in enumerate(bus, 1))
    given: dict[str, Any] = {"gpus": tuple(gpu(one, index) for index, one in enumerate(gpus))} if gpus else {"gpus": ()}
    (found,) = of(driver=driver(version, **LOADED), intent=TWO, pci_gpus=places, **given)
    packages = [line.split()[-1] for fix in found.fixes for line in fix.commands if "apt-get install" in line]
    assert (found.status, packages) == ("fail", [wanted] if wanted else [])
    assert found.fixes


def test_in_wsl_the_driver_is_windows() -> None:
    wsl = Host(system="Linux", machine="x86_64", kernel="6", wsl=True)
    (found,) = of(driver=driver("591.44"), gpus=(gpu("6.1"),), host=wsl)
    assert found.status == "fail"
    assert not any("apt-get" in line for fix in found.fixes for line in fix.commands)


def test_one_root_one_red() -> None:
    torch = Torch(version="2.11.0+cu130", cuda="13.0", architectures=("sm_75", "sm_80"))
    facts = with_readings(
        Facts(),
        {
            "driver": known(driver("535", nvml_code=9, nvml_error="Driver Not Loaded")),
            "gpus": known((gpu("3.0"),)),
            "pci_gpus": known((pci("0x1187"),)),
            "torch": known(torch),
            "cuda": known(Cuda(library="libcuda.so.1", init_code=100)),
        },
    )
    checks = (driver_supports_gpu, driver_present, driver_runs_torch_cuda, cuda_initialises, architectures)
    root, *others = run_checks(checks, facts, INTENT, M)
    assert root.status == "fail"
    assert [(one.code, one.status, one.because) for one in others] == [
        (code, "skipped", "DRV004") for code in ("DRV001", "DRV003", "CUD001", "TOR005")
    ]


@pytest.mark.parametrize(
    ("device_id", "branch"),
    [
        pytest.param("0x06d1", "470", id="C2050"),
        pytest.param("0x133f", "470", id="the last number before Maxwell"),
        pytest.param("0x1340", "580", id="the first of Maxwell"),
        pytest.param("0x1df6", "580", id="V100S"),
        pytest.param("0x1e02", None, id="TITAN RTX"),
        pytest.param("0x2b85", None, id="RTX 5090"),
        pytest.param("nonsense", None, id="no number"),
    ],
)
def test_numbers_on_the_bus(device_id: str, branch: str | None) -> None:
    found = M.dropped_pci(device_id)
    assert (found.last_branch if found else None) == branch


@pytest.mark.parametrize(
    ("name", "capability"),
    [
        pytest.param("NVIDIA GeForce GTX 760", "3.0", id="as the driver says it"),
        pytest.param("GTX 780Ti", "3.5", id="without a space"),
        pytest.param("Tesla K40m", "3.5", id="K40m"),
        pytest.param("Tesla K20Xm", "3.5", id="K20Xm"),
        pytest.param("GTX TITAN X", "5.2", id="the TITAN X of Maxwell"),
        pytest.param("NVIDIA TITAN X", "", id="two generations bear this name"),
        pytest.param("1060 6GB", "6.1", id="two memories"),
        pytest.param("NVIDIA GeForce GTX 1060 with Max-Q Design", "6.1", id="a laptop's Pascal"),
        pytest.param("GTX 1050 Ti Mobile", "6.1", id="another one"),
        pytest.param("GeForce GTX 970M", "5.2", id="Maxwell in a laptop"),
        pytest.param("GTX 750Ti", "5.0", id="by name alone"),
        pytest.param("Quadro P2000", "6.1", id="Quadro of Pascal"),
        pytest.param("Quadro K4000", "3.0", id="Quadro of Kepler"),
        pytest.param("RTX 4070 Laptop GPU", "8.9", id="a laptop's newer chip"),
        pytest.param("Quadro", "", id="no card"),
        pytest.param("max-q design", "", id="no card either"),
        pytest.param("RTX A4000", "8.6", id="not Quadro K4000 nor M4000"),
    ],
)
def test_names_of_old_cards(name: str, capability: str) -> None:
    assert M.capability_of(name) == capability


@pytest.mark.parametrize("one", sorted(M.legacy_names))
def test_names_alone_agree_with_the_cards(one: str) -> None:
    assert {M.capability_of(name) for name in M.legacy_names[one]} == {one}


@pytest.mark.parametrize("one", sorted(M.capabilities))
def test_a_dropped_capability_names_a_branch_that_drives_it(one: str) -> None:
    last = M.last_branch_for(one)
    assert last == "" or (M.drives(last, one) is True and M.drives("615", one) is False)
