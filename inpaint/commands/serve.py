"""Serve the page on which a photo's hole is filled, and its HTTP API.

inpaint serve
inpaint serve --checkpoint best.pt --port 8000
"""

import argparse
import webbrowser
from functools import partial

from data_prep.printing import Parser, printable
from data_prep.version import add_version
from inpaint.app.server import check_gradio, serve
from inpaint.commands.arguments import add_checkpoint, add_device
from inpaint.processes import out_of_memory_reported
from inpaint.ready import ready


def parse(argv, program=None):
    parser = Parser(
        prog=program,
        description="Serve a page on which the hole of a photo is drawn and filled, and an HTTP API with the same "
        "answers as the commands fill and score. Ctrl-C ends it. It is open to whoever can reach the address: by "
        "default this machine alone.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    everywhere = "address to listen on; 0.0.0.0 lets every machine of the network in"
    parser.add_argument("--host", default="127.0.0.1", help=everywhere)
    parser.add_argument("--port", type=_port, default=7860, metavar="N", help="port to listen on")
    add_checkpoint(parser)
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    add_device(parser)
    add_version(parser)
    return parser.parse_args(argv)


def main(argv=None, program=None):
    """Run the command line `argv` (sys.argv[1:] if None); `program` is what was typed before it, for --help."""
    args = parse(argv, program)
    with out_of_memory_reported():
        check_gradio()
        serve(ready(args.checkpoint, args.device), args.host, args.port, partial(_announce, args.open))


def _announce(opened, address):
    print(printable(f"the page is at {address} (Ctrl-C ends it)"), flush=True)
    if opened:
        webbrowser.open(address)


def _port(text):
    value = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, from 1 to 65535")
    return value
