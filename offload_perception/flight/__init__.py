"""What the flight stack tells: vehicle, battery, pose; and what perception makes of it. No ROS."""
