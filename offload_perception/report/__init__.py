"""A report of one flight or of two side by side, from their bags. No ROS needed."""
