"""Where to cut each frame: profiles, estimates from the flight, and the planner. No ROS."""
