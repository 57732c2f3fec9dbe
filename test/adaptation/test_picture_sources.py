"""Picture sources: a step's pictures follow from the seed and the step, however one got there."""

from __future__ import annotations

import multiprocessing
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from repsam_ros.adaptation.distributed import Team
from repsam_ros.adaptation.picture_sources import (
    DatasetSettings,
    DataSettings,
    SourceSettings,
    open_source,
)
from repsam_ros.adaptation.planes import from_planes, mirrored, to_planes
from repsam_ros.adaptation.scene_stream import SettledViews, StreamSettings
from repsam_ros.errors import ConfigError
from repsam_ros.simulation.configuration import load_simulate_config
from repsam_ros.simulation.pool import PoolSettings
from repsam_ros.simulation.rendering import FastRenderer, Pictures, Rendered
from repsam_ros.simulation.scenes import settle_scene
from repsam_ros.simulation.views import ViewSettings, draw_view

SIZE = (48, 64)
STREAM = StreamSettings(workers=0, views_per_scene=2, batch_scenes=2, reuse=0.5, kept=3)


def pictures(
    data: DataSettings, first: int, steps: int, folder: Path, seed: int = 0
) -> list[Pictures]:
    device = torch.device("cpu")
    asked = range(first, first + steps)
    with closing(open_source(data, 4, SIZE, folder, Team(device), asked, seed)) as source:
        return [source.batch(step, torch.Generator(device).manual_seed(step)) for step in asked]


@pytest.mark.parametrize("kind", ["stream", "source"])
def test_a_source_opened_late_goes_on_where_an_unbroken_one_is(kind: str, tmp_path: Path) -> None:
    settings = {"stream": STREAM, "source": SourceSettings(workers=0)}[kind]
    data = DataSettings(**{kind: settings})
    whole = pictures(data, 0, 5, tmp_path)
    late = pictures(data, 3, 2, tmp_path)
    for a, b in zip(whole[3:], late, strict=True):
        for name, value in vars(a).items():
            assert value is None or torch.equal(value, getattr(b, name)), name
    assert not torch.equal(whole[3].color, whole[4].color)
    assert all(batch.ids.amax() > 0 for batch in whole)


def test_workers_change_nothing(tmp_path: Path) -> None:
    alone = pictures(DataSettings(stream=STREAM), 0, 2, tmp_path)
    helped = pictures(DataSettings(stream=replace(STREAM, workers=2)), 0, 2, tmp_path)
    for a, b in zip(alone, helped, strict=True):
        assert torch.equal(a.color, b.color) and torch.equal(a.depth_m, b.depth_m)
    assert not multiprocessing.active_children()


def test_processes_share_the_scenes_that_one_would_see() -> None:
    alone = [SettledViews(STREAM, SIZE, (0, 1), True)(number)["ids"] for number in range(3)]
    shared = [SettledViews(STREAM, SIZE, (rank, 3), True)(0)["ids"] for rank in range(3)]
    # Two views of each of two scenes: process 0 has scenes 0 and 3, process 1 has 1 and 4.
    scenes = [part for batch in shared for part in batch.split(STREAM.views_per_scene)]
    together = torch.cat([scenes[place] for place in (0, 2, 4, 1, 3, 5)])
    assert torch.equal(together, torch.cat(alone))


def test_no_training_reaches_the_scenes_of_simulated_data_sets(tmp_path: Path) -> None:
    # Four batches to begin with and two a step, of two scenes each.
    scenes = 2 * (4 + 2 * 5)
    last = replace(
        STREAM, seed=load_simulate_config({"scenes": 1, "seed": 0}, None, []).scene_seed(0) - scenes
    )
    pictures(DataSettings(stream=last), 4, 1, tmp_path)
    for seed in (last.seed + 1, -1):
        with pytest.raises(ConfigError, match=f"28 scenes from seed {seed} on"):
            pictures(DataSettings(stream=replace(last, seed=seed)), 4, 1, tmp_path)


def test_source_pictures_have_no_depth(tmp_path: Path) -> None:
    batch = pictures(DataSettings(source=SourceSettings(workers=0)), 0, 1, tmp_path)[0]
    assert not batch.depth_m.any()
    assert batch.color.min() >= 0 and batch.color.max() <= 1
    assert batch.ids.amax() <= 20


def test_exactly_one_source_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="exactly one"):
        DataSettings()
    with pytest.raises(ConfigError, match="exactly one"):
        DataSettings(stream=STREAM, source=SourceSettings())
    with pytest.raises(ConfigError, match="dataset"):
        DataSettings(source=SourceSettings(), dataset=DatasetSettings("mosd", "."))


@pytest.fixture(scope="module")
def rendered() -> Rendered:
    settings = ViewSettings(glass_scene_share=1.0)
    return FastRenderer().render([draw_view(settle_scene(4), (i,), settings, SIZE) for i in (1, 2)])


def test_small_planes_keep_what_training_needs(rendered: Rendered) -> None:
    again = from_planes(to_planes(rendered))
    assert torch.equal(again.ids, rendered.ids)
    assert torch.equal(again.sight.depth_m, rendered.sight.depth_m)
    assert torch.equal(again.sight.glass, rendered.sight.glass)
    assert (again.color - rendered.color).abs().max() <= 0.51 / 255
    assert (again.sight.incidence_rad - rendered.sight.incidence_rad).abs().max() < 1e-3


def test_a_mirrored_picture_shows_the_mirrored_scene(rendered: Rendered) -> None:
    for seed in range(20):
        draw = torch.Generator().manual_seed(seed)
        result = mirrored(rendered, draw)
        flipped = result.ids[0].ne(rendered.ids[0]).any()
        if flipped:
            break
    assert torch.equal(result.ids[0], rendered.ids[0].flip(-1))
    # A point keeps its depth and its distance from the optical axis.
    u = torch.arange(SIZE[1])
    before = (u - rendered.intrinsics[0, 2]).flip(0)
    after = u - result.intrinsics[0, 2]
    assert torch.allclose(before, -after, atol=1e-4)


def test_a_pool_is_drawn_from_in_the_order_of_the_training_seed(tmp_path: Path) -> None:
    pool = PoolSettings(scene_count=2, pictures=6, processes=1)
    data = DataSettings(pool=pool)
    first, again, other = (pictures(data, 0, 2, tmp_path, seed) for seed in (1, 1, 2))
    assert all(torch.equal(a.ids, b.ids) for a, b in zip(first, again, strict=True))
    assert any(not torch.equal(a.ids, b.ids) for a, b in zip(first, other, strict=True))
