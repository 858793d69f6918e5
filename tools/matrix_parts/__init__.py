"""The parts of tools/refresh_matrix.py."""
