//! Rule packs in the plugins folder: what they can say, how they stand on one another, and what is said of those that are wrong.

use crate::driver::{Bench, Done, failed, recorded, root};
use crate::plugins::Fed;
use serde_json::{Value, json};

const HEAD: &str = "schema = 1\nname = 'team'\nversion = '1.2.3'\nsummary = 'Ours.'\n";

/// A pack of one rule that looks for `pattern`, with more keys.
fn rule(id: &str, pattern: &str, more: &str) -> String {
    format!(
        "[[rule]]\nid = '{id}'\nclassification = 'OURS'\nreason = 'own'\nconfidence = 0.97\nexplain = 'ours'\nany = ['{pattern}']\n{more}"
    )
}

fn outcome(bench: &Bench, message: &str) -> Value {
    bench.piped(&["classify", "--format", "json"], &recorded("s", &failed(message))).outcome()
}

#[test]
fn a_pack_has_a_vote_beside_the_default_classifier() {
    let bench = Bench::new();
    let more = "explain = 'Refund of {amount} for {who}.'\n[rule.attributes]\namount = '{amount}'\n";
    let text = format!(
        "{HEAD}{}",
        rule("refund", "refund of (?<amount>[0-9]+)(?: for (?<who>\\w+))?", more).replacen("explain = 'ours'\n", "", 1)
    );
    bench.file("plugins/team.toml", text);
    let said = outcome(&bench, "a refund of 120 for ann failed: ENOTFOUND");
    let verdict = &said["verdicts"][0];
    assert_eq!((&said["classification"], &said["reason"]), (&json!("OURS"), &json!("own")));
    assert_eq!((&verdict["plugin"], &verdict["version"], &verdict["rule"]), (&json!("team"), &json!("1.2.3"), &json!("refund")));
    assert_eq!((&verdict["explanation"], &verdict["attributes"]), (&json!("Refund of 120 for ann."), &json!({"amount": "120"})));
    assert_eq!(verdict["evidence"][0]["text"], "refund of 120 for ann");
    assert_eq!(said["verdicts"][1]["plugin"], "regex", "the default classifier is heard all the same");
}

#[test]
fn what_a_rule_captures_is_masked_like_any_text() {
    let bench = Bench::new();
    let more = "[rule.attributes]\nwho = '{who}'\n";
    let text = rule("who", "customer (?<who>\\S+)", more).replacen("explain = 'ours'", "explain = 'it was {who}'", 1);
    bench.file("plugins/team.toml", format!("{HEAD}{text}"));
    let mut line: Value = serde_json::from_str(&recorded("s", &failed("no customer CUST-998877"))).unwrap();
    line["inputParameters"] = json!({"customerId": "CUST-998877"});
    let done = bench.piped(&["classify", "--format", "json"], &line.to_string());
    let verdict = &done.outcome()["verdicts"][0];
    assert_eq!((&verdict["explanation"], &verdict["attributes"]["who"]), (&json!("it was [masked]"), &json!("[masked]")));
    assert!(!done.stdout.contains("998877"), "{}", done.stdout);
}

#[test]
fn a_part_or_a_plainer_form_of_an_input_is_masked_too() {
    let bench = Bench::new();
    let more = "normalise = ['case', 'quotes']\n[rule.attributes]\nwho = '{who}'\nnum = '{num}'\n";
    let text = rule("who", "cust-(?<num>[0-9]+) (?<who>\\S+) and (?<nick>.+) here", more).replacen(
        "explain = 'ours'",
        "explain = 'it was {num} {who} {nick}, we think'",
        1,
    );
    bench.file("plugins/team.toml", format!("{HEAD}{text}"));
    let mut line: Value = serde_json::from_str(&recorded("s", &failed("no CUST-998877 MÜLLER and O\u{2019}Brien Lee here"))).unwrap();
    line["inputParameters"] = json!({"customerId": "CUST-998877", "name": "MÜLLER", "nick": "O\u{2019}Brien Lee"});
    let done = bench.piped(&["classify", "--format", "json"], &line.to_string());
    let verdict = done.outcome()["verdicts"][0].clone();
    assert_eq!(verdict["rule"], "who", "{done:?}");
    for secret in ["998877", "müller", "o'brien", "brien"] {
        assert!(!done.stdout.to_lowercase().contains(secret), "{secret}: {}", done.stdout);
    }
    assert!(verdict["explanation"].as_str().unwrap().ends_with(", we think"), "{verdict}");
}

#[test]
fn a_text_is_normalised_where_a_rule_wants_it_and_found_where_it_stood() {
    let bench = Bench::new();
    bench.file(
        "plugins/team.toml",
        format!("{HEAD}{}", rule("plain", "can\\x27t reach ledger", "normalise = ['quotes', 'case', 'whitespace']\n")),
    );
    let said = outcome(&bench, "we Can\u{2019}t  reach\tLEDGER now");
    assert_eq!(said["verdicts"][0]["evidence"][0]["text"], "Can\u{2019}t  reach\tLEDGER");
}

#[test]
fn a_pack_can_extend_disable_and_reweigh() {
    let bench = Bench::new();
    let base = HEAD.replace("'team'", "'base'");
    bench.file("plugins/base.toml", format!("{base}{}{}", rule("a", "alpha", ""), rule("b", "beta", "")));
    bench.file("plugins/team.toml", format!("{HEAD}extends = 'base'\ndisable = ['a']\n[reweigh]\nb = 0.5\n"));
    bench.file("plugins/mine.toml", format!("{}extends = 'regex'\ndisable = ['dns']\n", HEAD.replace("'team'", "'mine'")));
    let by = |said: &Value, plugin: &str| {
        let verdicts = said["verdicts"].as_array().unwrap();
        verdicts.iter().find(|v| v["plugin"] == plugin).map(|v| format!("{} {}", v["rule"].as_str().unwrap(), v["confidence"]))
    };
    let said = outcome(&bench, "alpha");
    assert_eq!((by(&said, "base").as_deref(), by(&said, "team")), (Some("a 0.97"), None), "a pack loses nothing by being extended");
    assert_eq!(by(&outcome(&bench, "beta"), "team").as_deref(), Some("b 0.5"));
    let said = outcome(&bench, "getaddrinfo ENOTFOUND x");
    assert_eq!((by(&said, "regex").as_deref(), by(&said, "mine")), (Some("dns 0.95"), None));
    assert_eq!(by(&outcome(&bench, "connect ECONNREFUSED"), "mine").as_deref(), Some("connection-refused 0.96"));
    // Whom to do without is for the user to say, not for a pack.
    bench.file("tracejury.toml", "[plugins]\ndisabled = ['regex', 'base']\n");
    let said = outcome(&bench, "getaddrinfo ENOTFOUND x");
    assert_eq!((said["verdicts"].as_array().unwrap().len(), &said["classification"]), (0, &json!("UNKNOWN")));
    assert!(!said.to_string().contains("\"regex\""), "{said}");
    let listed = bench.tracejury(&["plugin", "list"]);
    assert!(listed.stdout.lines().any(|line| line.contains("regex") && line.contains("disabled by the settings")), "{}", listed.stdout);
}

#[test]
fn a_pack_or_a_script_takes_its_seat_while_a_command_goes_on() {
    let bench = Bench::new();
    let team = |version: &str, extends: &str| format!("{}{extends}", HEAD.replace("1.2.3", version));
    let base = |pattern: &str| format!("{}{}", HEAD.replace("'team'", "'base'"), rule("b", pattern, ""));
    bench.file("plugins/base.toml", base("nothing"));
    bench.file("plugins/team.toml", team("1.0.0", "extends = 'base'\n"));
    let mut fed = Fed::start(&bench);
    assert_eq!(fed.verdicts(), [""; 0]);
    // Both are loaded anew: the one that changed, and the one that stands on it.
    bench.file("plugins/base.toml", base("x"));
    fed.until("plugins: team 1.0.0 of plugins/team.toml is used from now on");
    assert_eq!(fed.verdicts(), ["base 1.2.3", "team 1.0.0"]);
    bench.file("plugins/base.toml", "schema = ");
    fed.until("the version loaded before goes on");
    assert_eq!(fed.verdicts(), ["base 1.2.3", "team 1.0.0"]);
    // What it stands on is not there yet when it comes.
    bench.file("plugins/late.toml", HEAD.replace("'team'", "'late'") + "extends = 'later'\n");
    fed.until("plugins/late.toml: extends: plugins/later.toml cannot be read");
    bench.file("plugins/later.toml", format!("{}{}", HEAD.replace("'team'", "'later'"), rule("l", "never", "")));
    fed.until("plugins: late 1.2.3 of plugins/late.toml is used from now on");
    bench.file("plugins/team.js", "exports.describe = () => ({ name: 'scripted', version: '3.0.0' });\nexports.classify = () => ({ classification: 'X', confidence: 0.1 });");
    fed.until("plugins: scripted 3.0.0 of plugins/team.js is used from now on");
    assert_eq!(fed.verdicts(), ["base 1.2.3", "team 1.0.0", "scripted 3.0.0"]);
}

/// What is said of a pack that is wrong.
fn said_of(files: &[(&str, &str)]) -> Done {
    let bench = Bench::new();
    files.iter().for_each(|(name, text)| _ = bench.file(&format!("plugins/{name}.toml"), text));
    bench.tracejury(&["plugin", "list"])
}

#[test]
fn an_error_names_file_line_rule_and_field() {
    let good = format!("{HEAD}{}", rule("a", "x", ""));
    let help = "\n  help: README, section Rule packs, has the format; an editor that knows pack.schema.json completes it";
    let cases = [
        ("schema = 1\nname =".to_owned(), "plugins/team.toml:2: string values must be quoted, expected literal string; it abstains"),
        (format!("{good}colour = 'red'\n"), "plugins/team.toml:12: rule a: unknown field `colour`, expected one of "),
        (good.replace("'x'", "'('"), "plugins/team.toml:11: rule a: any: pattern `(`: unclosed group; it abstains"),
        (
            good.replace("'x'", "'(?<=a)b'"),
            "plugins/team.toml:11: rule a: any: pattern `(?<=a)b`: look-around, including look-ahead and look-behind, is not supported; it abstains",
        ),
        (good.replace("0.97", "97"), "plugins/team.toml:6: rule a: confidence: 97 is not between 0 and 1; it abstains"),
        (
            good.replace("'ours'", "'{who} did it'"),
            "plugins/team.toml:6: rule a: explain, attributes: {who} is captured by no pattern of any or all; write (?<who>…); it abstains",
        ),
        (format!("{good}{}", rule("a", "y", "")), "plugins/team.toml:13: rule a: id: used before, on line 6; it abstains"),
        (good.replace("schema = 1", "schema = 9"), "plugins/team.toml:1: schema: 9 is not known, this version reads 1; it abstains"),
        (
            good.replace("'x'", "'[a-z]{1000}{1000}'"),
            "plugins/team.toml:11: rule a: pattern `[a-z]{1000}{1000}`: heap usage during NFA compilation exceeded limit of 16777216; it abstains",
        ),
    ];
    for (text, wanted) in cases {
        let done = said_of(&[("team", &text)]);
        assert!(done.stderr.contains(&format!("warning: {wanted}")), "wanted: {wanted}\ngot: {}", done.stderr);
        assert!(done.stderr.contains("\n  help: "), "{}", done.stderr);
        assert!(done.stderr.contains(help), "{}", done.stderr);
    }
    let done = said_of(&[("team", &format!("{HEAD}extends = 'base'\n")), ("base", "schema = 1\nname = 3\n")]);
    assert!(
        done.stderr.contains("warning: plugins/base.toml:2: invalid type: integer `3`, expected a string; it abstains"),
        "{}",
        done.stderr
    );
    let base = HEAD.replace("'team'", "'base'") + &rule("b", "(", "");
    let done = said_of(&[("team", &format!("{HEAD}extends = 'base'\n")), ("base", &base)]);
    let wanted = "warning: plugins/base.toml:11: rule b: any: pattern `(`: unclosed group; it abstains";
    assert_eq!(done.stderr.matches(wanted).count(), 2, "of itself, and of the one that stands on it: {}", done.stderr);
    let done = said_of(&[("team", &format!("{HEAD}extends = 'nobody'\n"))]);
    assert!(done.stderr.contains("plugins/team.toml: extends: plugins/nobody.toml cannot be read: "), "{}", done.stderr);
    let done = said_of(&[("team", &format!("{HEAD}extends = '../base'\n"))]);
    assert!(done.stderr.contains("plugins/team.toml:5: extends: ../base is no name of a pack"), "{}", done.stderr);
}

#[test]
fn a_pack_is_described_by_its_own_text() {
    let bench = Bench::new();
    bench.file("plugins/team.toml", format!("{HEAD}license = 'MIT'\n{}", rule("a", "x", "in = ['output']\n")));
    let shown = bench.tracejury(&["plugin", "inspect", "team", "--format", "json"]).outcome();
    assert_eq!((&shown["kind"], &shown["rules"], &shown["packed"]), (&json!("rules"), &json!(1), &json!("no")));
    assert_eq!((&shown["summary"], &shown["reads"], &shown["classifications"]), (&json!("Ours."), &json!(["output"]), &json!(["OURS"])));
    assert_eq!((&shown["metadata"]["licenses"], &shown["snapshot"]), (&json!("MIT"), &json!(true)));
    assert_eq!(shown["digest"], tracejury::model::Digest::of(bench.read("plugins/team.toml").as_bytes()).to_string());
    // What is not granted is not seen, whatever a pack asks for.
    let step = json!({"stepId": "a", "output": "x", "error": "boom"});
    let line = recorded("s", &json!({"status": "FAILED", "trace": [step]}));
    assert_eq!(bench.piped(&["classify", "--format", "json"], &line).outcome()["verdicts"], json!([]));
    bench.file("tracejury.toml", "[plugins.grants]\nteam = ['output']\n");
    assert_eq!(
        bench.piped(&["classify", "--format", "json"], &line).outcome()["verdicts"][0]["evidence"][0]["location"],
        "steps[0].output"
    );
}

#[test]
fn the_shipped_schema_takes_the_packs_that_are_shipped() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let schema: Value = serde_json::from_str(&read("plugins/regex/pack.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let template = read("plugins/templates/rules/{{name}}.toml").replace("{{name}}", "ours");
    let every_key = format!(
        "{HEAD}extends = 'regex'\ndisable = ['dns']\nlicense = 'MIT'\nsource = 'https://x'\nnormalise = ['case']\nin = ['error', 'code']\n{}[reweigh]\ntls = 0.5\n",
        ""
    ) + &rule(
        "a",
        "x",
        "rank = 70\nabstain = true\nall = ['y']\nnone = ['z']\nin = ['code']\nnormalise = ['escapes']\nmatches = ['x']\nrejects = ['y']\n[rule.attributes]\nn = 'v'\n",
    );
    for pack in [tracejury_regex::pack::BUILT_IN.to_owned(), template, every_key] {
        let value: Value = toml::from_str(&pack).unwrap();
        let wrong: Vec<_> = validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(wrong.is_empty(), "{wrong:?}\n{pack}");
        assert!(tracejury_regex::settings::Bundle::of("p", &pack).pack.len() == 1 && tracejury_regex::pack::parse(&pack).is_ok());
    }
    // And it knows each key that the reader knows, and no other.
    for (from, to) in [
        ("schema = 1", "schema = 2"),
        ("id = 'a'", "id = 'A'"),
        ("any =", "anny ="),
        ("0.97", "1.5"),
        ("in = ['code']", "rank = 101"),
        ("'code'", "'body'"),
        ("name = 'team'", "name = 'T'"),
    ] {
        let pack = format!("{HEAD}{}", rule("a", "x", "in = ['code']\n")).replace(from, to);
        let value: Value = toml::from_str(&pack).unwrap();
        assert!(!validator.is_valid(&value) && tracejury_regex::pack::parse(&pack).is_err(), "{to}");
    }
}
