"""Room for images in the shared memory of the middleware."""

from __future__ import annotations

import os

from repsam_ros.paths import share_dir

# What people set to configure Fast DDS themselves. In Fast DDS 3 the first has the second's name.
_PROFILE = "FASTRTPS_DEFAULT_PROFILES_FILE"
_OWN_CHOICES = (_PROFILE, "FASTDDS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS")


def enlarge_shared_memory() -> None:
    """Makes Fast DDS load ``config/fastdds.xml``, unless the environment says what it shall do.

    Has to be called before the first context of a process; processes that it starts inherit it.
    Other middleware does not look at it.
    """
    if not any(os.environ.get(name) for name in _OWN_CHOICES):
        os.environ[_PROFILE] = str(share_dir() / "config" / "fastdds.xml")
