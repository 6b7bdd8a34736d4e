"""The current state of a drone for viewers: one state, a web page and a terminal view of it."""
