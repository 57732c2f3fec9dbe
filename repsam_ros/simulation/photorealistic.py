"""Photorealistic pictures: geometry of the fast renderer, colour of a path tracer (Mitsuba 3).

Glass refracts, reflects and casts caustics; light bounces. A few paths per pixel are traced and
the noise is taken out by Intel's Open Image Denoise.
"""

from __future__ import annotations

import dataclasses
import importlib
import logging
import os
import re
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from repsam_ros.errors import BackendError, ConfigError
from repsam_ros.simulation.mitsuba_scene import GAMMA, linear, scene_dict
from repsam_ros.simulation.rendering import FastRenderer, Rendered, RenderSettings
from repsam_ros.simulation.textures import texture_atlas
from repsam_ros.simulation.views import SKY, View

logger = logging.getLogger(__name__)

Image = NDArray[np.float32]

LLVM, SCALAR = "llvm_ad_rgb", "scalar_rgb"
LLVM_PATH = "DRJIT_LIBLLVM_PATH"
# With 15 and 16 the compiler aborts the process on CPUs with AVX-512; 19 and 22 are tested.
OLDEST_LLVM = 19
LLVM_FOLDERS = ("/usr/lib/*-linux-gnu", "/usr/lib/llvm-*/lib", "/usr/lib64", "/usr/local/lib")
PACKAGES = "pip install 'repsam_ros[photorealistic]'"
# How far the exposure may go to make a picture as bright as the fast renderer's.
EXPOSURE = (0.25, 4.0)
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True)
class TracingSettings:
    """How pictures are traced.

    Attributes:
        samples: Paths per pixel, before the denoiser.
        variant: Of Mitsuba: ``llvm_ad_rgb``, or ``scalar_rgb`` that needs no LLVM and is an order
            of magnitude slower.
        threads: 0 = one per core.
    """

    samples: int = 16
    variant: str = LLVM
    threads: int = 0

    def __post_init__(self) -> None:
        if self.variant not in (LLVM, SCALAR):
            raise ConfigError(f"variant: expected {LLVM} or {SCALAR}, got {self.variant!r}")
        if self.samples < 1 or self.threads < 0:
            raise ConfigError("samples must be at least 1, threads at least 0")


def find_llvm() -> Path:
    """The shared library of LLVM: that of ``DRJIT_LIBLLVM_PATH``, else the newest installed.

    Raises:
        BackendError: None is installed, or only versions that do not work.
    """
    named = os.environ.get(LLVM_PATH)
    if named:
        return Path(named)
    found: dict[int, Path] = {}
    for pattern in (*LLVM_FOLDERS, f"{sys.prefix}/lib"):
        root = Path(pattern).anchor
        for path in sorted(Path(root).glob(f"{pattern.removeprefix(root)}/libLLVM*")):
            number = re.match(r"libLLVM(?:-|\.so\.)(\d+)", path.name)
            if number is not None and path.suffix != ".a":
                found.setdefault(int(number[1]), path)
    usable = [number for number in found if number >= OLDEST_LLVM]
    if not usable:
        raise BackendError(
            f"photorealistic pictures need LLVM {OLDEST_LLVM} or newer, found "
            f"{', '.join(map(str, sorted(found))) or 'none'}: apt-get install libllvm19, or set "
            f"{LLVM_PATH} to the library; or ask for the variant {SCALAR}, which is slow"
        )
    return found[max(usable)]


class PhotorealisticRenderer:
    """Depth, ids and normals of the fast renderer, colour of Mitsuba 3; on the CPU.

    Raises:
        BackendError: Mitsuba, the denoiser or LLVM is missing; the message says what to install.
    """

    name = "photorealistic"

    def __init__(
        self,
        settings: RenderSettings | None = None,
        tracing: TracingSettings | None = None,
        atlas: NDArray[np.uint8] | None = None,
    ) -> None:
        """``atlas`` (count, 128, 128, 3) replaces the textures that ``settings`` would give."""
        settings = settings or RenderSettings()
        if atlas is None:
            atlas = texture_atlas(settings.texture_seed, settings.textures)
        self._tracing = tracing or TracingSettings()
        self._atlas = atlas
        self._geometry = FastRenderer(settings, atlas=atlas)
        self._mitsuba = _load_mitsuba(self._tracing)
        self._denoiser = _Denoiser(self._tracing.threads)

    def render(self, views: Sequence[View]) -> Rendered:
        """Pictures of ``views``, all of one size; the same view gives the same pixels.

        Raises:
            BackendError: embreex is missing.
            ConfigError: The pixels of a camera are not square.
        """
        fast = self._geometry.render(views)
        pictures = [
            self._picture(view, color.permute(1, 2, 0).numpy())
            for view, color in zip(views, fast.color, strict=True)
        ]
        color = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
        return dataclasses.replace(fast, color=color)

    def _picture(self, view: View, fast: Image) -> Image:
        """(H, W, 3) display values of ``view``, about as bright as ``fast``."""
        color, coverage, albedo, normals = self._trace(view)
        clean = self._denoiser(color, albedo, normals)
        seen = coverage > 0.5
        clean *= _exposure(clean[seen] @ LUMINANCE, linear(fast[seen]) @ LUMINANCE)
        sky = linear(view.arrays["light"][SKY : SKY + 3])
        whole = clean + (1 - coverage[..., None]) * sky
        return np.asarray(np.clip(whole, 0, 1) ** (1 / GAMMA), np.float32)

    def _trace(self, view: View) -> tuple[Image, Image, Image, Image]:
        """(H, W, 3) linear radiance, (H, W) coverage, and the denoiser's guides: albedo, normals.

        Radiance is black where a pixel sees past everything.
        """
        mi, samples = self._mitsuba, self._tracing.samples
        mi.set_variant(self._tracing.variant)
        # A view always gives the same noise, whatever was rendered before it.
        seed = zlib.crc32(b"".join(value.tobytes() for value in view.arrays.values()))
        # Not in parallel: compiled kernels are used again only where objects are numbered alike.
        scene = mi.load_dict(scene_dict(mi, view, self._atlas, samples), parallel=False)
        light = np.array(scene.integrator().render(scene, seed=seed, spp=samples))
        guides = mi.load_dict({"type": "aov", "aovs": "albedo:albedo,normal:sh_normal"})
        first = np.array(guides.render(scene, seed=seed, spp=samples))[..., -6:]
        return light[..., :3], light[..., 3], first[..., :3], first[..., 3:]


def _exposure(luminance: NDArray[Any], target: NDArray[Any]) -> float:
    """What makes the middle of ``luminance`` that of ``target``, as an automatic camera would."""
    if luminance.size == 0 or np.median(luminance) <= 0:
        return 1.0
    return float(np.clip(np.median(target) / np.median(luminance), *EXPOSURE))


def _load_mitsuba(tracing: TracingSettings) -> Any:
    """The mitsuba module with its variant set."""
    try:
        mi = importlib.import_module("mitsuba")
        drjit = importlib.import_module("drjit")
    except ImportError as error:
        raise BackendError(f"photorealistic pictures need Mitsuba 3: {PACKAGES}") from error
    library = "no LLVM"
    if tracing.variant == LLVM:
        library = os.environ[LLVM_PATH] = str(find_llvm())
    try:
        mi.set_variant(tracing.variant)
    except ImportError as error:
        raise BackendError(f"Mitsuba's {tracing.variant} does not start: {error}") from error
    mi.set_log_level(mi.LogLevel.Warn)
    drjit.set_thread_count(tracing.threads or os.cpu_count() or 1)
    logger.info(
        "photorealistic pictures: Mitsuba %s, %s (%s), %d paths per pixel",
        *(mi.__version__, tracing.variant, library, tracing.samples),
    )
    return mi


class _Denoiser:
    """Intel's Open Image Denoise on the CPU.

    Raises:
        BackendError: pyoidn is missing or does not start.
    """

    def __init__(self, threads: int) -> None:
        try:
            self._oidn: Any = importlib.import_module("pyoidn")
        except (ImportError, OSError) as error:
            raise BackendError(f"photorealistic pictures need a denoiser: {PACKAGES}") from error
        self._device = self._oidn.Device()
        if threads:
            self._device.set_int("numThreads", threads)
        self._device.commit()
        self._check()
        logger.info("photorealistic pictures: denoised with OIDN, pyoidn %s", version("pyoidn"))

    def __call__(self, color: Image, albedo: Image, normals: Image) -> Image:
        """(H, W, 3) linear radiance without its noise."""
        images = {
            "color": np.ascontiguousarray(color),
            "albedo": np.ascontiguousarray(albedo),
            "normal": np.ascontiguousarray(normals),
            "output": np.zeros_like(color, order="C"),
        }
        with self._oidn.Filter(self._device, self._oidn.OIDN_FILTER_TYPE_RT) as denoise:
            for name, image in images.items():
                denoise.set_image(name, image, self._oidn.OIDN_FORMAT_FLOAT3)
            denoise.set_bool("hdr", True)
            denoise.commit()
            denoise.execute()
        self._check()
        return images["output"]

    def _check(self) -> None:
        message = self._device.get_error()
        if message:
            raise BackendError(f"the denoiser failed: {message}")
