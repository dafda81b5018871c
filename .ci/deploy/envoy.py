"""Holds Envoy's configuration to Envoy's own types, unknown fields and all: `envoy.py FILE`."""

import importlib
import sys

import yaml
from envoy_data_plane.envoy.config.bootstrap.v3 import Bootstrap


def taken_out(value):
    """Each configuration that names its own type, taken out of what it stands in."""
    found = []
    if isinstance(value, dict):
        inner = value.pop("typed_config", None)
        if inner:
            found += [inner, *taken_out(inner)]
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            found += taken_out(part)
    return found


def main():
    with open(sys.argv[1]) as file:
        whole = yaml.safe_load(file)
    typed = taken_out(whole)
    Bootstrap.from_dict(whole)
    for part in typed:
        module, name = part.pop("@type").rsplit("/", 1)[1].rsplit(".", 1)
        getattr(importlib.import_module(f"envoy_data_plane.{module}"), name).from_dict(part)
    print(f"ok: {sys.argv[1]}, {len(typed)} typed configurations")


main()
