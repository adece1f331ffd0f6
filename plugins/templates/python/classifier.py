"""The classifier {{name}}: what it recognises, and what it says of it."""

import re
from dataclasses import dataclass

NAME = "{{name}}"
VERSION = "0.1.0"
SUMMARY = "Recognises failures of our own actions."
READS: list[str] = []
CLASSIFICATIONS = ["INTERNAL_LOGIC_FAULT"]


@dataclass
class Opinion:
    """What it says of a trace, and the match that it rests on."""

    classification: str
    confidence: float
    reason: str
    explanation: str
    location: str
    match: re.Match[str]


def classify(texts: list[tuple[str, str]]) -> Opinion | None:
    """Its opinion on a failed execution, given the error's texts with their places; None where it has none."""
    for location, text in texts:
        match = re.search(r"(?P<amount>[0-9.]+ [A-Z]{3}) is over the refund limit", text)
        if match:
            explanation = f"The refund of {match['amount']} is over our own limit."
            return Opinion("INTERNAL_LOGIC_FAULT", 0.9, "business-rule", explanation, location, match)
    return None
