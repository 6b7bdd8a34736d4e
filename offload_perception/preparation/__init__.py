"""Make a prepared model: from a preset or a user's Keras file to quantised segments."""
