//! Inputs are checked by their action's JSON Schema before anything is submitted.

use crate::driver::{ACTION, Bench, Simulator, completed, scenario, vector};
use serde_json::{Value, json};

fn schema() -> Value {
    json!({"type": "object", "required": ["customerId", "orderAmount"],
           "properties": {"customerId": {"type": "string"}, "orderAmount": {"type": "number", "maximum": 1000}}})
}

#[test]
fn each_violation_has_its_place_and_pointer_and_nothing_is_submitted() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.file(&format!("schemas/{ACTION}.json"), schema().to_string());
    bench.settings("schemas = 'schemas'\n");
    assert_eq!(bench.run(&vector()).code, 0);
    let before = simulator.requests("").len();
    let mut bad = vector();
    bad["inputParameters"] = json!({"orderAmount": "hunter2", "customerId": 7});
    bench.file("vectors.ndjson", format!("{}\n{bad}\n", vector()));
    let done = bench.tracejury(&["run", "vectors.ndjson"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.starts_with("error: 2 problems in vector files; nothing was submitted\n"), "{}", done.stderr);
    for pointer in ["/orderAmount: value is not of type \"number\"", "/customerId: value is not of type \"string\""] {
        assert!(done.stderr.contains(&format!(": vector 2 (v): inputParameters: {pointer}")), "{}", done.stderr);
    }
    assert!(done.stderr.contains("\n  vectors.ndjson:2:") && !done.stderr.contains("hunter2"), "{}", done.stderr);
    assert_eq!(simulator.requests("").len(), before);
}

#[test]
fn a_file_of_schemas_may_be_given_by_flag_and_a_bad_one_is_named() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let bench = Bench::against(&simulator);
    bench.file("vectors.json", vector().to_string());
    bench.file("schemas.json", json!({ACTION: {"required": ["no"]}}).to_string());
    let done = bench.tracejury(&["run", "vectors.json", "--schemas", "schemas.json"]);
    assert!(done.code == 2 && done.stderr.contains("inputParameters: \"no\" is a required property"), "{done:?}");
    bench.file("schemas.json", "{\"type\": 7}");
    let done = bench.tracejury(&["run", "vectors.json", "--schemas", "schemas.json"]);
    assert!(done.code == 2 && done.stderr.starts_with("error: api.schemas: schemas.json: is not a JSON Schema"), "{done:?}");
}
