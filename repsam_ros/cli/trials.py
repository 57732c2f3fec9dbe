"""``repsam trials``: grasps of several segmenters and planners, executed in simulated physics."""

from __future__ import annotations

import argparse

from repsam_ros.cli._options import add_experiment_arguments, add_set_argument

SUMMARY = "execute grasps in simulated physics and compare how many objects are lifted"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_experiment_arguments(parser, "smoke, tuning, single_shot, clutter, planners", "trials")
    parser.add_argument(
        "--report-only",
        action="store_true",
        help="of what is in DIR, finished or not, without any further trial",
    )
    add_set_argument(parser, "scenes=20")


def run(args: argparse.Namespace) -> int:
    from repsam_ros.config import load_config, preset_path
    from repsam_ros.trials.configuration import TrialsConfig
    from repsam_ros.trials.pictures import show_examples
    from repsam_ros.trials.report import write_report
    from repsam_ros.trials.runner import SCENES, collect_trials, run_trials

    path = preset_path("configuration of trials", "trials", args.config)
    config = load_config(TrialsConfig, path, args.overrides)
    has_scenes = (args.out / SCENES).is_dir()
    if not args.report_only:
        run_trials(config, args.out, device=args.device, processes=args.processes)
    elif has_scenes:
        collect_trials(config, args.out)
    if has_scenes or not args.report_only:
        show_examples(config, args.out, device=args.device, processes=args.processes)
    print(write_report(config, args.out))
    print(f"written: {args.out / 'attempts.csv'}, {args.out / 'report.html'}")
    return 0
