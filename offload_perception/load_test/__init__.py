"""Drives a server with the tensors of many drones, and tells how it copes."""
