"""Packaging: the one place that names the executables, for pip and for colcon alike."""

from pathlib import Path

from setuptools import Extension, find_packages, setup

NODES = ['camera_node', 'dashboard_node', 'edge_inference_node', 'flight_node', 'monsoon_node',
         'power_node', 'recorder_node', 'remote_inference_node', 'um25c_node']
COMMANDS = ['calibrate_meter', 'characterize', 'demo', 'evaluate_model', 'export_layers', 'fleet',
            'fleet_load', 'measure_codecs', 'monitor', 'plan', 'prepare_model', 'recover_bag',
            'replay', 'report', 'simulate_fleet', 'sros2_policy', 'train_aerial',
            'train_bottleneck', 'train_tables', 'tune', 'um25c_emulator']

# The loops of the tensor codec, called through ctypes.
NATIVE = ['offload_perception/codec/rans.c', 'offload_perception/codec/adaptive.c']

SETS = ['drone', 'server', 'tools', 'test']


def requirements(name):
    """Return the requirements of a set, with those of the sets that its file includes."""
    found = []
    for line in (Path(__file__).parent / 'requirements' / f'{name}.in').read_text().splitlines():
        if line.startswith('-r '):
            found += requirements(Path(line[3:]).stem)
        elif wanted := line.partition('#')[0].strip():
            found.append(wanted)
    return found


setup(
    name='offload_perception',
    version='0.1.0',
    description='Split a network between a drone and a server: least energy within the deadline.',
    license='Apache-2.0',
    packages=find_packages(include=['offload_perception', 'offload_perception.*']),
    package_data={'offload_perception': ['py.typed', 'codec/tables.npz', 'live/page/*',
                                         'profiles/*.json', 'weights/**/*']},
    ext_modules=[Extension('offload_perception.codec._native', NATIVE,
                           depends=['offload_perception/codec/rans.h'],
                           extra_compile_args=['-O3'])],
    python_requires='>=3.11',
    install_requires=['flatbuffers', 'numpy', 'opencv-python-headless', 'pillow', 'psutil',
                      'pyserial', 'pyyaml', 'zstandard'],
    extras_require={
        **{name: requirements(name) for name in SETS},
        'litert': ['ai-edge-litert'],
        'openvino': ['openvino'],
        'tensorflow': ['tensorflow-cpu; platform_machine == "x86_64"',
                       'tensorflow; platform_machine != "x86_64"'],
        'photos': ['scikit-learn'],
        'figures': ['matplotlib'],
        'tables': ['pandas', 'pyarrow'],
        'bags': ['mcap>=1.6', 'mcap-ros2-support'],
        'live': ['aiohttp', 'rich'],
        'ray': ['ray[serve]'],
    },
    entry_points={'console_scripts': [
        f'{name} = offload_perception.executables:{name}' for name in (*NODES, *COMMANDS)
    ]},
)
