"""Files and folders that make the stand-in delegate look like an Edge TPU that is attached."""

import subprocess
from pathlib import Path

import numpy as np
from unit.runtime.tiny_model import FileBuilder, S

from offload_perception.network.artefact import Artefact
from offload_perception.runtime.edgetpu_bus import Bus
from offload_perception.runtime.edgetpu_plan import compiled_file
from offload_perception.runtime.runner import Specs
from offload_perception.tensor import TensorSpec


def build_delegate(folder: Path, compiler: str) -> Path:
    """Compile the stand-in for libedgetpu.so.1."""
    library = folder / 'libstandin.so.1'
    source = Path(__file__).with_name('stand_in_delegate.c')
    subprocess.run([compiler, '-shared', '-fPIC', '-O2', '-Wall', '-Werror', '-o', str(library),
                    str(source)], check=True)
    return library


def compile_layers(artefact: Artefact, layers: range) -> None:
    """Write beside segments what edgetpu_compiler would: one custom operator in all."""
    for k in layers:
        file = compiled_file(artefact, k)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(
            custom_op_file(*artefact.end_specs(k, k)))


def custom_op_file(inputs: Specs, outputs: Specs) -> bytes:
    """Return a file whose only operator is `edgetpu-custom-op`."""
    f = FileBuilder()
    xs, ys = ([f.tensor((1, *spec.shape), spec.dtype, spec.scale, spec.zero_point)
               for spec in specs] for specs in (inputs, outputs))
    f.operator(S.BuiltinOperator.CUSTOM, xs, ys, custom='edgetpu-custom-op')
    return f.bytes(xs, ys)


def computed(x: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """Return what the stand-in computes for one layer."""
    flat = np.resize(np.ascontiguousarray(x).view(np.uint8).ravel(), spec.nbytes) ^ 0x55
    return flat.view(spec.dtype).reshape(spec.shape)


def bus_with_stick(folder: Path, product: str = '9302') -> Bus:
    """Return a bus with one USB Edge TPU on it."""
    usb, node = folder / 'sys/bus/usb/devices/2-1', folder / 'dev/bus/usb/002/003'
    usb.mkdir(parents=True)
    node.parent.mkdir(parents=True)
    node.touch()
    vendor = '18d1' if product == '9302' else '1a6e'
    for name, text in {'idVendor': vendor, 'idProduct': product, 'busnum': '2',
                       'devnum': '3'}.items():
        (usb / name).write_text(text + '\n')
    (folder / 'proc').mkdir()
    return Bus(folder / 'sys', folder / 'dev', folder / 'proc')
