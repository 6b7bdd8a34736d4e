"""How much of the machine a training takes."""


def limit_threads(threads: int) -> None:
    """Leave the rest of the machine to others; too late, and harmless, once TensorFlow ran."""
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        return
