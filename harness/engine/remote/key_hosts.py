"""To whom an API key of the environment goes: lm-eval sends it to whatever address a study names.

A study may come with a pull request, the key is the machine's. So a person is told; and where
`ALLOWED` is set in the environment, a study cannot name any other host.
"""

import logging
import os
from urllib.parse import urlsplit

from harness.errors import StudyError
from harness.study import ArmSection

log = logging.getLogger("harness.engine")

ALLOWED = "HARNESS_KEY_HOSTS"
"""The environment variable with the hosts that keys may be sent to, separated by commas."""

_KEYS = {
    "local-": ("OPENAI_API_KEY", "api.openai.com"),
    "openai-": ("OPENAI_API_KEY", "api.openai.com"),
    "azure-openai-": ("AZURE_OPENAI_API_KEY", ""),
    "anthropic-": ("ANTHROPIC_API_KEY", "api.anthropic.com"),
    "watsonx": ("WATSONX_API_KEY", ""),
}
"""Beginning of a backend's name -> the variable that lm-eval sends, and the service it is of."""


def key_sent(name: str, section: ArmSection) -> str | None:
    """Say that an arm's address gets a key from the environment; None where it gets none.

    A key goes without a word to the service it belongs to, and to hosts in `ALLOWED`.
    """
    host, backend = _host(section), section.backend or ""
    keys = [key for start, key in _KEYS.items() if backend.startswith(start)]
    variable, service = keys[0] if keys else ("", "")
    if not host or not os.environ.get(variable) or host in {service, *_allowed()}:
        return None
    return (
        f"{variable} of this environment is sent to {host}, which the study names for {name!r}: "
        f"set {ALLOWED}={host} if it may have it, or unset the key"
    )


def check_host(name: str, section: ArmSection) -> None:
    """Warn of an address that gets a key; refuse it where `ALLOWED` says that others may.

    Raises:
        StudyError: If the key may go to other hosts only.
    """
    sent = key_sent(name, section)
    if sent and _allowed():
        raise StudyError(
            f"a key may be sent only to the hosts in {ALLOWED}, {', '.join(sorted(_allowed()))}: "
            f"{name!r} is at {_host(section)}; add that host, or unset the key"
        )
    if sent:
        log.warning("%s", sent)


def _allowed() -> set[str]:
    return {host.strip().lower() for host in os.environ.get(ALLOWED, "").split(",")} - {""}


def _host(section: ArmSection) -> str:
    return (urlsplit(str(section.model_args.get("base_url", ""))).hostname or "").lower()
