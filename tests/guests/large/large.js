// A classifier in JavaScript, for the two engines that make components of it. Its name is replaced by tests.
export function describe() {
  return { name: "large", version: "1.0.0", summary: "Says how many steps it saw.", reads: [], classifications: ["LARGE"], settingsSchema: undefined };
}
export function configure(settings) {}
export function classify(trace) {
  const explanation = `saw ${trace.steps.length} steps`;
  return [{ classification: "LARGE", confidence: 0.5, failingStep: trace.failingStep, explanation, evidence: [], attributes: [] }];
}
