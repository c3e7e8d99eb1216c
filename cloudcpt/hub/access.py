"""Where a hub is and who the user is there: the command line, the environment, the login that the hub's own tool keeps.

A token goes to the one who issued it. The login on this machine is for huggingface.co and is never sent anywhere else;
who wants a mirror to have a token puts it into the environment. Over plain HTTP none is sent, except on this machine.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from cloudcpt.errors import SetupError, UsageProblem, error
from cloudcpt.hub import hugging_face, modelscope
from cloudcpt.hub.hugging_face import HuggingFace
from cloudcpt.hub.modelscope import ModelScope

HubName = Literal["hub", "modelscope"]

_ADDRESS = re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?")
_TOKEN = re.compile(r"[!-~]*")
_YES = {"1", "ON", "YES", "TRUE"}
_HERE = {"127.0.0.1", "::1", "localhost"}


def open_hub(
    name: HubName,
    endpoint: str,
    *,
    sleep: Callable[[float], None],
    environment: Mapping[str, str] = os.environ,
) -> HuggingFace | ModelScope:
    """Open a hub of models.

    Args:
        name: Its kind.
        endpoint: Its address; when empty, that of the environment or the public one.
        sleep: Waits so many seconds.
        environment: May name address and token, and forbid to ask at all.

    Raises:
        UsageProblem: the address is none.
        SetupError: the environment forbids it, or the token is none.
    """
    if name == "modelscope":
        address = _address(endpoint or environment.get("MODELSCOPE_ENDPOINT", "") or modelscope.ENDPOINT)
        return ModelScope(address, token=token_for(name, address, environment), sleep=sleep)
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if environment.get(variable, "").upper() in _YES:
            message = f"${variable} is set, so Hugging Face is not asked"
            hint = f"for this command alone: `env -u {variable} cloudcpt model stage ...`"
            raise SetupError(error("CPT735", message, hint=hint))
    address = _address(endpoint or environment.get("HF_ENDPOINT", "") or hugging_face.ENDPOINT)
    return HuggingFace(address, token=token_for(name, address, environment), sleep=sleep)


def token_for(name: HubName, address: str, environment: Mapping[str, str]) -> str:
    """Find the token that a hub may see; empty when there is none for it.

    Args:
        name: The kind of hub.
        address: Where it is.
        environment: May hold the token, or say where the login is kept.

    Raises:
        SetupError: what is there is no token.
    """
    variables = ["MODELSCOPE_API_TOKEN"] if name == "modelscope" else ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]
    token = next((found for variable in variables if (found := environment.get(variable, "").strip())), "")
    if not token and address == hugging_face.ENDPOINT:
        token = _login(environment)
    if not _TOKEN.fullmatch(token):
        raise SetupError(error("CPT732", "the token holds characters that no token has", hint="copy it again"))
    parts = urlsplit(address)
    return token if parts.scheme == "https" or parts.hostname in _HERE else ""


def _address(text: str) -> str:
    """Write an address as the rest of us expects it.

    Raises:
        UsageProblem: it cannot be one, or holds a password, which would end up in records and messages.
    """
    whole = text.strip() if "://" in text else f"https://{text.strip()}"
    if not _ADDRESS.fullmatch(whole):
        hint = "write it like `https://huggingface.co`"
        raise UsageProblem(error("CPT742", f"`{text}` is no address of a hub", hint=hint))
    parts = urlsplit(whole)
    if "@" in parts.netloc:
        hint = "put the token into $HF_TOKEN or $MODELSCOPE_API_TOKEN instead"
        raise UsageProblem(error("CPT742", f"the address of `{parts.hostname}` holds a password", hint=hint))
    return whole.rstrip("/")


def _login(environment: Mapping[str, str]) -> str:
    """Read the token that `hf auth login` keeps; empty when there is none.

    Source: huggingface_hub 2.4.0, `constants`: $HF_TOKEN_PATH, $HF_HOME/token, $XDG_CACHE_HOME/huggingface/token.
    """
    cache = environment.get("XDG_CACHE_HOME", "") or "~/.cache"
    home = environment.get("HF_HOME", "") or f"{cache}/huggingface"
    path = environment.get("HF_TOKEN_PATH", "") or f"{home}/token"
    try:
        return Path(os.path.expandvars(path)).expanduser().read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""
