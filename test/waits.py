"""How long tests wait for what must come: so long that only what never comes is a failure."""

WAIT_S = 180.0
LONG_S = 600.0
"""For work that keeps a processor busy all that time, as TensorFlow does."""
