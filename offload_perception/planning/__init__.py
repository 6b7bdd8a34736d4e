"""The choice of cut, codec and server for each frame: estimators and planner. No ROS."""
