"""``repsam segment``: masks and object clouds of RGB-D files."""

from __future__ import annotations

import argparse
from pathlib import Path

from repsam_ros.cli._options import add_pipeline_arguments, given_values

SUMMARY = "masks, overlays and object clouds of RGB-D files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    path = "F_OR_DIR"
    parser.add_argument("--color", required=True, type=Path, metavar=path, help="image or folder")
    parser.add_argument(
        "--depth",
        required=True,
        type=Path,
        metavar=path,
        help="16-bit image, or .npy/.npz of metres, registered to colour; or a folder of such",
    )
    parser.add_argument(
        "--intrinsics",
        required=True,
        type=Path,
        metavar="FILE",
        help="JSON of fx, fy, cx, cy, width, height, depth_scale_m; or CameraInfo YAML",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="for the results")
    parser.add_argument(
        "--depth-scale-m",
        type=float,
        metavar="S",
        help="metres a step of 16-bit depth (default: as the intrinsics file says, else 0.001)",
    )
    add_pipeline_arguments(parser)


def run(args: argparse.Namespace) -> int:
    import logging

    from repsam_ros.config import apply_overrides, build_config, to_plain, write_yaml
    from repsam_ros.evaluation.config import SegmentConfig
    from repsam_ros.evaluation.segment import segment_files
    from repsam_ros.frame_files import DEPTH_SCALE_M, find_frames, read_camera, read_frame
    from repsam_ros.progress import track

    names = ("color", "depth", "intrinsics", "depth_scale_m", "model", "backend", "device")
    content = apply_overrides(given_values(args, names), args.overrides)
    config = build_config(SegmentConfig, content, "repsam segment")
    camera = read_camera(Path(config.intrinsics))
    scales_m = (config.depth_scale_m, camera.depth_scale_m, DEPTH_SCALE_M)
    scale_m = next(scale for scale in scales_m if scale is not None)
    frames = find_frames(Path(config.color), Path(config.depth))
    if camera.is_distorted:
        logging.getLogger(__name__).warning(
            "%s has lens distortion, which is not undone: give rectified images",
            config.intrinsics,
        )
    read_frame(frames[0], camera.intrinsics, scale_m)  # wrong input shows before a model loads
    pipeline = config.open()
    write_yaml(args.out / "config.yaml", to_plain(config))
    found = 0
    for files in track(frames, len(frames), "segment"):
        found += segment_files(files, camera.intrinsics, scale_m, pipeline, args.out)
    print(f"{len(frames)} frames, {found} instances, written: {args.out}")
    return 0
