"""Every name of TensorRT that the package uses is there, and an absent one is said clearly."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from repsam_ros.backends import _tensorrt_api as api
from repsam_ros.errors import BackendError

# Protocol in this package: class in TensorRT.
CLASSES = {
    "NetworkDefinition": "INetworkDefinition",
    "OptimizationProfile": "IOptimizationProfile",
    "BuilderConfig": "IBuilderConfig",
    "Builder": "Builder",
    "OnnxParser": "OnnxParser",
    "ExecutionContext": "IExecutionContext",
    "CudaEngine": "ICudaEngine",
    "Runtime": "Runtime",
    "Tensor": "ITensor",
}


def names_of(protocol: type) -> set[str]:
    declared = {*vars(protocol), *getattr(protocol, "__annotations__", {})}
    return {name for name in declared if not name.startswith("_")}


@pytest.fixture(scope="module", params=api.MODULES)
def module(request: pytest.FixtureRequest) -> object:
    return pytest.importorskip(request.param)


def test_the_module_has_every_name(module):
    missing = [name for name in names_of(api.TensorRt) if not hasattr(module, name)]
    assert not missing and len(names_of(api.TensorRt)) >= 9
    assert isinstance(module.__version__, str)


@pytest.mark.parametrize("protocol", CLASSES)
def test_its_classes_have_every_name(module, protocol):
    names = names_of(getattr(api, protocol))
    assert names and not [n for n in names if not hasattr(getattr(module, CLASSES[protocol]), n)]


def test_every_protocol_is_held_against_a_class():
    protocols = {
        name
        for name, value in vars(api).items()
        if getattr(value, "_is_protocol", False) and value.__module__ == api.__name__
    }
    assert protocols == {*CLASSES, "TensorRt"}


def test_members_that_are_looked_up_by_name_exist(module):
    assert api.strongly_typed(module) > 0
    assert module.BuilderFlag.TF32 is not None and module.TensorIOMode.INPUT is not None
    assert {"FLOAT", "HALF", "BF16", "UINT8"} <= module.DataType.__members__.keys()


def test_rtx_builds_for_gpus_that_are_not_there():
    rtx = pytest.importorskip("tensorrt_rtx")
    assert {"SM75", "SM86", "SM89", "SM120"} <= set(api.target_names(rtx))
    assert api.load_tensorrt(for_targets=True).__name__ == "tensorrt_rtx"


def test_an_edition_without_targets_says_that_it_has_none():
    jetson = SimpleNamespace(__name__="tensorrt", __version__="10.3.0")
    assert api.target_names(jetson) == ()
    with pytest.raises(BackendError, match="cannot build for SM87; .* this machine only"):
        api.set_target(jetson, SimpleNamespace(), "SM87")


def test_an_absent_tensorrt_is_one_clear_error(monkeypatch):
    for name in api.MODULES:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendError, match="pip install tensorrt-rtx-cu13") as caught:
        api.load_tensorrt()
    assert all(name in str(caught.value) for name in api.MODULES)


def test_nvidias_full_tensorrt_comes_first_but_not_for_targets(monkeypatch):
    rtx = pytest.importorskip("tensorrt_rtx")
    full = SimpleNamespace(__name__="tensorrt", __version__="11.0.0")
    monkeypatch.setitem(sys.modules, "tensorrt", full)
    assert api.load_tensorrt() is full
    assert api.load_tensorrt(for_targets=True) is rtx
