"""Run a .tflite file on images, without any of our own runtime code."""

from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def run(model: bytes, x: np.ndarray) -> np.ndarray:
    return run_each(model, x[None])[0]


def run_each(model: bytes, inputs: np.ndarray) -> np.ndarray:
    """Return the outputs of inputs `(N, ...)`, taken one by one."""
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]['index']
    wanted = interpreter.get_output_details()[0]['index']
    outputs = []
    for x in inputs:
        interpreter.set_tensor(given, x[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(wanted)[0])
    return np.stack(outputs)


def input_details(model: bytes) -> dict[str, Any]:
    return Interpreter(model_content=model).get_input_details()[0]


def run_whole(model: bytes, x: np.ndarray) -> list[np.ndarray]:
    """Return all outputs, dequantised and without the batch, of one input without a batch."""
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]['index'], x[None])
    interpreter.invoke()
    return [_real(interpreter.get_tensor(d['index']), *d['quantization'])
            for d in interpreter.get_output_details()]


def _real(y: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    y = y[0] if y.shape[:1] == (1,) and y.ndim else y
    if not scale:
        return y
    return (y.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
