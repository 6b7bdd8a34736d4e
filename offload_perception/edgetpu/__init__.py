"""How a model is compiled for and mapped to the Edge TPU."""
