"""Environments of public issue threads, and what was wrong with them.

Four sets, each written by authors who did not know the rules: machines_1 and packages_1, mended after, and machines_2 and
packages_2, written after that. docs/measurements/2026-11-21-unseen-cases.md has the figures before anything was mended.
A line: the address of the thread, what it states as loose facts, the error text (shortened or in other words), and the
expected status and cause; `replay` is "facts" where an expert could tell the cause without the error text.
"""
