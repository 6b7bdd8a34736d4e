#!/usr/bin/env bash
# Run any command in the package's environment: what sourcing a workspace and `ros2 run` are on a
# ROS 2 distribution. Example: bash scripts/run.sh monitor
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
[ $# -gt 0 ] || die 'usage: bash scripts/run.sh COMMAND [ARGUMENT ...]'
exec "$@"
