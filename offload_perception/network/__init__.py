"""Networks and their cuts: the operator graph of a file, a prepared model, its labels."""
