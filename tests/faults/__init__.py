"""Faults put into a healthy, simulated machine, one at a time, and the installed command run on it.

machine.py    the healthy machine: stub driver with an RTX 4090, a venv with vLLM 0.12 and a fake torch, a model folder
running.py    one run of `autoglm-doctor check` in it, and what it left behind
fault.py      a row of the table: what is broken, and what the report must say
torches.py    ways in which a torch can be ill (also used against the peers, see benchmarks/)
tables        drivers.py, torch_faults.py, targets.py (with packages.py, models.py), systems.py, mounts.py, process.py
"""
