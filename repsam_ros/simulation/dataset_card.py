"""The summary and the card of a simulated data set, from its frames on disk."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from repsam_ros import __version__
from repsam_ros.datasets.simulated import META, SPLITS
from repsam_ros.simulation.configuration import SimulateConfig
from repsam_ros.simulation.dataset_folder import ORIGIN, DatasetFolder
from repsam_ros.simulation.scene_files import SceneFiles


@dataclass
class FrameCounts:
    """What the frames hold."""

    splits: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    rigs: Counter[str] = field(default_factory=Counter)
    families: Counter[str] = field(default_factory=Counter)
    objects: int = 0
    visible: int = 0
    glass: int = 0
    glass_frames: int = 0

    def add(self, frame: dict[str, Any]) -> None:
        """Counts the frame of one description; scenes and their objects at their first view."""
        self.splits[frame["split"]] += 1
        self.rigs[frame["rig"]] += 1
        shown = [item for item in frame["objects"] if item["visible_px"] > 0]
        glass = sum(item["is_glass"] for item in shown)
        self.visible += len(shown)
        self.glass += glass
        self.glass_frames += glass > 0
        if frame["view"] == 0:
            self.kinds[frame["kind"]] += 1
            self.objects += len(frame["objects"])
            self.families.update(item["family"] for item in frame["objects"])


def count_frames(folder: DatasetFolder) -> FrameCounts:
    """Counts of all frames of a complete folder."""
    counts = FrameCounts()
    for path in sorted((folder.root / META).glob("*.json")):
        counts.add(json.loads(path.read_text()))
    return counts


def summary_files(config: SimulateConfig, counts: FrameCounts, contact_sheet: bytes) -> SceneFiles:
    """Contact sheet, card and, last, ``dataset.json``, which says that the data set is finished."""
    width, height = config.size
    summary = {
        **ORIGIN,
        "finished": True,
        "scenes": config.scenes,
        "views": config.views,
        "frames": config.scenes * config.views,
        "splits": {split: counts.splits[split] for split in SPLITS},
        "seed": config.seed,
        "width": width,
        "height": height,
        "renderer": config.renderer,
        "sensor": config.sensor_name,
        "twins": list(config.twins),
        "kinds": _sorted(counts.kinds),
        "rigs": _sorted(counts.rigs),
        "families": _sorted(counts.families),
        "objects": counts.objects,
        "visible_instances": counts.visible,
        "visible_glass_instances": counts.glass,
        "frames_with_glass": counts.glass_frames,
    }
    return {
        "contact_sheet.png": contact_sheet,
        "card.md": _card(config, counts).encode(),
        "dataset.json": (json.dumps(summary, indent=2) + "\n").encode(),
    }


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _table(head: str, counts: Counter[str]) -> list[str]:
    rows = [f"| {name} | {count} |" for name, count in _sorted(counts).items()]
    return [f"| {head} | count |", "|---|---|", *rows, ""]


def _card(config: SimulateConfig, counts: FrameCounts) -> str:
    width, height = config.size
    frames, twins = config.scenes * config.views, ", ".join(config.twins) or "none"
    lines = [
        "# Simulated RGB-D frames of objects on tables, in bins and on shelves",
        "",
        f"{frames} frames of {width}x{height} pixels: {config.scenes} scenes, {config.views} views "
        f"each. Made by repsam_ros {__version__}, `{config.renderer}` renderer, "
        f"`{config.sensor_name}` depth sensor. Everything is computed: shapes and textures are "
        "procedural, scenes settle under MuJoCo, depth fails as the sensor model says.",
        "",
        "The same bytes again, with the same package versions on the same kind of processor:",
        "",
        "    repsam simulate --config config.yaml --out DIR",
        "",
        "| split | frames |",
        "|---|---|",
        *(f"| {split} | {counts.splits[split]} |" for split in SPLITS),
        "",
        "Every tenth scene, from the first, is for tests; all views of a scene are in one split.",
        "",
        f"{counts.objects} objects, {counts.visible} visible instances "
        f"({counts.visible / frames:.1f} a frame), {counts.glass} of them of glass, "
        f"in {counts.glass_frames} frames. Twins of each frame: {twins}.",
        "",
        *_table("scenes", counts.kinds),
        *_table("cameras (frames)", counts.rigs),
        *_table("families (objects)", counts.families),
        "## Files",
        "",
        "`rgb/`, `depth/` (sensed) and `true_depth/` (16-bit millimetres, 0 = none), `ids/`, "
        "`amodal/`, `transparent/`, `meta/NAME.json` (intrinsics, camera and object poses), "
        "`twins/TWIN/{rgb,depth}/`; NAME is SCENE-VIEW. `config.yaml` holds every setting. "
        "docs/simulated_layout.md of repsam_ros explains each.",
        "",
        "## Licence and limits",
        "",
        "No picture, mesh or texture of others is in here"
        + (
            "; free to use under the licence of repsam_ros (Apache-2.0)."
            if config.scene.mesh_share == 0
            else " but the meshes that were given; their licence holds for what shows them."
        ),
        "Geometry, ids and poses are exact; colour is"
        + (" cheaply shaded." if config.renderer == "fast" else " path-traced."),
        "Objects are rigid and have no articulated parts; rooms are plain; the sensor model is "
        "fitted to few real frames. Figures on these frames say how methods compare in "
        "simulation, not how well they do on a robot.",
        "",
    ]
    return "\n".join(lines)
