"""What a drone does now, for people who watch: one state, a web page and a terminal view of it."""
