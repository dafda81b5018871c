"""What the Python clients share: one line of JSON for each case, read by the runner."""

import inspect
import json
import sys


def line(**what):
    print(json.dumps(what), flush=True)


def message(route, data=None, id=None):
    fields = {"route": route, "data": data} | ({"id": id} if id else {})
    return json.dumps(fields)


def run(cases):
    """Runs the cases that the runner named behind the URL; `cases` has a function for each."""
    for name in sys.argv[2:]:
        case = cases.get(name.replace("-", "_"))
        if case is None:
            line(case=name, unable=True)
            continue
        try:
            line(case=name, saw=case(sys.argv[1]))
        except Exception as error:
            line(case=name, error=f"{type(error).__name__}: {error}")
    line(done=True)


def functions(module):
    """The functions of a client by their names."""
    return dict(inspect.getmembers(sys.modules[module], inspect.isfunction))
