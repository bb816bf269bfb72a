"""Weights on the Hugging Face Hub: `hf://owner/name` stands for a file there, if huggingface_hub is installed."""

from pathlib import Path

from data_prep.errors import InputError

SCHEME = "hf://"
FILE = "model.safetensors"  # of a repository, unless the address goes on


def local(path: str | Path) -> str | Path:
    """The path itself; or of hf://owner/name or hf://owner/name/FILE that of the local copy, which is fetched.

    Raises:
      InputError: huggingface_hub is missing, the address is not of that form, or the file cannot be fetched.
    """
    if not str(path).startswith(SCHEME):
        return path
    owner, name, *rest = [*str(path).removeprefix(SCHEME).split("/"), ""]
    if not owner or not name:
        raise InputError(f"{path}: not of the form {SCHEME}owner/name")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise InputError(f"{path}: needs huggingface_hub: pip install huggingface-hub") from None
    try:
        return hf_hub_download(repo_id=f"{owner}/{name}", filename="/".join(rest).rstrip("/") or FILE)
    except Exception as error:  # its own kinds, and those of requests, which need not be installed
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path}: cannot be fetched: {reason}") from None
