"""Reading the machine. One script per source, each run in a process of its own by `collect`.

Modules here run under the doctor's interpreter (`python -m autoglm_doctor.probes.NAME RESULT ARGUMENTS`) and may use
the doctor's dependencies. Scripts in `target/` run under the user's interpreter, as a copy in an empty folder: the
standard library only, no import from this package. Both speak the protocol of `protocol.py`.
"""
