"""Serve the page until a signal ends it.

Everything lies in one temporary folder, removed at the end. Nothing is told to anybody: gradio's analytics are off, and
the page may load nothing from other hosts.
"""

import contextlib
import importlib.util
import os
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data_prep.errors import InputError, signals_held
from inpaint.app.limits import Limits
from inpaint.ready import Ready

SETTINGS = {  # gradio reads them when it is imported, or when a page is built
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
POLICY = (  # gradio's page compiles its templates, and styles itself inline
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "connect-src 'self' data: blob:; object-src 'none'; base-uri 'self'; form-action 'self'"
)
HEADERS = {"content-security-policy": POLICY, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
READABLE = {  # contrast of at least 4.5 to 1, where gradio's small grey text has 1.9
    "body_text_color_subdued": "*neutral_600",
    "block_info_text_color": "*neutral_600",
    "block_info_text_color_dark": "*neutral_300",
    **{f"button_primary_background_fill{dark}": "*primary_700" for dark in ("", "_dark")},
    **{f"button_primary_background_fill_hover{dark}": "*primary_800" for dark in ("", "_dark")},
}
ENDING = 20.0  # seconds that a drawing may still take to notice that it must end


def serve(given: Ready, host: str, port: int, announce: Callable[[str], None], limits: Limits | None = None) -> None:
    """Serve the page and its API until a signal's exception comes.

    Args:
      host, port: where to listen.
      announce: is told the page's address once it is there.

    Raises: InputError if the port cannot be had, or the model cannot fill any hole.
    """
    _check_port(host, port)
    with tempfile.TemporaryDirectory(prefix="inpaint-serve-", ignore_cleanup_errors=True) as root:
        os.environ.update(SETTINGS, GRADIO_TEMP_DIR=str(Path(root).resolve()))
        blocks, desk = _launched(given, host, port, Path(root).resolve(), limits)
        try:
            announce(f"http://{f'[{host}]' if ':' in host else host}:{port}")
            while True:
                time.sleep(3600)
        finally:
            desk.closing.set()
            blocks.close(verbose=False)
            desk.busy.acquire(timeout=ENDING)


def _launched(given: Ready, host: str, port: int, root: Path, limits: Limits | None) -> tuple[Any, Any]:
    """Build and start the page. Returns: gradio's blocks, and the desk."""
    with signals_held():  # gradio's import takes seconds, and would swallow an exception
        import gradio as gr

        from inpaint.app.desk import Desk
        from inpaint.app.page import HERE, build
    (root / "results").mkdir()
    desk = Desk(given, root / "results", limits)
    blocks = build(desk)
    blocks.queue(max_size=desk.limits.waiting, default_concurrency_limit=8)
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}  # nothing is fetched
    try:
        blocks.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            inbrowser=False,
            show_error=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            footer_links=["api"],
            state_session_capacity=desk.limits.sessions,
            max_file_size=desk.limits.file_bytes,
            theme=gr.themes.Default(**fonts).set(**READABLE),
            css_paths=[HERE / "page.css"],
            js=(HERE / "names.js").read_text(encoding="utf-8"),
            app_kwargs={"middleware": [_headers()]},
        )
    except OSError as error:
        raise InputError(f"{host}:{port}: cannot be served: {error}") from None
    return blocks, desk


def check_gradio() -> None:
    """Raise InputError unless gradio is installed."""
    if importlib.util.find_spec("gradio") is None:
        raise InputError("the page needs gradio: pip install 'inpaint-from-caption[app]'")


def _check_port(host: str, port: int) -> None:
    """Raise InputError if nothing can listen there; gradio would try for a while, or take another port."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with contextlib.closing(socket.socket(family, kind, protocol)) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
    except OSError as error:
        raise InputError(f"{host}:{port}: cannot be served: {error.strerror or error}") from None


def _headers() -> Any:
    """Middleware that adds HEADERS to every answer."""
    from starlette.middleware import Middleware

    class Headers:
        def __init__(self, app: Any):
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def with_headers(message: Any) -> None:
                if message["type"] == "http.response.start":
                    said = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                    message = {**message, "headers": [*message.get("headers", []), *said]}
                await send(message)

            await self.app(scope, receive, with_headers if scope["type"] == "http" else send)

    return Middleware(Headers)
