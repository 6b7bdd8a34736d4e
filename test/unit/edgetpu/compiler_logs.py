"""Output of edgetpu_compiler, in the wording that users pasted into issue reports."""

V16 = """\
Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 3216 ms.

Input model: head.tflite
Input size: 7.33MiB
Output model: head_edgetpu.tflite
Output size: 7.56MiB
On-chip memory used for caching model parameters: 6.91MiB
On-chip memory remaining for caching model parameters: 780.50KiB
Off-chip memory used for streaming uncached model parameters: 256.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 14
Operation log: head_edgetpu.log

Operator                       Count      Status

CONV_2D                        10         Mapped to Edge TPU
MAX_POOL_2D                    4          Mapped to Edge TPU
Compilation child process completed within timeout period.
Compilation succeeded!
"""

PARTLY = """\
Edge TPU Compiler version 2.1.302470888

Model compiled successfully in 417 ms.

Input model: tail.tflite
Input size: 4.10MiB
Output model: tail_edgetpu.tflite
Output size: 4.09MiB
On-chip memory available for caching model parameters: 7.67MiB
On-chip memory used for caching model parameters: 3.44MiB
On-chip memory remaining for caching model parameters: 4.23MiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 5
Operation log: tail_edgetpu.log

Model successfully compiled but not all operations are supported by the Edge TPU. A percentage \
of the model will instead run on the CPU, which is slower. If possible, consider updating your \
model to use only operations supported by the Edge TPU. For details, visit \
g.co/coral/model-reqs.
Number of operations that will run on Edge TPU: 3
Number of operations that will run on CPU: 2

Operator                       Count      Status

SOFTMAX                        1          Operation is otherwise supported, but not mapped due \
to some unspecified limitation
FULLY_CONNECTED                2          Mapped to Edge TPU
FULLY_CONNECTED                1          More than one subgraph is not supported
QUANTIZE                       1          Mapped to Edge TPU
"""

FAILED = """\
Edge TPU Compiler version 16.0.384591198
ERROR: Didn't find op for builtin opcode 'CONV_2D' version '6'
ERROR: Restored original execution plan after delegate application failure.
Compilation failed: Model failed in Tflite interpreter. Please ensure model can be loaded/run in \
Tflite interpreter.
Compilation child process completed within timeout period.
Compilation failed!
"""
