"""Loosely written names of cards, and what the table knows of them."""

from __future__ import annotations

import pytest

from autoglm_doctor.matrix import load_matrix

MATRIX = load_matrix()


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("4090", "GeForce RTX 4090"),
        ("rtx4090", "GeForce RTX 4090"),
        ("NVIDIA GeForce RTX 4090", "GeForce RTX 4090"),
        ("RTX 4090D", "GeForce RTX 4090 D"),
        ("RTX4070Ti Super", "GeForce RTX 4070 Ti SUPER"),
        ("5070ti", "GeForce RTX 5070 Ti"),
        ("RTX 3060", "GeForce RTX 3060"),
        ("3060 12GB", "GeForce RTX 3060 12GB"),
        ("RTX 4060 Ti 16G", "GeForce RTX 4060 Ti 16GB"),
        ("NVIDIA A100-SXM4-80GB", "A100 SXM 80GB"),
        ("NVIDIA A100 80GB PCIe", "A100 PCIe 80GB"),
        ("a100 pcie", "A100 PCIe"),
        ("A100", "A100 PCIe"),
        ("NVIDIA H100 NVL", "H100 NVL"),
        ("NVIDIA H20", "H20"),
        ("Tesla T4", "T4"),
        ("Tesla V100-SXM2-16GB", "V100 SXM2"),
        ("V100-SXM2-32GB", "V100 SXM2 32GB"),
        ("L40", "L40"),
        ("L40S", "L40S"),
        ("A6000", "RTX A6000"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "RTX PRO 6000 Blackwell Server"),
        ("NVIDIA GB10", "GB10"),
    ],
)
def test_names(name: str, row: str) -> None:
    assert MATRIX.gpu_name(name) == row


@pytest.mark.parametrize("name", ["", "rtx", "A", "Voodoo2", "RTX 4090 Laptop GPU", "RTX 40900", "24GB", "PRO"])
def test_no_card(name: str) -> None:
    assert MATRIX.find_gpu(name) is None


def test_what_is_near() -> None:
    assert "GeForce RTX 4090" in MATRIX.near_gpus("RTX 4090 Laptop GPU")
    assert MATRIX.near_gpus("Voodoo2") == ()


@pytest.mark.parametrize("row", MATRIX.gpus)
def test_every_row_is_found_by_its_own_name(row: str) -> None:
    found = MATRIX.gpu_name(row)
    assert found is not None
    assert (found, MATRIX.gpus[found].capability) == (row, MATRIX.gpus[row].capability)


@pytest.mark.parametrize("row", MATRIX.gpus)
def test_cuda_counts_a_little_less_than_is_sold(row: str) -> None:
    model = MATRIX.gpus[row]
    share = model.total_bytes / (1 << 30) / model.memory_gib
    assert 0.90 <= share <= 1  # ECC takes 6 % of GDDR6
    assert (model.cuda_gib is None) is (model.source == "")


def test_a_card_with_other_memory() -> None:
    model = MATRIX.find_gpu("RTX 4090 48GB")
    assert model is not None
    assert (model.capability, model.memory_gib, model.total_bytes) == ("8.9", 48, int(48 * 0.98 * (1 << 30)))
