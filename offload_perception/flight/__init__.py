"""State of vehicle, battery and pose from a flight stack, and what follows from it. No ROS."""
