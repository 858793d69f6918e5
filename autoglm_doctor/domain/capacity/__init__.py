"""What fits on which GPUs, and the launch lines that start."""
