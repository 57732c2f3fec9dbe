"""Planted changes of blocks are measured and correlated."""

from __future__ import annotations

import copy
from itertools import permutations

import numpy as np
import pytest
import torch

from repsam_ros.adaptation.ablation.mechanism import check_mechanism, update_norms
from repsam_ros.errors import CheckpointError, ConfigError
from repsam_ros.network.build import NetworkConfig, build_network


def test_update_norms_are_relative_to_the_weights() -> None:
    torch.manual_seed(0)
    base = build_network(NetworkConfig()).state_dict()
    tuned = copy.deepcopy(base)
    for block in range(1, 8):
        for module in ("attn.qkv", "attn.proj", "mlp.lin1", "mlp.lin2"):
            tuned[f"image_encoder.blocks.{block}.{module}.weight"] *= 1 + block / 10
    # Neither biases nor norms are weight matrices.
    tuned["image_encoder.blocks.0.norm1.weight"] += 1
    tuned["image_encoder.blocks.0.attn.qkv.bias"] += 1
    np.testing.assert_allclose(update_norms(base, tuned), np.arange(8) / 10, atol=1e-6)


def test_one_changed_matrix_counts_by_its_share() -> None:
    torch.manual_seed(0)
    base = build_network(NetworkConfig()).state_dict()
    tuned = copy.deepcopy(base)
    tuned["image_encoder.blocks.3.mlp.lin1.weight"].zero_()
    sizes = [
        float(base[f"image_encoder.blocks.3.{module}.weight"].square().sum())
        for module in ("mlp.lin1", "attn.qkv", "attn.proj", "mlp.lin2")
    ]
    found = update_norms(base, tuned)
    assert found[3] == pytest.approx(np.sqrt(sizes[0] / sum(sizes)), rel=1e-5)
    assert np.count_nonzero(found) == 1


def test_networks_that_do_not_match_are_refused() -> None:
    base = build_network(NetworkConfig()).state_dict()
    name = "image_encoder.blocks.5.attn.proj.weight"
    for tuned in ({k: v for k, v in base.items() if k != name}, base | {name: base[name][:7]}):
        with pytest.raises(CheckpointError, match=r"blocks\.5\.attn\.proj\.weight is missing or"):
            update_norms(base, tuned)
    with pytest.raises(CheckpointError, match="the base has no"):
        update_norms({}, base)


def test_correlations_of_known_order() -> None:
    x = [0.1, 0.9, 0.4, 0.6]
    found = check_mechanism(x, [1, 4, 2, 3], [8, -4, 6, 5])
    assert found.update_norms and found.single_block_gains
    assert found.one_minus_cka == tuple(x)
    assert found.update_norms.rho == pytest.approx(1)
    assert found.single_block_gains.rho == pytest.approx(-1)
    # Of the 24 orders one is right and one reversed.
    assert found.update_norms.p == found.single_block_gains.p == pytest.approx(2 / 24)


def test_p_counts_permutations() -> None:
    x, y = np.arange(5), np.array([2, 1, 3, 5, 4])
    found = check_mechanism(x, y, None)
    rhos = [np.corrcoef(x, order)[0, 1] for order in permutations(y)]
    assert found.update_norms and found.single_block_gains is None
    greater = np.mean(np.array(rhos) >= found.update_norms.rho - 1e-9)
    assert found.update_norms.p == pytest.approx(2 * greater)


def test_unusable_values_are_refused() -> None:
    for name, values in {
        "update_norms": ([1, 2, 3], [1, 2], None),
        "single_block_gains": ([1, 2, 3], None, [1, 2, float("nan")]),
        "one_minus_cka": ([1, 2], None, None),
    }.items():
        with pytest.raises(ConfigError, match=name):
            check_mechanism(*values)
