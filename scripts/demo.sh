#!/usr/bin/env bash
# Set everything up (once), then fly the demo: camera, drone, power meter and server on this machine.
# bash scripts/demo.sh --help lists the options.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
exec demo "$@"
