#!/usr/bin/env bash
# Optional: run unit tests on an emulated 64-bit ARM processor, with the packages that a drone gets there:
#   bash scripts/test_arm.sh [ARGUMENT OF PYTEST ...]         # default: what needs neither ROS nor TensorFlow
#   ARM_CPU=cortex-a53 bash scripts/test_arm.sh test/unit/codec
#
# What was made on one machine is compared on the other through the golden files of test/unit. Needs a Debian or
# Ubuntu, and on it:
#   dpkg --add-architecture arm64 && apt-get update
#   apt-get install qemu-user-static gcc-aarch64-linux-gnu
# It installs nothing outside its cache and registers no binary format: a wrapper runs Python in QEMU.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${OFFLOAD_PERCEPTION_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/offload_perception}/arm  # as in environment.sh
cpu=${ARM_CPU:-cortex-a72}
tests=(test/unit/codec test/unit/imaging test/unit/network test/unit/runtime test/unit/pictures test/unit/pipeline
  --ignore test/unit/network/test_old_tflite.py  # runs an interpreter of this machine
  --deselect test/unit/runtime/test_edgetpu_bus.py::test_a_real_holder_is_found_in_the_real_proc)  # see proc below

die() { printf 'error: %s\n' "$*" >&2; exit 1; }

for tool in qemu-aarch64-static aarch64-linux-gnu-gcc apt-get uv; do
  command -v "$tool" >/dev/null || die "no $tool. The first lines of this script say what to install (uv: pip install uv)."
done
dpkg --print-foreign-architectures | grep -qx arm64 || die 'no arm64 packages. Run: dpkg --add-architecture arm64 && apt-get update'
python=$(apt-cache depends python3:arm64 2>/dev/null | sed -n 's/.*Depends: \(python3\.[0-9]*\).*/\1/p' | sort -u)
[ -n "$python" ] || die 'apt has no python3:arm64. Run apt-get update.'
sysroot=$cache/$python-sysroot venv=$cache/$python-venv
site=$venv/lib/$python/site-packages

# Debian's Python with the libraries that it needs: unpacked, not installed.
if ! [ -f "$sysroot/.complete" ]; then
  mkdir -p "$cache/debs" "$sysroot"
  mapfile -t packages < <(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
    --no-replaces --no-enhances "$python:arm64" libgomp1:arm64 libstdc++6:arm64 | grep '^[a-z].*:arm64$' | sort -u)
  (cd "$cache/debs" && apt-get download "${packages[@]}")
  for deb in "$cache"/debs/*.deb; do dpkg -x "$deb" "$sysroot"; done
  touch "$sysroot/.complete"
fi

# LiteRT reads there what the processor can do, and crashes on the text of an x86; QEMU shows that of the host.
mkdir -p "$sysroot/proc"
for ((n = 0; n < $(nproc); n++)); do
  printf 'processor\t: %d\nFeatures\t: fp asimd crc32\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\n' $n
  printf 'CPU part\t: 0xd08\nCPU revision\t: 3\n\n'
done >"$sysroot/proc/cpuinfo"

mkdir -p "$venv/bin" "$site"
printf 'home = /usr/bin\ninclude-system-site-packages = false\n' >"$venv/pyvenv.cfg"
# Python takes the wrapper for itself, so that it starts other Pythons in QEMU too.
cat >"$venv/bin/python" <<END
#!/bin/sh
exec qemu-aarch64-static -cpu \${ARM_CPU:-$cpu} -L '$sysroot' -0 '$venv/bin/python' '$sysroot/usr/bin/$python' "\$@"
END
ln -sf "$(command -v aarch64-linux-gnu-gcc)" "$venv/bin/gcc"
chmod +x "$venv/bin/python"

# Without TensorFlow, which no drone has: tests that prepare models are not for it.
wanted=$cache/requirements.txt
python3 "$root/scripts/requirements.py" --without tensorflow --without tensorflow-cpu test >"$wanted"
if ! cmp -s "$wanted" "$venv/requirements.txt"; then
  uv pip install --quiet --target "$site" --python-version "${python#python}" --python-platform aarch64-manylinux_2_28 \
    --no-deps --require-hashes --only-binary :all: -r "$wanted"
  cp "$wanted" "$venv/requirements.txt"
fi

mkdir -p "$cache/lib"
aarch64-linux-gnu-gcc -O3 -fPIC -shared -o "$cache/lib/liboffload_codec.so" \
  "$root"/offload_perception/codec/rans.c "$root"/offload_perception/codec/adaptive.c
cd "$root"
export PATH="$venv/bin:$PATH" LD_LIBRARY_PATH="$cache/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" PYTHONPATH=$root
export ARM_CPU=$cpu
printf '%s, emulated %s\n' "$("$venv/bin/python" -c 'import platform; print(platform.machine(), platform.python_version())')" "$cpu"
[ $# -gt 0 ] || set -- "${tests[@]}"
exec "$venv/bin/python" -m pytest -p no:cacheprovider "$@"
