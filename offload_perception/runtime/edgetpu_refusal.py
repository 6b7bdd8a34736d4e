"""Why an Edge TPU cannot be used, with what to do about it.

libedgetpu itself gives no reason: a library that is missing raises OSError, everything else
the same empty ValueError, and a library built for another TensorFlow crashes the process.
"""

import os

from offload_perception.errors import DeviceError
from offload_perception.runtime.edgetpu_bus import Bus


def not_compiled(model: str) -> DeviceError:
    """No file of the model has an operator for the Edge TPU: it would run on the CPU unseen."""
    return DeviceError(
        f'{model} is not compiled for the Edge TPU: no segment has the operator '
        'edgetpu-custom-op; run edgetpu_compiler on its segments (x86-64 only), or set '
        'device: cpu')


def float_network(model: str) -> DeviceError:
    """A float network, of which no operator can be mapped."""
    return DeviceError(f'{model} is a float network, and the Edge TPU runs int8 alone; use an '
                       'int8 network, or set device: cpu')


def check_attached(bus: Bus) -> None:
    """Raise DeviceError if the machine has no Edge TPU at all."""
    if not bus.attached():
        raise DeviceError(
            'no Edge TPU is attached: neither a USB device 1a6e:089a or 18d1:9302 nor '
            '/dev/apex_*; plug it in (a container or virtual machine must pass both USB ids), '
            'or set device: cpu')


def library_missing(library: str, reason: str) -> DeviceError:
    """The runtime library is not there."""
    return DeviceError(
        f'the Edge TPU library {library} cannot be loaded ({reason}); install the package '
        'libedgetpu1-std, built for a TensorFlow near to that of the interpreter, or set '
        'device: cpu')


def refused(device: str, bus: Bus) -> DeviceError:
    """The library is there but will not open the device; the bus shows the likely reason."""
    name = f"the Edge TPU '{device or 'any'}'"
    for found in bus.attached():
        holders = bus.holders(found.node)
        if holders:
            return DeviceError(f'{name} is held by {", ".join(holders)}: {found.what}; '
                               'end that process, or use another stick')
        if not os.access(found.node, os.R_OK | os.W_OK):
            return DeviceError(
                f'{name} may not be opened: no permission for {found.node}; add the user to '
                'the group plugdev (PCIe: apex), install the udev rule of libedgetpu, and plug '
                'it in again')
    seen = '; '.join(found.what for found in bus.attached()) or 'none'
    return DeviceError(f'{name} refuses to open (attached: {seen}); check the device string, '
                       'cable and supply, plug it in again')


def computes_otherwise(model: str, worst: str) -> DeviceError:
    """What the device gives is not what the model was when it was prepared."""
    return DeviceError(f'the Edge TPU computes {model} otherwise than it was prepared, {worst}; '
                       'compile the segments of this model again (prepare_model --edgetpu), check '
                       'libedgetpu, or set device: cpu')


def crashed(doing: str, signal: str) -> DeviceError:
    """The process that holds the device died."""
    remedy = ('libedgetpu and the interpreter were likely built for different TensorFlow '
              'versions; install a matching pair' if doing == 'loading' else
              'likely a USB transfer failed; check cable, hub and supply')
    return DeviceError(f'the Edge TPU process died while {doing} ({signal}); {remedy}')


def hung(doing: str, timeout_s: float) -> DeviceError:
    """The process that holds the device does not answer."""
    return DeviceError(f'the Edge TPU did not answer within {timeout_s:g} s while {doing}; '
                       'its process was killed; check cable, hub and supply')
