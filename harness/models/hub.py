"""Whether the hub can be reached: asked once and for seconds, before a library waits for minutes.

Nothing heavy is imported here, so that the answer comes before anything else is loaded.
"""

import os
import ssl
import sys
from functools import cache
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from harness import content
from harness.errors import ModelError
from harness.study import Study

PATIENCE = 2.0
"""Seconds in which the hub has to answer."""
_SET = frozenset({"1", "on", "yes", "true"})
_HUB = "hub:"
_GATEWAYS = (502, 503, 504)
"""What a proxy says of a host that it cannot reach."""


def check_hub(study: Study) -> None:
    """Make sure that what a study takes from the hub can be had: from there, or from the cache.

    Where the hub does not answer, the libraries are told to use what is on this machine. Nothing is
    asked where ``HF_HUB_OFFLINE`` is set or the study needs nothing of the hub.

    Raises:
        ModelError: If the base is neither here nor can be had.
    """
    base = study.base.model and study.model_path
    is_remote = bool(base) and not Path(base).is_dir()
    if not (is_remote or _takes_data(study)) or _is_offline() or _answers(_endpoint()):
        return
    os.environ["HF_HUB_OFFLINE"] = "1"
    for name in ("huggingface_hub.constants", "datasets.config"):
        if name in sys.modules:
            vars(sys.modules[name])["HF_HUB_OFFLINE"] = True
    if is_remote and not _is_cached(base):
        raise ModelError(
            f"a base from the hub must be there or on this machine: {base!r} was not downloaded "
            f"before, and {_endpoint()} does not answer; check the name and the network, set "
            "HF_ENDPOINT to a mirror, or name a local folder"
        )


def _takes_data(study: Study) -> bool:
    """Tell whether rows may come from the hub: of training, or of suites without own data."""
    sources = [s for c in study.candidates for s in (c.train, c.validation)]
    if any(isinstance(source, str) and source.startswith(_HUB) for source in sources):
        return True
    own = [s for s in study.suites if s.data or s.folder]
    return any(not (s in own or (content.TASKS / s.name / "data").is_dir()) for s in study.suites)


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def _is_offline() -> bool:
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(os.environ.get(name, "").lower() in _SET for name in names)


def _is_cached(model: str) -> bool:
    home = os.environ.get("HF_HOME") or Path("~/.cache/huggingface").expanduser()
    folder = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")
    return any((folder / f"models--{model.replace('/', '--')}").glob("snapshots/*/*"))


@cache
def _answers(endpoint: str) -> bool:
    """Ask for the first page, through whatever proxy the environment names."""
    heard: list[bool] = []

    def ask() -> None:
        try:
            urlopen(Request(endpoint, method="HEAD"), timeout=PATIENCE).close()
            heard.append(True)
        except HTTPError as error:
            heard.append(error.code not in _GATEWAYS)
        except URLError as error:
            heard.append(isinstance(error.reason, ssl.SSLError))  # it answers; the rest is told
        except (OSError, ValueError):
            heard.append(False)

    asking = Thread(target=ask, daemon=True)  # a resolver may take longer than any timeout
    asking.start()
    asking.join(PATIENCE)
    return any(heard)
