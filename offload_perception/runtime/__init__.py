"""Run the segments of a prepared model: LiteRT, TensorFlow, OpenVINO, Edge TPU, Keras."""
