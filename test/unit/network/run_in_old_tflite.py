"""Run .tflite files in the interpreter of an older Python (3.7 to 3.9).

python run_in_old_tflite.py FILES.json: a list of [model, inputs.npy, outputs.npy].
"""

import json
import sys
from typing import Any

import numpy as np
from tflite_runtime.interpreter import Interpreter


def run(model: Any, inputs: Any) -> Any:
    interpreter = Interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]['index']
    wanted = interpreter.get_output_details()[0]['index']
    outputs = []
    for x in inputs:
        interpreter.set_tensor(given, x[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(wanted)[0])
    return np.stack(outputs)


with open(sys.argv[1]) as file:
    for model, inputs, outputs in json.load(file):
        np.save(outputs, run(model, np.load(inputs)))
