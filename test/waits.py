"""How long tests wait for what must come: so long that only what never comes is a failure."""

WAIT_S = 60.0
