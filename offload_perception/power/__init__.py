"""Power: meters on the wire, an emulated one, and the energy that their samples add up to."""
