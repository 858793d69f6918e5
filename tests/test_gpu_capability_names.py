"""The compute capability by a name as drivers, hypervisors, lspci and people write it."""

from __future__ import annotations

import pytest

from autoglm_doctor.matrix import load_matrix

MATRIX = load_matrix()

#: Capability -> names of it.
KNOWN: dict[str, list[str]] = {
    "3.0": [
        "GRID K520",
    ],
    "3.7": [
        "Tesla K80",
    ],
    "5.0": [
        "NVIDIA GeForce MX130",
        "NVIDIA GeForce 940MX",
        "NVIDIA Corporation GM108M [GeForce 940MX] (rev a2)",
        "Tesla M10",
        "Quadro M2000M",
        "NVIDIA GeForce GTX 960M",
    ],
    "5.2": [
        "NVIDIA GeForce GTX TITAN X",
        "GRID M60-8Q",
        "Tesla M40 24GB",
        "Quadro M2000",
        "NVIDIA GeForce GTX 960",
    ],
    "5.3": [
        "NVIDIA Tegra X1",
    ],
    "6.0": [
        "Tesla P100-PCIE-16GB",
        "Tesla P100-SXM2-16GB",
        "Tesla P100-PCIE-12GB",
    ],
    "6.1": [
        "Quadro P1000",
        "NVIDIA GeForce MX350",
        "GeForce MX 150",
        "GP106M [GeForce GTX 1060 Mobile]",
        "NVIDIA TITAN Xp",
        "TITAN X (Pascal)",
        "P104-100",
        "P106-100",
        "Tesla P40",
        "GRID P40-24Q",
        "Quadro P2000 Mobile",
        "Quadro P3200 with Max-Q Design",
        "NVIDIA GeForce GTX 1080 Ti",
        "1080 Ti",
    ],
    "6.2": [
        "Jetson TX2",
    ],
    "7.0": [
        "Tesla V100-SXM2-32GB",
        "Tesla V100-FHHL-16GB",
        "Tesla V100-DGXS-32GB",
        "Tesla V100S-PCIE-32GB",
        "GRID V100DX-32Q",
        "NVIDIA TITAN V",
    ],
    "7.2": [
        "Xavier",
        "Jetson Xavier NX",
    ],
    "7.5": [
        "Quadro RTX 6000",
        "GRID RTX6000-24Q",
        "Quadro RTX 8000",
        "NVIDIA Quadro RTX 5000",
        "Quadro RTX 4000",
        "Quadro RTX 5000 with Max-Q Design",
        "Quadro RTX 3000",
        "NVIDIA T1000 8GB",
        "Quadro T1000",
        "Quadro T2000 with Max-Q Design",
        "NVIDIA T400 4GB",
        "Tesla T4",
        "GRID T4-16Q",
        "GRID T4-8C",
        "NVIDIA T4G",
        "NVIDIA GeForce MX550",
        "NVIDIA GeForce MX450",
        "NVIDIA GeForce GTX 1650",
        "NVIDIA GeForce GTX 1650 SUPER",
        "NVIDIA GeForce GTX 1650 with Max-Q Design",
        "NVIDIA GeForce GTX 1660 SUPER",
        "NVIDIA GeForce RTX 2060 SUPER",
        "NVIDIA GeForce RTX 2070 SUPER",
        "NVIDIA GeForce RTX 2080 Super with Max-Q Design",
        "NVIDIA TITAN RTX",
        "NVIDIA CMP 40HX",
    ],
    "8.0": [
        "NVIDIA A800-SXM4-80GB",
        "NVIDIA A800 80GB PCIe",
        "NVIDIA A800 40GB Active",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA A100-PG509-200",
        "NVIDIA A100-SXM-64GB",
        "NVIDIA A100X",
        "NVIDIA A30",
        "GRID A100DX-80C",
        "GRID A100D-2-20C",
        "A100X-40C",
        "A30-1-6CME",
        "NVIDIA CMP 170HX",
    ],
    "8.6": [
        "NVIDIA A2",
        "NVIDIA A10",
        "A10-24Q",
        "NVIDIA A10G",
        "NVIDIA A16",
        "A16-2B",
        "NVIDIA A40-48Q",
        "NVIDIA A40",
        "NVIDIA RTXA6000-48Q",
        "NVIDIA RTX A6000",
        "Quadro RTX A6000",
        "A6000",
        "NVIDIA RTX A1000 6GB Laptop GPU",
        "NVIDIA RTX A2000 12GB",
        "RTX A500",
        "NVIDIA GeForce RTX 2050",
        "NVIDIA GeForce MX570 A",
        "GA106M [GeForce RTX 3060 Mobile / Max-Q]",
        "NVIDIA GeForce RTX 3050 6GB Laptop GPU",
        "NVIDIA GeForce RTX 3050 Ti Laptop GPU",
        "NVIDIA GeForce RTX 3060 Lite Hash Rate",
        "NVIDIA GeForce RTX 3080 Ti Laptop GPU",
    ],
    "8.7": [
        "Orin",
        "Orin (nvgpu)",
        "NVIDIA Jetson AGX Orin 64GB",
        "NVIDIA Jetson Orin Nano Super Developer Kit",
    ],
    "8.9": [
        "NVIDIA L20",
        "NVIDIA L2",
        "NVIDIA L4",
        "L40S-48C",
        "NVIDIA L4-24Q",
        "NVIDIA RTX 6000 Ada Generation",
        "RTX6000-Ada-48Q",
        "RTX 6000Ada",
        "NVIDIA RTX 4000 SFF Ada Generation",
        "NVIDIA RTX 5000 Ada Generation Laptop GPU",
        "NVIDIA RTX 500 Ada Generation Laptop GPU",
        "AD102 [GeForce RTX 4090]",
        "NVIDIA GeForce RTX 4050 Laptop GPU",
        "NVIDIA GeForce RTX 4060 Laptop GPU",
        "NVIDIA GeForce RTX 4070 Laptop GPU",
        "NVIDIA GeForce RTX 4090 D",
        "RTX 4090D 48GB",
        "4090",
    ],
    "9.0": [
        "NVIDIA GH200 144G HBM3e",
        "NVIDIA H20",
        "NVIDIA H20-3e",
        "NVIDIA H800",
        "NVIDIA H100 NVL",
        "NVIDIA H100 80GB HBM3",
        "NVIDIA H100XM-80C",
        "NVIDIA H200 NVL",
    ],
    "10.0": [
        "NVIDIA B200",
        "NVIDIA GB200",
    ],
    "10.3": [
        "NVIDIA B300 SXM6 AC",
    ],
    "11.0": [
        "NVIDIA Thor",
        "NVIDIA Jetson AGX Thor Developer Kit",
    ],
    "12.0": [
        "NVIDIA GeForce RTX 5070 Ti Laptop GPU",
        "NVIDIA GeForce RTX 5090 Laptop GPU",
        "RTX 5090 D V2",
        "5060ti",
        "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
        "NVIDIA RTX PRO 6000 Blackwell Server Edition",
        "NVIDIA RTX Pro 6000 Blackwell DC-96Q",
        "NVIDIA RTX PRO 4000 Blackwell SFF Edition",
        "NVIDIA RTX PRO 500 Blackwell Generation Laptop GPU",
        "RTX 6000 Pro",
        "NVIDIA RTX 6000D",
    ],
    "12.1": [
        "NVIDIA GB10",
        "DGX Spark",
    ],
}

#: Not a card, not one of NVIDIA, several, or a name that was sold with chips of two generations.
UNKNOWN = [
    "rtx",
    "A",
    "PRO",
    "Quadro",
    "Tesla",
    "GeForce",
    "GRID",
    "24GB",
    "Voodoo2",
    "RTX 40900",
    "RTX 9090",
    "RTX 6000",
    "RTX 5000",
    "RTX 4000",
    "RTX 4000 series",
    "RTX 50 series",
    "NVIDIA (Ampere)",
    "NVIDIA 24 GB GPU",
    "NVIDIA Graphics Device",
    "NVIDIA GPU",
    "NVIDIA TITAN X",
    "TITAN",
    "AMD MI300X",
    "AMD Radeon RX 580",
    "Radeon RX 7900 XTX",
    "AMD Radeon Pro W7900",
    "AMD Radeon PRO V710",
    "Intel Arc A770",
    "Intel Data Center GPU Max 1550",
    "Gaudi 2",
    "Ascend 910B",
    "Google TPU v5e",
    "GeForce 710",
    "GeForce GT 730",
    "GTX 960 Mobile",
    "Quadro M2000 Mobile",
    "RTX 3050 A Laptop GPU",
    "RTX 3090 / RTX 4090",
    "GTX 5090X",
    "A1000000",
    "H10",
    "T100",
    "P1",
    "L400",
    "B100 Ultra Max",
    "V1000",
    "580",
    "H100 or A100",
    "RTX 4090 Ampere Turing",
    "GTX 560 Ti 448 Cores",
    "Quadro 6000",
    "MX200",
    "Apple M2 Max",
    "Snapdragon X Elite",
    "NVS 300",
    "max-q design",
    "Laptop GPU",
    "Apple M4 Max",
    "",
]


@pytest.mark.parametrize(("name", "capability"), [(name, one) for one, names in KNOWN.items() for name in names])
def test_known(name: str, capability: str) -> None:
    assert MATRIX.capability_of(name) == capability
    assert MATRIX.capability_of(name.upper()) == capability


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown(name: str) -> None:
    assert MATRIX.capability_of(name) == ""


@pytest.mark.parametrize("row", MATRIX.gpus)
def test_every_card_has_its_own_by_all_its_names(row: str) -> None:
    model = MATRIX.gpus[row]
    assert {MATRIX.capability_of(name) for name in (row, *model.called)} == {model.capability}


@pytest.mark.parametrize("name", ["Quadro RTX 4000", "Quadro RTX 5000"])
def test_a_quadro_is_not_taken_for_the_ada_of_its_number(name: str) -> None:
    assert MATRIX.find_gpu(name) is None
