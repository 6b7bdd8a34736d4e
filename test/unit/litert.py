"""Run a .tflite file on one image, without any of our own runtime code."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def run(model: bytes, x: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]['index'], x[None])
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]['index'])[0]


def input_details(model: bytes) -> dict:
    return Interpreter(model_content=model).get_input_details()[0]
