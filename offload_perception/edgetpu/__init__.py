"""What the Edge TPU and its compiler make of a model."""
