// The classifier {{name}}: what it recognises, and what it says of it.
exports.describe = () => ({
  name: "{{name}}",
  version: "0.1.0",
  summary: "Recognises failures of our own actions.",
  classifications: ["INTERNAL_LOGIC_FAULT"],
});

exports.classify = (trace) => {
  const seen = trace.find(/(?<amount>[0-9.]+ [A-Z]{3}) is over the refund limit/);
  if (!seen) return null; // no opinion
  return {
    classification: "INTERNAL_LOGIC_FAULT",
    confidence: 0.9,
    reason: "business-rule",
    explanation: `The refund of ${seen.groups.amount} is over our own limit.`,
    evidence: seen,
  };
};
