from offload_perception.network.shape import NetworkShape


def test_vgg16_has_the_published_work_and_weights() -> None:
    vgg16 = NetworkShape.preset('vgg16')
    assert vgg16.last == 21
    assert sum(vgg16.macs) == 15_470_264_320  # 15.47 billion, without the preprocessing
    parameters = 138_357_544
    biases = 4224 + 4096 + 4096 + 1000
    assert sum(vgg16.weight_bytes) == parameters + 3 * biases


def test_tensor_sizes_are_those_of_int8(shape: NetworkShape) -> None:
    sizes = dict(zip(shape.names, shape.nbytes, strict=True))
    assert sizes['input'] == 37_632
    assert sizes['block1_conv1'] == 802_816  # not the 11,211,264 of the original sheet
    assert sizes['block4_pool'] == 25_088
    assert sizes['fc1'] == 4096


def test_work_of_heads_ends_at_the_whole(shape: NetworkShape) -> None:
    assert shape.head_macs[0] == 0
    assert shape.head_macs[-1] == sum(shape.macs)
