"""Runs a classifier in a host that is not ours: another_host.py COMPONENT TRACE, a recorded trace as JSON; its verdicts as JSON."""

import json
import sys
from wasmtime import Engine, Store
from wasmtime.component import Component, Linker, Record


def record(**fields):
    """A record of the contract: the package takes its fields as attributes, by the names that they have there."""
    named = Record()
    for name, value in fields.items():
        setattr(named, name.replace("_", "-"), value)
    return named


def fault(error):
    if error is None:
        return None
    return record(message=error["message"], stack=error.get("stack"), code=error.get("code"))


def trace(recorded):
    steps = [
        record(id=step["stepId"], name=step.get("stepName"), timestamp=None, input=None, output=None, error=fault(step.get("error")))
        for step in recorded["trace"]
    ]
    failing = next((i for i, step in enumerate(recorded["trace"]) if step.get("error")), len(steps) - 1)
    return record(
        session_id=recorded["sessionId"],
        action_id=recorded["actionId"],
        environment=recorded["environmentId"],
        status=recorded["status"],
        error=fault(recorded["result"].get("error")),
        failing_step=failing,
        steps=steps,
        attributes=[],
    )


def plain(value):
    """What came back, as JSON has it."""
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    return {name: plain(entry) for name, entry in vars(value).items()} if hasattr(value, "__dict__") else value


def main(component_file, trace_file):
    engine = Engine()
    store = Store(engine)
    linker = Linker(engine)
    with linker.root() as root, root.add_instance("tracejury:classifier/host@0.1.0") as host:
        host.add_func("log", lambda _store, _level, _message: None)
    instance = linker.instantiate(store, Component.from_file(engine, component_file))

    def call(name, *args):
        function = instance.get_func(store, name)
        answer = function(store, *args)
        function.post_return(store)
        return answer

    call("configure", "")
    with open(trace_file, encoding="utf-8") as file:
        print(json.dumps(plain(call("classify", trace(json.load(file))))))


main(*sys.argv[1:])
