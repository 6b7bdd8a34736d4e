"""What happens to a frame on the drone: threads and accounting, no ROS."""
