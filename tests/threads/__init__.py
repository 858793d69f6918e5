"""Environments of public issue threads, and what was wrong with them.

Pairs of sets, each written by authors who did not know the rules, and mended after: machines_1 and packages_1, then
machines_2 and packages_2, and so on. docs/measurements/2026-11-21-unseen-cases.md has the figures of each before anything
was mended for it.
A line: the address of the thread, what it states as loose facts, the error text (shortened or in other words), and the
expected status and cause; `replay` is "facts" where an expert could tell the cause without the error text.
"""
