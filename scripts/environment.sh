# Sourced by the scripts beside it: makes everything the package needs, then enters it.
#
#   a ROS 2 distribution, sourced or in /opt/ros  ->  a virtual environment on top of it
#   none                                          ->  ROS 2 Jazzy from PyPI wheels in a virtual environment,
#                                                     or Kilted if OFFLOAD_PERCEPTION_WHEELS=kilted
#
# OFFLOAD_PERCEPTION_SET says which set of requirements/ is installed: by default `test`, which holds all, and
# `drone` on other processors than x86-64. OFFLOAD_PERCEPTION_ROS is where distributions are, if not in /opt/ros.
# The environment is cached outside the checkout, so that a second checkout starts in seconds:
# in OFFLOAD_PERCEPTION_CACHE. Prepared models have a folder of their own, OFFLOAD_PERCEPTION_MODELS.
# Every step may be interrupted and run again.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${OFFLOAD_PERCEPTION_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/offload_perception}

die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# step TITLE REMEDY COMMAND...: run quietly, show that it lives, name itself when it fails.
step() {
  local title=$1 remedy=$2 log started=$SECONDS pid tick=15
  log=$(mktemp "$cache/setup-XXXXXX.log")
  shift 2
  [ -t 2 ] && tick=1
  "$@" >"$log" 2>&1 &
  pid=$!
  trap 'kill $pid 2>/dev/null; exit 130' INT TERM
  while kill -0 $pid 2>/dev/null; do
    if (((SECONDS - started) % tick == 0)); then
      if [ -t 2 ]; then printf '\r%s ... %d s ' "$title" $((SECONDS - started)) >&2
      else printf '%s ... %d s\n' "$title" $((SECONDS - started)) >&2; fi
    fi
    sleep 1
  done
  trap - INT TERM
  if ! wait $pid; then
    tail -n 25 "$log" >&2
    die "'$title' failed (whole log: $log). $remedy"
  fi
  rm "$log"
  if [ -t 2 ]; then printf '\r%s ... done in %d s\n' "$title" $((SECONDS - started)) >&2; fi
}

# hold FILE WHAT: be the only one, until `release`; say so where that means to wait.
hold() {
  exec 9<"$1"
  flock --nonblock 9 && return
  printf 'waiting for %s (it holds a lock on %s) ...\n' "$2" "$1" >&2
  flock 9
}

release() { exec 9<&-; }

find_python() {
  local candidate candidates=(python3.11 python3.12 python3 python3.13)
  [ -n "${OFFLOAD_PERCEPTION_PYTHON:-}" ] && candidates=("$OFFLOAD_PERCEPTION_PYTHON")
  for candidate in "${candidates[@]}"; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
        2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  die "no Python 3.11 to 3.13 with the venv module among: ${candidates[*]}." \
    'Install python3 and python3-venv, or name one with OFFLOAD_PERCEPTION_PYTHON.'
}

install_wheels() {
  "$venv/bin/python" "$root/scripts/requirements.py" "${sets[@]}" >"$venv/requirements.txt"
  "$venv/bin/pip" install --disable-pip-version-check --progress-bar off \
    --no-deps --require-hashes -r "$venv/requirements.txt"
}

# The wheels' CMake files name the Python of the machine that built them: name ours instead.
rewrite_cmake_paths() {
  local tag include numpy_include
  tag=$("$venv/bin/python" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
  include=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
  numpy_include=$("$venv/bin/python" -c 'import numpy; print(numpy.get_include())')
  find "$venv/share" -name '*.cmake' -exec sed -i \
    -e "s|/opt/python/$tag-$tag/lib/python[0-9.]*/site-packages/numpy/_core/include|$numpy_include|g" \
    -e "s|/opt/python/$tag-$tag/include/python[0-9.]*|$include|g" {} +
}

make_environment() {
  [ -f "$venv/.complete" ] && return
  hold "$cache" 'the set-up of another checkout'
  if ! [ -f "$venv/.complete" ]; then fill_environment; fi
  release
}

fill_environment() {
  step 'making a virtual environment' 'Is the python3-venv package installed, and the disk not full?' \
    "$python" -m venv "${venv_options[@]}" "$venv"
  step "installing packages for $set (${distribution:-ROS 2 wheels, $wheels})" \
    'Is the package index reachable (pip config, proxy), and the disk not full? Then run this again.' \
    install_wheels
  if [ -z "$distribution" ]; then
    step 'adapting the ROS 2 wheels' "Remove $venv and run this again." rewrite_cmake_paths
  fi
  printf '%s takes %s\n' "$venv" "$(du -sh "$venv" | cut -f 1)" >&2
  touch "$venv/.complete"
}

enter_environment() {
  export VIRTUAL_ENV=$venv PATH="$venv/bin:$PATH"
  [ -n "$distribution" ] && return
  export AMENT_PREFIX_PATH=$venv CMAKE_PREFIX_PATH=$venv ROS_DISTRO=$wheels ROS_VERSION=2
  export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
  local site libs
  site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  LD_LIBRARY_PATH="$venv/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  for libs in "$site"/ros_*.libs; do
    [ -d "$libs" ] && LD_LIBRARY_PATH="$LD_LIBRARY_PATH:$libs"
  done
  export LD_LIBRARY_PATH
}

# What was built holds links to the sources: only a new or a gone file, or one that is compiled or
# generated from, asks for another build.
build_package() {
  local stamp="$root/install/.built" state
  state=$venv$'\n'$(cd "$root" && {
    find offload_perception launch config msg resource -type f -not -name '*.pyc' | sort
    sha256sum msg/* offload_perception/codec/*.[ch] package.xml CMakeLists.txt setup.py
  } | sha256sum)
  [ "$(cat "$stamp" 2>/dev/null)" = "$state" ] && return
  if [ "$(head -n 1 "$stamp" 2>/dev/null)" != "$venv" ]; then
    rm -rf "$root/build" "$root/install"  # never built, or in another environment
  fi
  # Without MAKEFLAGS colcon has make wait while the load is above the number of cores.
  step 'building with colcon' "The lines above say why; if the checkout was moved, remove build/ and install/." \
    env -C "$root" MAKEFLAGS="${MAKEFLAGS:--j$(nproc)}" colcon --log-base log build --symlink-install --event-handlers console_direct+ \
    --cmake-args -DPython3_EXECUTABLE="$venv/bin/python" -DBUILD_TESTING="$([ "$set" = test ] && echo ON || echo OFF)" -Wno-dev
  find "$root/install" -xtype l -delete  # links to files that have gone since
  printf '%s\n' "$state" >"$stamp"
}

enter_package() {
  set +u
  # shellcheck disable=SC1091
  source "$root/install/local_setup.bash"
  set -u
  export PATH="$root/install/offload_perception/lib/offload_perception:$PATH"
}

# A distribution that is installed and not sourced.
source_ros() {
  local setup
  for setup in "${OFFLOAD_PERCEPTION_ROS:-/opt/ros}"/{jazzy,kilted}/setup.bash; do
    [ -f "$setup" ] || continue
    set +u
    # shellcheck disable=SC1090
    source "$setup"
    set -u
    return
  done
}

mkdir -p "$cache"
machine=$(uname -m)
set=${OFFLOAD_PERCEPTION_SET:-$([ "$machine" = x86_64 ] && echo test || echo drone)}
[ -f "$root/requirements/$set.in" ] || die "no set '$set': OFFLOAD_PERCEPTION_SET is drone, server, tools or test."
wheels=${OFFLOAD_PERCEPTION_WHEELS:-jazzy}
distribution=
venv_options=()
command -v ros2 >/dev/null || source_ros
if [ -n "${ROS_DISTRO:-}" ] && command -v ros2 >/dev/null; then
  distribution=$ROS_DISTRO
  venv_options=(--system-site-packages)
  sets=(--missing "$set")  # what it has stays as it is
  python=$(command -v python3)
  command -v colcon >/dev/null || die 'no colcon. Install python3-colcon-common-extensions.'
else
  [ "$(uname -s)-$machine" = Linux-x86_64 ] || die \
    "the ROS 2 wheels are for Linux x86-64 only, this is $(uname -s) $machine." \
    'Install ROS 2 Jazzy in /opt/ros, or start its container, and run this again (docs/raspberry_pi.md).'
  python=$(find_python)
  [[ $wheels = jazzy || $wheels = kilted ]] || die "no wheels of '$wheels': OFFLOAD_PERCEPTION_WHEELS is jazzy or kilted."
  sets=("$wheels" "$set")
fi
for tool in cmake gcc g++ flock; do
  command -v "$tool" >/dev/null || die "no $tool. Install it (Debian, Ubuntu: apt install cmake g++ util-linux)."
done

key=$({ cat "$root"/requirements/*; "$python" -VV; echo "$distribution" "${sets[@]}"; } |
  sha256sum | cut -c1-12)
venv="$cache/venv-$key"
make_environment
enter_environment
hold "$root" 'another build of this checkout'
build_package
release
enter_package
