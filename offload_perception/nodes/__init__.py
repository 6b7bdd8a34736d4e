"""The ROS 2 nodes: thin wiring around the rest of the package, and the only users of rclpy."""
