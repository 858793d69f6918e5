"""Which engine and transformers run on a machine, why newer ones do not, and the line that installs them."""
