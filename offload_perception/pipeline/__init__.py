"""What happens to a frame, on the drone and on the server: threads and accounting, no ROS."""
