"""Nodes, parameters and launch arguments, and how they are started together."""
