import assert from "node:assert";
import { test } from "node:test";
import { classify } from "./classifier.js";

const failed = (message) => ({ failingStep: 0, steps: [{ id: "one", error: { message } }] });

test("a refund over the limit is our own rule", () => {
  const [verdict] = classify(failed("150.00 EUR is over the refund limit"));
  assert.equal(verdict.reason, "business-rule");
  assert.deepEqual(classify(failed("connect ECONNREFUSED")), []);
});
