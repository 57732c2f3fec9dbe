"""The recorder sees what blocks hand on, drops padding, and leaves no hook behind."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from repsam_ros.adaptation.cka.recorder import BlockRecorder, random_tokens
from repsam_ros.errors import ConfigError
from repsam_ros.network.build import NetworkConfig, RepSam, build_network
from repsam_ros.network.sam import normalise

GRID = (15, 20)


@pytest.fixture(scope="module")
def network() -> RepSam:
    torch.manual_seed(0)
    return build_network(NetworkConfig())


def hooks(network: RepSam) -> int:
    return sum(len(module._forward_hooks) for module in network.modules())


def inputs(count: int) -> tuple[Tensor, Tensor, Tensor]:
    color = 255 * torch.rand((count, 3, 240, 320), generator=torch.Generator().manual_seed(1))
    return color, torch.zeros(count, 240, 320), torch.tensor([[300.0, 300, 160, 120]] * count)


def test_rows_are_those_of_the_residual_stream(network: RepSam) -> None:
    color, depth_m, intrinsics = inputs(2)
    chosen = [random_tokens((0, k), (15, 20), 5) for k in range(2)]
    inner = [(15, 20), (9, 20)]
    blocks = network.image_encoder.blocks
    with BlockRecorder(blocks, GRID) as recorder:
        rows = recorder.record(lambda: network.encode(color, depth_m, intrinsics), inner, chosen)
    assert rows.image_mean.shape == (8, 2, 192) and rows.tokens.shape == (8, 2, 5, 192)
    assert rows.image_mean.dtype == rows.tokens.dtype == torch.float64
    # Fusion starts at zero and adds nothing, so the stream is a plain chain of blocks.
    with torch.inference_mode():
        stream = network.image_encoder.embed(normalise(color))
        for block, means, tokens in zip(blocks, *rows, strict=True):
            stream = block(stream)
            for k, (height, width) in enumerate(inner):
                wanted = stream[k, :height, :width].double().mean((0, 1))
                torch.testing.assert_close(means[k], wanted, rtol=1e-4, atol=1e-5)
                at = chosen[k]
                wanted = stream[k, at[:, 0], at[:, 1]].double()
                torch.testing.assert_close(tokens[k], wanted, rtol=1e-4, atol=1e-5)


def test_padding_changes_no_row_but_through_attention() -> None:
    """Blocks that mix no tokens: whatever stands in the padding, the rows are the same."""
    blocks = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    picture = torch.randn(1, 6, 8, 4, generator=torch.Generator().manual_seed(2))
    padded = picture.clone()
    padded[:, 3:] = 1e6
    padded[:, :, 5:] = -1e6
    chosen = [random_tokens((3,), (3, 5), 15)]
    with BlockRecorder(blocks, (6, 8)) as recorder:
        first, second = (
            recorder.record(lambda x=x: blocks(x), [(3, 5)], chosen)  # type: ignore[misc]
            for x in (picture, padded)
        )
    assert torch.equal(first.image_mean, second.image_mean)
    assert torch.equal(first.tokens, second.tokens)


def test_hooks_are_gone_afterwards(network: RepSam) -> None:
    before = hooks(network)
    with BlockRecorder(network.image_encoder.blocks, GRID):
        assert hooks(network) == before + 8
    assert hooks(network) == before


def test_hooks_are_gone_after_an_error_in_the_network(network: RepSam) -> None:
    before = hooks(network)
    color, depth_m, intrinsics = inputs(1)
    chosen = [random_tokens((0,), (15, 20), 2)]
    with (
        pytest.raises(RuntimeError, match="Sizes of tensors must match"),
        BlockRecorder(network.image_encoder.blocks, GRID) as recorder,
    ):
        recorder.record(
            lambda: network.encode(color[:, :, :100], depth_m, intrinsics), [(15, 20)], chosen
        )
    assert hooks(network) == before


def test_hooks_are_gone_when_a_block_takes_none() -> None:
    class Unhookable(nn.Identity):
        def register_forward_hook(self, *args: object, **kwargs: object) -> None:  # type: ignore[override]
            raise RuntimeError("no hooks here")

    first = nn.Identity()
    with (
        pytest.raises(RuntimeError, match="no hooks here"),
        BlockRecorder([first, Unhookable()], GRID),
    ):
        pass
    assert not first._forward_hooks


def test_recorded_blocks_run_as_usual_in_between(network: RepSam) -> None:
    color, depth_m, intrinsics = inputs(1)
    with torch.inference_mode(), BlockRecorder(network.image_encoder.blocks, GRID):
        watched = network.encode(color, depth_m, intrinsics).embedding
    with torch.inference_mode():
        plain = network.encode(color, depth_m, intrinsics).embedding
    assert torch.equal(watched, plain)


def test_tokens_are_different_seeded_and_inside() -> None:
    first = random_tokens((1, 2), (4, 5), 20)
    assert torch.equal(first, random_tokens((1, 2), (4, 5), 20))
    assert not torch.equal(first, random_tokens((1, 3), (4, 5), 20))
    assert len({tuple(at) for at in first.tolist()}) == 20
    assert int(first[:, 0].max()) == 3 and int(first[:, 1].max()) == 4
    with pytest.raises(ConfigError, match="21 asked for, a picture has 20"):
        random_tokens((1,), (4, 5), 21)


def test_blocks_of_other_widths_and_resolutions_are_brought_together() -> None:
    fine = torch.randn(1, 4, 8, 3, generator=torch.Generator().manual_seed(4))
    coarse = torch.randn(1, 1, 2, 5, generator=torch.Generator().manual_seed(5))
    blocks = [nn.Identity(), nn.Identity()]
    at = torch.tensor([[0, 1], [1, 3]])
    with BlockRecorder(blocks, (2, 4)) as recorder:
        rows = recorder.record(lambda: (blocks[0](fine), blocks[1](coarse)), [(2, 4)], [at])
    assert rows.tokens.shape == (2, 1, 2, 5)
    wanted = torch.stack([fine[0, 0:2, 2:4].mean((0, 1)), fine[0, 2:4, 6:8].mean((0, 1))])
    torch.testing.assert_close(rows.tokens[0, 0, :, :3], wanted.double(), atol=1e-6, rtol=0)
    assert torch.all(rows.tokens[0, :, :, 3:] == 0)
    assert torch.equal(rows.tokens[1, 0], coarse[0, 0].double())
    torch.testing.assert_close(
        rows.image_mean[0, 0, :3], fine.double().mean((0, 1, 2)), atol=1e-6, rtol=0
    )
