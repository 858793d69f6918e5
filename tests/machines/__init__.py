"""Recorded machines: NAME.json is a saved reading, NAME.txt the report that it gives."""
