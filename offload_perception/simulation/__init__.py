"""Flights that never took place: seeded links, servers and devices to try policies on."""
