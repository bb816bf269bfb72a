"""The command line of a training run: an option for each field of Config, a recipe, and what a run began with."""

import argparse
import dataclasses

from inpaint.config import LENGTHS, Config, kinds_of, read_recipe


def add_options(parser: argparse.ArgumentParser) -> None:
    """One option for each field of Config, absent from the namespace unless it was given."""
    for key in dataclasses.fields(Config):
        rule, kinds = key.metadata, kinds_of(key)
        flag = "--" + key.name.replace("_", "-")
        shown = "" if key.default is None or key.default is False else f" (default: {key.default})"
        common = {"dest": key.name, "default": argparse.SUPPRESS, "help": rule["help"] + shown}
        if bool in kinds:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, **common)
        else:
            kind = next(kind for kind in kinds if kind is not type(None))
            parser.add_argument(flag, type=kind, choices=rule["choices"], metavar=rule["metavar"], **common)


def parse(parser: argparse.ArgumentParser, namespace: argparse.Namespace, beneath: dict | None = None) -> Config:
    """The Config of a command line: given options over the recipe's, over `beneath` (a resumed run's), over the
    defaults.

    A value out of range on the command line ends in `parser.error` (exit code 2), one in the recipe in an InputError.
    """
    options = stated(namespace, beneath)
    try:
        settings = Config(**options)
    except ValueError as error:
        parser.error(str(error))
    return settings if settings.out else dataclasses.replace(settings, out=run_folder(options))


def stated(namespace: argparse.Namespace, beneath: dict | None = None) -> dict:
    """The options that a command line gives, over its recipe's, over `beneath`; not checked together."""
    given = {
        key.name: getattr(namespace, key.name) for key in dataclasses.fields(Config) if hasattr(namespace, key.name)
    }
    options = dict(beneath or {})
    for layer in ({} if namespace.recipe is None else read_recipe(namespace.recipe), given):
        if any(layer.get(name) for name in LENGTHS):  # a new length of training replaces the one beneath
            options.update(dict.fromkeys(LENGTHS))
        options.update(layer)
    return options


def run_folder(options: dict) -> str:
    """Where a run with such options goes."""
    return options.get("out") or "runs/{}-{}".format(
        *(options.get(name, getattr(Config, name)) for name in ("decoder", "likelihood"))
    )
