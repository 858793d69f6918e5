"""How much memory of a GPU a deployment takes, by engine and version."""
