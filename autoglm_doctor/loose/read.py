"""Loose facts -> Facts and Intent. What is not stated stays unread: no key, no fact."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from autoglm_doctor.facts import Facts, Gpu, Reading, fact_names
from autoglm_doctor.intent import Intent
from autoglm_doctor.loose.copies import with_copies
from autoglm_doctor.loose.driver import read_cuda, read_driver, seen_to_work
from autoglm_doctor.loose.engine import read_intent
from autoglm_doctor.loose.environment import read_environment
from autoglm_doctor.loose.gpus import MOST, read_gpus
from autoglm_doctor.loose.host import read_host, read_interpreter
from autoglm_doctor.loose.hub import read_download, read_offline
from autoglm_doctor.loose.jetson import with_board
from autoglm_doctor.loose.kernels import read_kernels
from autoglm_doctor.loose.limits import with_limits
from autoglm_doctor.loose.memory import read_memory, read_shared_memory
from autoglm_doctor.loose.model_files import read_model_files
from autoglm_doctor.loose.module import read_module, read_pci, with_flavour
from autoglm_doctor.loose.net import read_port, spread, with_network, with_other_machines
from autoglm_doctor.loose.packages import read_packages
from autoglm_doctor.loose.storage import read_disk_speed, read_storage
from autoglm_doctor.loose.toolchain import read_toolchain
from autoglm_doctor.loose.torch import read_torch, read_torch_run
from autoglm_doctor.matrix import Matrix

Stated = Mapping[str, Any]


def read_facts(stated: Stated, matrix: Matrix) -> tuple[Facts, Intent]:
    """The facts that are stated, and what is to run. Unknown keys and values of unknown form are ignored."""
    intent = read_intent(stated)
    listed = read_gpus(stated, matrix)
    machines = spread(stated, listed, intent)
    host = with_network(with_limits(read_host(stated, matrix), stated), stated, machines)
    host = with_board(host, stated)
    torch, run = read_torch(stated, host.value if host else None, matrix), read_torch_run(stated)
    driver = with_flavour(read_driver(stated, matrix) or read_module(stated), stated)
    found: dict[str, Reading[Any] | None] = {
        "host": host,
        "environment": read_environment(stated, matrix),
        "pci_gpus": read_pci(stated),
        "driver": seen_to_work(driver, torch.value if torch else None, run.value if run else None, matrix),
        "gpus": with_other_machines(_as_many_as_taken(listed, intent), machines),
        "cuda": read_cuda(stated),
        "interpreter": read_interpreter(stated),
        "packages": with_copies(read_packages(stated), stated),
        "torch": torch,
        "kernels": read_kernels(stated, intent.engine),
        "torch_run": run,
        "toolchain": read_toolchain(stated),
        "memory": read_memory(stated),
        "shared_memory": read_shared_memory(stated),
        "storage": read_storage(stated),
        "disk_speed": read_disk_speed(stated),
        "download": read_download(stated),
        "model_files": read_offline(stated) or read_model_files(stated),
        "port": read_port(stated, intent),
    }
    unread: Reading[Any] = Reading(outcome="not_run", why="it is not stated")
    readings: dict[str, Any] = dict.fromkeys(fact_names(), unread)
    return Facts(**readings | {name: one for name, one in found.items() if one is not None}), intent


def _as_many_as_taken(gpus: Reading[tuple[Gpu, ...]] | None, intent: Intent) -> Reading[tuple[Gpu, ...]] | None:
    """One card named beside a model that is spread over several says which kind they are, not how many."""
    if gpus is None or gpus.value is None or len(gpus.value) != 1 or gpus.why or intent.gpus_needed > MOST:
        return gpus
    many = tuple(dataclasses.replace(gpus.value[0], index=index) for index in range(intent.gpus_needed))
    return dataclasses.replace(gpus, value=many)
