"""Meter, camera, disk, model files and clock fail in flight."""

import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults.flight import DRONE, LONG, TIMES, Flight, pause
from graph.command import FLYING, Command
from graph.node_beside import node_beside
from rclpy.duration import Duration
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from waits import WAIT_S

from offload_perception.network.artefact import Artefact
from offload_perception.nodes import qos
from offload_perception.nodes.convert import byte_array, image_message
from offload_perception.power.emulation.emulator_process import EmulatorProcess, spawn_emulator
from offload_perception.power.emulation.faults import Fault

SPOILED = 5
METERED = FLYING + r'.*\d W'

# -- the meter ------------------------------------------------------------------------------------


@pytest.fixture
def meter() -> Iterator[EmulatorProcess]:
    with spawn_emulator(device='raspberry_pi_3b_plus') as emulator:
        yield emulator


@pytest.mark.parametrize('fault', [LONG(Fault.SILENCE), LONG(Fault.GARBAGE),
                                   LONG(Fault.IMPLAUSIBLE), Fault.DISCONNECT],
                         ids=lambda f: f.value)
def test_the_meter(flight: Flight, photos: str, meter: EmulatorProcess, fault: Fault) -> None:
    flight.start_server()
    flight.start('um25c', f'port:={meter.port}', 'rate:=7.0')
    flight.start_drone(photos)
    flight.flies(METERED)
    for n in range(TIMES):
        with flight.fault():
            meter.inject(fault, SPOILED)
            while meter.stats()['faults'].get(fault.value, 0) < (n + 1) * SPOILED:
                pause(0.1)
        flight.flies(METERED)
    flight.land(f'meter: {fault.value}, {SPOILED} replies')


# -- the camera -----------------------------------------------------------------------------------


class Camera:
    """Publishes images as a driver does."""

    def __init__(self, node: Any) -> None:
        self._node, self.published = node, 0
        self._publisher = node.create_publisher(Image, f'{DRONE}/image_raw',
                                                qos.images('reliable'))

    def show(self, count: int, *, width: int = 320, height: int = 240, encoding: str = 'rgb8',
             period_s: float = 0.1, **fields: Any) -> None:
        """Publish images, one every `period_s`, with some fields changed."""
        shape = (height, width) if encoding.startswith('mono') else (height, width, 3)
        for n in range(count):
            rgb = np.full(shape, n % 256, np.uint8)
            header = Header(frame_id='camera', stamp=self._node.get_clock().now().to_msg())
            if len(shape) == 3:
                message = image_message(rgb, header)
            else:
                message = Image(header=header, height=height, width=width, step=width,
                                data=byte_array(rgb.tobytes()))
            message.encoding = encoding
            for name, value in fields.items():
                setattr(message, name, value)
            self._publisher.publish(message)
            self.published += 1
            pause(period_s)

    def wait_for_subscriber(self) -> None:
        while not self._publisher.get_subscription_count():
            pause(0.02)

    def delivered(self) -> bool:
        return self._publisher.wait_for_all_acked(Duration(seconds=WAIT_S))


@pytest.fixture
def camera() -> Iterator[Camera]:
    with node_beside('driver') as node:
        yield Camera(node)


CAMERA_FAULTS: dict[str, Callable[[Camera], object]] = {
    'camera stops for 3 s': lambda c: pause(3.0),
    'camera changes size': lambda c: (c.show(5, width=640, height=480), c.show(5, width=33)),
    'camera changes encoding': lambda c: [c.show(3, encoding=e) for e in (
        'bgr8', 'mono8', 'no such', '')],
    'camera sends images that are not what they say': lambda c: [
        c.show(3, **wrong) for wrong in ({'step': 7}, {'height': 10**6},
                                         {'data': byte_array(b'123')})],
    'camera floods': lambda c: c.show(500, period_s=0.0),
}


@pytest.mark.parametrize('fault', [name if 'floods' in name else LONG(name)
                                   for name in CAMERA_FAULTS])
def test_the_camera(flight: Flight, camera: Camera, fault: str) -> None:
    flight.start_server()
    flight.start_drone('', 'image_reliability:=reliable')
    camera.wait_for_subscriber()
    camera.show(20)
    for _ in range(TIMES):
        with flight.fault():
            CAMERA_FAULTS[fault](camera)
        camera.show(10)
    assert camera.delivered()
    flight.land(fault)


# -- the disk -------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder],
                          capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f'a small disk cannot be mounted here: {done.stderr.strip()}')
    yield folder
    subprocess.run(['umount', '-l', folder], check=True)


def test_the_disk_is_full(run: Callable[..., Command], artefact: Artefact, photos: str,
                          small_disk: Path) -> None:
    pytest.importorskip('mcap_ros2')
    flight = Flight(run, artefact.path, small_disk)
    flight.start_server()
    flight.start_drone(photos)
    with flight.fault():
        with suppress(OSError), (small_disk / 'other').open('wb', buffering=0) as other:
            while True:
                other.write(bytes(4096))
        flight['recorder'].said('recording ended')
    flight.flies()
    flight.land('disk full while recording', recorded_all=False)


# -- model files ----------------------------------------------------------------------------------


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def swap(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2:] = reversed(data[len(data) // 2:])
    file.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], None]] = {
    'truncated': truncate, 'damaged': swap, 'removed': os.remove}


@pytest.mark.parametrize('damage', ['truncated', LONG('damaged'), LONG('removed')])
def test_the_model_files(run: Callable[..., Command], artefact: Artefact, photos: str,
                         tmp_path: Path, damage: str) -> None:
    """In flight nothing happens, and after a restart the node refuses them in words."""
    pytest.importorskip('mcap_ros2')
    shutil.copytree(artefact.path, tmp_path / 'model')
    flight = Flight(run, tmp_path / 'model', tmp_path)
    flight.start_server()
    flight.start_drone(photos, 'exit_when_refused:=true')
    with flight.fault():
        for file in (tmp_path / 'model').glob('*.tflite'):
            DAMAGES[damage](file)
    flight.flies()
    flight['edge_inference'].interrupt()
    assert flight['edge_inference'].wait() == 0
    again = flight.start('edge_inference')
    assert again.wait() == 1
    assert 'refused to configure' in again.output and 'Traceback' not in again.output
    flight.land(f'model files {damage} in flight')


# -- the clock ------------------------------------------------------------------------------------

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static volatile long long *offset_s;

__attribute__((constructor)) static void find(void) {
    int file = open(getenv("CLOCK_OFFSET"), O_RDONLY);
    offset_s = mmap(0, sizeof *offset_s, PROT_READ, MAP_SHARED, file, 0);
}

int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, t);
    if (id == CLOCK_REALTIME && offset_s) t->tv_sec += *offset_s;
    return result;
}

int gettimeofday(struct timeval *t, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return 0;
}

/* The kernel waits until a time of the true clock; times of the monotonic one are smaller. */
static struct timespec true_time(const struct timespec *until) {
    struct timespec t = *until;
    if (offset_s && t.tv_sec > 1000000000) t.tv_sec -= *offset_s;
    return t;
}

int pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!real) real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!real) real = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    struct timespec t = true_time(until);
    return real(c, m, &t);
}

int pthread_mutex_timedlock(pthread_mutex_t *m, const struct timespec *until) {
    static int (*real)(pthread_mutex_t *, const struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "pthread_mutex_timedlock");
    struct timespec t = true_time(until);
    return real(m, &t);
}

int sem_timedwait(sem_t *s, const struct timespec *until) {
    static int (*real)(sem_t *, const struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "sem_timedwait");
    struct timespec t = true_time(until);
    return real(s, &t);
}
"""


class Clock:
    """The wall clock of processes that are started with `env`."""

    def __init__(self, folder: Path) -> None:
        source, library, self._file = (folder / n for n in ('clock.c', 'clock.so', 'offset'))
        source.write_text(SHIM)
        subprocess.run(['gcc', '-O1', '-shared', '-fPIC', '-o', library, source, '-ldl'],
                       check=True)
        self._file.write_bytes(bytes(8))
        self.env = {'LD_PRELOAD': str(library), 'CLOCK_OFFSET': str(self._file)}

    def step(self, seconds: int) -> None:
        """Set the clock to `seconds` from the true time."""
        with self._file.open('r+b') as file, mmap.mmap(file.fileno(), 8) as shared:
            shared[:] = struct.pack('q', seconds)


@pytest.mark.parametrize('seconds', [LONG(3600), -3600])
@pytest.mark.parametrize('split', ['block4_pool', LONG('auto')])
def test_the_clock_of_the_drone_is_set(run: Callable[..., Command], artefact: Artefact,
                                       photos: str, tmp_path: Path, seconds: int,
                                       split: str) -> None:
    pytest.importorskip('mcap_ros2')
    clock = Clock(tmp_path)
    flight = Flight(run, artefact.path, tmp_path)
    flight.start_server()
    flight.start_drone(photos, f'split:={split}', env=clock.env)
    for n in range(TIMES):
        with flight.fault():
            clock.step(seconds if n % 2 == 0 else 0)
        flight.flies()
    flight.land(f"the drone's clock set by {seconds:+} s, split {split}")
