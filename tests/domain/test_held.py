"""What torch lists when the memory of a GPU runs out."""

from __future__ import annotations

import pytest

from autoglm_doctor.domain.signatures.held import held_by_others

GPU = (
    "CUDA out of memory. Tried to allocate {wanted}. GPU 0 has a total capacity of {total} GiB of which {free} is free."
)
OWN = "Including non-PyTorch memory, this process has {} memory in use."
TAIL = "Of the allocated memory 6.81 GiB is allocated by PyTorch, and 17.19 MiB is reserved by PyTorch but unallocated."


def text(
    *processes: str, own: str = "", wanted: str = "2.00 GiB", total: str = "24.00", free: str = "193.25 MiB"
) -> str:
    listed = [f"Process {number} has {size} memory in use." for number, size in enumerate(processes, 1000)]
    return " ".join([GPU.format(wanted=wanted, total=total, free=free), *listed, OWN.format(own) if own else "", TAIL])


ROWS = [
    pytest.param(text("12.00 GiB", own="10.00 GiB"), True, id="another program holds half"),
    pytest.param(text("3.00 GiB", own="20.00 GiB"), True, id="without it there would be room"),
    pytest.param(text("900.00 MiB", "2.00 GiB", own="20.00 GiB"), True, id="several together"),
    pytest.param(text("3.70 GiB", "2.96 GiB", "14.90 GiB"), True, id="torch is one of them: two others hold much"),
    pytest.param(text("14.90 GiB"), False, id="torch itself, by its number outside of the container"),
    pytest.param(text("22.90 GiB", "400.00 MiB"), False, id="torch itself and a desktop"),
    pytest.param(text("400.00 MiB", own="23.00 GiB"), False, id="a desktop"),
    pytest.param(text("4.08 GiB", own="52.02 GiB", wanted="25.96 GiB", total="79.18"), False, id="a twentieth"),
    pytest.param(text("3.00 GiB", own="20.00 GiB", wanted="13535.27 GiB"), False, id="too large for any GPU"),
    pytest.param(text(own="23.00 GiB"), False, id="nobody else"),
    pytest.param(text("414.00 MiB", "414.00 MiB", "414.00 MiB", own="37.46 GiB", total="39.49"), False, id="its ranks"),
    pytest.param("Process 812 has 12.31 GiB memory in use.", False, id="of a GPU of unknown size"),
    pytest.param("CUDA out of memory. Tried to allocate 2.00 GiB.", False, id="no list"),
    pytest.param("", False, id="nothing"),
]


@pytest.mark.parametrize(("said", "others"), ROWS)
def test_held_by_others(said: str, others: bool) -> None:
    assert held_by_others(said) is others
