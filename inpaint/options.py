"""Command line of a training run: an option for each field of Config. It wins over the
recipe, the recipe over a resumed run's options."""

import argparse
import dataclasses

from inpaint.config import LENGTHS, Config, read_recipe
from models.option_fields import choices_of, help_of, kinds_of


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each field of Config; the namespace has only those on the command line."""
    for key in dataclasses.fields(Config):
        rule, kinds = key.metadata, kinds_of(key)
        flag = "--" + key.name.replace("_", "-")
        shown = "" if key.default is None or key.default is False else f" (default: {key.default})"
        common = {"dest": key.name, "default": argparse.SUPPRESS, "help": help_of(key) + shown}
        if bool in kinds:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, **common)
        else:
            kind = next(kind for kind in kinds if kind is not type(None))
            parser.add_argument(flag, type=kind, choices=choices_of(key), metavar=rule["metavar"], **common)


def parse(parser: argparse.ArgumentParser, namespace: argparse.Namespace, beneath: dict | None = None) -> Config:
    """Make the Config of a command line: its options win over the recipe's, those over `beneath` (a resumed run's),
    those over the defaults.

    A value out of range ends in `parser.error` (exit code 2); in a recipe it raises InputError.
    """
    options = stated(namespace, beneath)
    try:
        settings = Config(**options)
    except ValueError as error:
        parser.error(str(error))
    return settings if settings.out else dataclasses.replace(settings, out=run_folder(options))


def stated(namespace: argparse.Namespace, beneath: dict | None = None) -> dict:
    """Merge the options of the command line, its recipe and `beneath`; combinations are not checked."""
    chosen = {
        key.name: getattr(namespace, key.name) for key in dataclasses.fields(Config) if hasattr(namespace, key.name)
    }
    options = dict(beneath or {})
    for layer in ({} if namespace.recipe is None else read_recipe(namespace.recipe), chosen):
        if any(layer.get(name) for name in LENGTHS):  # a new length of training replaces the one beneath
            options.update(dict.fromkeys(LENGTHS))
        options.update(layer)
    return options


def run_folder(options: dict) -> str:
    """The run folder of these options."""
    return options.get("out") or "runs/{}-{}".format(
        *(options.get(name, getattr(Config, name)) for name in ("decoder", "likelihood"))
    )
