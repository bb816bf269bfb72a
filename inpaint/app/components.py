"""gradio's uploads, narrowed: the file as it was uploaded, never an address to be fetched.

Methods of the components are replaced one by one: for a class of one's own gradio would write a file beside it.
"""

from typing import Any

import gradio as gr
from gradio_client.utils import is_http_url_like


def uploaded_file(**looks: Any) -> gr.File:
    """An upload whose value is the file's path; `looks` are gr.File's."""
    return _without_addresses(gr.File(**looks))


def uploaded_photo(**looks: Any) -> gr.Image:
    """An upload whose value is the path of the file as it is; gradio would decode it and write it anew.

    Args: looks: of gr.Image.
    """
    photo = _without_addresses(gr.Image(**looks))
    photo.preprocess = lambda payload: None if payload is None else payload.path
    return photo


def _without_addresses(component: Any) -> Any:
    """Make a component refuse an address, which gradio would fetch."""
    move = component.async_move_resource_to_block_cache

    async def refusing(path: Any) -> str | None:
        if is_http_url_like(str(path)):
            raise gr.Error("an address is not a file: upload the file itself", print_exception=False)
        return await move(path)

    component.async_move_resource_to_block_cache = refusing
    return component
