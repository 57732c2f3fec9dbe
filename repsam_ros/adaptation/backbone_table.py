"""What works with which backbone, as Markdown for ``docs/backbones.md``.

``python -m repsam_ros.adaptation.backbone_table`` prints it. Networks are built on the meta
device, and each method is really put into them.
"""

from __future__ import annotations

import torch

from repsam_ros.adaptation.ledger import Ledger, count_parameters
from repsam_ros.errors import ConfigError
from repsam_ros.methods import Training, method_names, method_options, open_method
from repsam_ros.network.adapters import rank_costs
from repsam_ros.network.backbones import Backbone, backbones
from repsam_ros.network.build import NetworkConfig, build_network
from repsam_ros.network.sam import SAM_GROUPS
from repsam_ros.presentation.markdown import table

_SIZES = (
    "backbone",
    "package",
    "blocks",
    "depth is added before",
    "encoder, M",
    "SAM, M",
    "one rank in a block's qkv and proj",
    "its authors' checkpoint fills",
)


def backbone_tables() -> str:
    """Sizes of each backbone, then which method can be put into the first of each family."""
    known = backbones()
    families = {type(spec): name for name, spec in reversed(known.items())}
    first = {name: spec for name, spec in known.items() if name in families.values()}
    sizes = table(_SIZES, [_size_row(name, spec) for name, spec in known.items()])
    works = table(
        ["method", *(f"`{name}`" for name in first)],
        [_method_row(method, first) for method in method_names()],
    )
    return f"{sizes}\n\n{works}"


def _size_row(name: str, spec: Backbone) -> list[str]:
    ledger: Ledger = count_parameters(name, "zero_shot", {})
    with torch.device("meta"):
        costs = rank_costs(build_network(NetworkConfig(name)), ("qkv", "proj"))
    cost = " to ".join(f"{value:,}" for value in sorted({min(costs), max(costs)}))
    places = ", ".join(map(str, spec.additions))
    filled = "encoder, prompts, decoder" if spec.official_groups == SAM_GROUPS else "encoder"
    return [
        f"`{name}`",
        spec.package,
        str(spec.depth),
        places,
        f"{ledger.encoder_params / 1e6:.2f}",
        f"{ledger.total_params / 1e6:.2f}",
        cost,
        filled,
    ]


def _method_row(method: str, known: dict[str, Backbone]) -> list[str]:
    cells = ["yes" if _fits(method, name, spec) else "no" for name, spec in known.items()]
    return [f"`{method}`", *cells]


def _fits(method: str, name: str, spec: Backbone) -> bool:
    # Told its ranks, a method needs no data to choose them.
    options = {"ranks": (1,) * spec.depth} if "ranks" in method_options(method) else {}
    with torch.device("meta"):
        network = build_network(NetworkConfig(name))
        try:
            open_method(method, options).prepare(network, Training(steps=10_000))
        except ConfigError:
            return False
    return True


if __name__ == "__main__":
    print(backbone_tables())
