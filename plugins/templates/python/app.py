"""Glue between the contract and the classifier."""

import classifier
import wit_world
from wit_world.imports import types


class WitWorld(wit_world.WitWorld):
    def describe(self) -> types.Description:
        return types.Description(
            classifier.NAME, classifier.VERSION, classifier.SUMMARY, classifier.READS, classifier.CLASSIFICATIONS, None
        )

    def configure(self, settings: str) -> None:
        return None

    def classify(self, trace: types.Trace) -> list[types.Verdict]:
        said = classifier.classify(texts(trace))
        if said is None:
            return []
        evidence = types.Evidence(said.location, *places(said.match))
        return [
            types.Verdict(
                said.classification, said.confidence, said.reason, None, trace.failing_step, said.explanation, [evidence], []
            )
        ]


def texts(trace: types.Trace) -> list[tuple[str, str]]:
    """The failing step's texts, then those of the execution as a whole, with their places."""
    found = []
    if trace.failing_step is not None and trace.failing_step < len(trace.steps):
        found += of(trace.steps[trace.failing_step].error, f"steps[{trace.failing_step}].")
    return found + of(trace.error, "")


def of(error: types.Fault | None, path: str) -> list[tuple[str, str]]:
    if error is None:
        return []
    fields = [("message", error.message), ("code", error.code), ("stack", error.stack)]
    return [(f"{path}error.{name}", text) for name, text in fields if text]


def places(match) -> tuple[int, int]:
    """Where a match stands, in bytes of UTF-8, which is what evidence counts in."""
    start = len(match.string[: match.start()].encode())
    return start, start + len(match[0].encode())
