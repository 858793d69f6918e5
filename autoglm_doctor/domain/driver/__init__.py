"""What is wrong with the driver or the GPU, and the way out."""
