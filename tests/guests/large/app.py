"""A classifier in Python: with its interpreter inside, 18 MB of component."""

import wit_world
from wit_world.imports import types


class WitWorld(wit_world.WitWorld):
    def describe(self) -> types.Description:
        return types.Description("large", "1.0.0", "Says how many steps it saw.", [], ["LARGE"], None)

    def configure(self, settings: str) -> None:
        return None

    def classify(self, trace: types.Trace) -> list[types.Verdict]:
        explanation = f"saw {len(trace.steps)} steps"
        return [types.Verdict("LARGE", 0.5, None, None, trace.failing_step, explanation, [], [])]
