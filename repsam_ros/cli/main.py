"""``repsam VERB``: finds the verb's file, parses its arguments and runs it."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

from repsam_ros import __version__
from repsam_ros.errors import RepsamError

# Optional packages that modules import as a whole, and the extras that bring them.
EXTRA_OF = {
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "peft": "adaptation",
    "segment_anything": "torch",
    "torch": "torch",
    "torchvision": "torch",
    "viser": "viewer",
}
EXIT_ERROR = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE
EXIT_TERMINATED = 143  # 128 + SIGTERM


class Verb(Protocol):
    """What each file of this folder offers."""

    SUMMARY: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares the verb's arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Does the work and returns the exit code."""


def verb_names() -> list[str]:
    """Names of all verbs, sorted; ``foo_bar.py`` is the verb ``foo-bar``."""
    files = Path(__file__).parent.glob("*.py")
    stems = (file.stem for file in files if not file.stem.startswith("_"))
    return sorted(stem.replace("_", "-") for stem in stems if stem != "main")


def load_verb(name: str) -> Verb:
    """The module of a verb listed by :func:`verb_names`."""
    module = importlib.import_module(f"repsam_ros.cli.{name.replace('-', '_')}")
    return cast(Verb, module)


def overview_parser() -> argparse.ArgumentParser:
    """The parser that runs when no verb is named first: help, version or an error."""
    names = verb_names()
    width = max(map(len, names), default=0)
    lines = [f"  {name:<{width}}  {load_verb(name).SUMMARY}" for name in names]
    parser = argparse.ArgumentParser(
        prog="repsam",
        usage="repsam VERB [options]",
        description="RGB-D instance masks, grasp-ready clouds and grasps over ROS 2.",
        epilog="\n".join(["verbs:", *lines, "", "repsam VERB --help explains a verb."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"repsam {__version__}")
    parser.add_argument("verb", metavar="VERB", choices=names, help=argparse.SUPPRESS)
    return parser


def verb_parser(name: str, verb: Verb) -> argparse.ArgumentParser:
    """The parser of one verb."""
    parser = argparse.ArgumentParser(
        prog=f"repsam {name}", description=verb.SUMMARY, allow_abbrev=False
    )
    verb.add_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb.

    Returns:
        The verb's exit code, 2 for a :class:`RepsamError`, a path that cannot be read or written
        or wrong usage, 130 after Ctrl-C, 143 after SIGTERM.
    """
    # Unwinds, so that verbs end the processes they started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        overview_parser().print_help(sys.stderr)
        return EXIT_ERROR
    if arguments[0] not in verb_names():
        overview_parser().parse_args(arguments)
        raise AssertionError("the overview parser exits on anything that is not a verb")
    name = arguments.pop(0)
    verb = load_verb(name)
    args = verb_parser(name, verb).parse_args(arguments)
    logging.basicConfig(format="repsam: %(message)s", level=logging.WARNING)
    logging.getLogger("repsam_ros").setLevel(logging.INFO)
    try:
        code = verb.run(args)
        sys.stdout.flush()
    except RepsamError as error:
        print("repsam: error:", " ".join(str(error).split()), file=sys.stderr)
        return EXIT_ERROR
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in EXTRA_OF:
            raise
        print(
            f"repsam: error: repsam {name} needs the package {package}: "
            f"pip install 'repsam_ros[{EXTRA_OF[package]}]'",
            file=sys.stderr,
        )
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("repsam: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (``| head``) is gone; without this the interpreter complains once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except OSError as error:
        # A folder that cannot be written, a full disk: of what has no path this package knows more.
        if error.filename is None:
            raise
        print(f"repsam: error: {error.filename}: {error.strerror}", file=sys.stderr)
        return EXIT_ERROR
    return code


if __name__ == "__main__":
    sys.exit(main())
