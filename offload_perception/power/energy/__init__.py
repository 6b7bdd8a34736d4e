"""Energy of frames and stages from the samples of a meter."""
