"""Measure what every prefix of a network costs here: time, energy and memory."""
