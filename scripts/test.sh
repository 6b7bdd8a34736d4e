#!/usr/bin/env bash
# Set everything up (once), then check style and types, and run the tests. Arguments go to pytest: bash scripts/test.sh -k um25c
OFFLOAD_PERCEPTION_SET=test  # the tests need all of the package, on a drone too
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"
ruff check .
[ "$ROS_DISTRO" != jazzy ] || mypy  # rclpy's own annotations differ from one distribution to the next
# Most tests of whole graphs wait for processes: three at a time keep two cores busy.
exec python -m pytest -n 3 --dist loadfile "$@"
