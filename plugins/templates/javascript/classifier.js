// The classifier {{name}}: what it recognises, and what it says of it.
import { find } from "./trace.js";

export function describe() {
  return {
    name: "{{name}}",
    version: "0.1.0",
    summary: "Recognises failures of our own actions.",
    reads: [],
    classifications: ["INTERNAL_LOGIC_FAULT"],
  };
}

export function configure(settings) {}

export function classify(trace) {
  const seen = find(trace, /(?<amount>[0-9.]+ [A-Z]{3}) is over the refund limit/);
  if (!seen) return []; // no opinion
  return [
    {
      classification: "INTERNAL_LOGIC_FAULT",
      confidence: 0.9,
      reason: "business-rule",
      explanation: `The refund of ${seen.groups.amount} is over our own limit.`,
      evidence: [seen],
      attributes: [],
    },
  ];
}
