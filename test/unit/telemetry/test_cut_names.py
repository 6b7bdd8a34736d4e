import pytest

from offload_perception.telemetry.cut_names import cut_names


def test_cuts_of_a_known_network_have_the_names_of_all_its_layers() -> None:
    assert cut_names({3: 'block1_pool'}, ('vgg16',))[:4] == (
        'input', 'block1_conv1', 'block1_conv2', 'block1_pool')


@pytest.mark.parametrize('cut', [-1, -2**31])
def test_a_damaged_cut_number_is_no_cut_of_a_known_network(cut: int) -> None:
    assert cut_names({cut: 'predictions', 1: 'mine'}, ()) == ('layer 0', 'mine')
