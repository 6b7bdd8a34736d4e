"""VGG16: build, train, quantise once, cut anywhere, report on the Edge TPU."""
