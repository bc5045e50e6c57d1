//! Nothing about a plan may ever panic, hang, or take more than its share.

use proptest::prelude::*;

use super::World;

fn survives(name: &str, text: &str) {
    if let Err(report) = World::new().load(name, text) {
        assert!(report.has_errors(), "{text}");
        assert!(!report.to_string().is_empty());
    }
}

#[test]
fn documents_made_to_hurt() {
    let laughs: String =
        (1..12).map(|n| format!("a{n}: &a{n} [{}]\n", format!("*a{},", n - 1).repeat(10))).collect();
    for text in [
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        format!("items: {}x{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("{}a = 1", "a.".repeat(100_000)),
        format!("a0: &a0 x\n{laughs}"),
        "items: { a: { run: \"\\ud800\" } }".to_owned(),
        "{\"items\": {\"a\": {\"run\": \"\\ud800\"}}}".to_owned(),
        "{\"items\": {\"a\": {\"run\": \"\\u0000\"}}}".to_owned(),
        "items: \0".to_owned(),
        "items: { a: { run: x, priority: 1e999, estimate: 99999999999999999999d } }".to_owned(),
        format!("items: {{ a: {{ run: x, priority: {} }} }}", "9".repeat(100_000)),
        "items: {? [a] : b}".to_owned(),
        "items: &a {a: *a}".to_owned(),
        "<<: *x".to_owned(),
        "items: { a: { prompt: \"${{ ".repeat(1_000),
        format!("items: {{ a: {{ prompt: \"{}\" }} }}", "${{ ".repeat(100_000)),
        "\u{feff}items".to_owned(),
        "%YAML 9.9\n---\na".to_owned(),
        "\r\r\r:\r".to_owned(),
    ] {
        for name in ["p.yaml", "p.json", "p.toml", "stdin"] {
            survives(name, &text);
        }
    }
}

#[test]
fn many_errors_are_counted() {
    let items: String = (0..500).map(|n| format!("  a{n}: {{ run: x, nonsense: 1 }}\n")).collect();
    let report = World::new().load("p.yaml", &format!("version: 1\nitems:\n{items}")).expect_err("500 errors");
    assert_eq!((report.diagnostics.len(), report.more_errors), (50, 450));
    assert!(report.to_string().ends_with("… and 450 more errors\n"));
}

#[test]
fn limits_are_named() {
    use std::fmt::Write;
    let values: String = (0..4_000).map(|n| format!("{n},")).collect();
    let product = format!(
        "version: 1\nitems:\n  a: {{ run: x, foreach: [{values}] }}\n  b: {{ run: x, foreach: [{values}], needs: a }}\n"
    );
    let mut different = String::from("version: 1\nitems:\n");
    for n in 1..=10_001 {
        writeln!(different, "  i{n}: {{ run: x, timeouts: {{ run: {n}ms }} }}").expect("a string");
    }
    let long_name = format!("version: 1\nitems: {{ {}: {{ run: x }} }}", "n".repeat(201));
    let long_path = format!("version: 1\nitems: {{ a: {{ run: x, workdir: {} }} }}", "n/".repeat(3_000));
    for (text, limit) in [
        (product, "more than 10000000 dependencies"),
        (different, "more than 10000 different policies"),
        (long_name, "has 201 bytes; the limit is 200"),
        (long_path, "has 6000 bytes; the limit is 4096"),
        (" ".repeat((64 << 20) + 1), "the limit is 67108864"),
    ] {
        let Err(report) = World::new().load("p.yaml", &text) else { panic!("accepted: {limit}") };
        assert!(report.diagnostics[0].message.contains(limit), "{}", report.diagnostics[0].message);
        assert!(report.diagnostics[0].help.is_some(), "{limit}");
    }
}

#[test]
fn outputs_are_traced_through_long_chains() {
    use std::fmt::Write;
    let mut text = String::from(
        "version: 1\nitems:\n  root: { run: x }\n  other: { run: x }\n  i0: { run: x, needs: [root] }\n",
    );
    for n in 1..20_000 {
        writeln!(text, "  i{n}: {{ run: [x, \"${{{{ items.root.outputs.a }}}}\"], needs: [i{}] }}", n - 1)
            .expect("a string");
    }
    assert!(World::new().load("p.yaml", &text).is_ok());
    text.push_str("  last: { run: [x, \"${{ items.other.outputs.a }}\"], needs: [i19999] }\n");
    let report = World::new().load("p.yaml", &text).expect_err("other is not needed");
    assert_eq!((report.diagnostics.len(), report.diagnostics[0].code), (1, "plan/output-not-needed"));
}

#[test]
fn chains_and_hubs_of_a_hundred_thousand() {
    use std::fmt::Write;
    let mut chain = String::from("version: 1\nitems:\n  i0: { run: x }\n");
    let mut hub = chain.clone();
    for n in 1..100_000 {
        writeln!(chain, "  i{n}: {{ run: x, needs: [i{}] }}", n - 1).expect("a string");
        writeln!(hub, "  i{n}: {{ run: x, needs: [i0] }}").expect("a string");
    }
    let all: Vec<String> = (0..100_000).map(|n| format!("i{n}")).collect();
    writeln!(hub, "  last: {{ run: x, needs: [{}] }}", all.join(",")).expect("a string");
    assert_eq!(World::new().load("p.yaml", &chain).expect("a chain").spec.items.len(), 100_000);
    assert_eq!(World::new().load("p.yaml", &hub).expect("a hub").spec.items.len(), 100_001);
    let ring = chain.replacen("i0: { run: x }", "i0: { run: x, needs: [i99999] }", 1);
    let report = World::new().load("p.yaml", &ring).expect_err("a ring");
    assert_eq!((report.diagnostics.len(), report.diagnostics[0].code), (1, "plan/cycle"));
}

/// Fragments of plans, so that random texts get past the first line.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("version: 1\n".to_owned()),
        Just("items:\n".to_owned()),
        Just("  a: ".to_owned()),
        Just("{ run: x, ".to_owned()),
        Just("needs: [a, b]".to_owned()),
        Just("foreach: [1, {x: 2}]".to_owned()),
        Just("\"${{ items.a.outputs[0] }}\"".to_owned()),
        Just("${{ vars.x ".to_owned()),
        Just("&a ".to_owned()),
        Just("*a".to_owned()),
        Just("!!int ".to_owned()),
        Just("|\n    ".to_owned()),
        Just("? ".to_owned()),
        Just("- ".to_owned()),
        Just(" }\n".to_owned()),
        Just("\r\n\t".to_owned()),
        Just("é\u{2028}".to_owned()),
        Just("[items.a]\n".to_owned()),
        Just("run = \"x\"\n".to_owned()),
        Just("\"\\u".to_owned()),
        ".{0,6}",
    ]
}

/// A random value with the words of plans in the places of keys.
fn tree() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        prop_oneof![
            "a",
            "b",
            "1h",
            "done",
            "\\$\\{\\{ item \\}\\}",
            "\\$\\{\\{ items.a.outputs \\}\\}",
            ".{0,8}"
        ]
        .prop_map(Into::into),
    ];
    let key = prop::sample::select(vec![
        "version",
        "items",
        "vars",
        "defaults",
        "env",
        "needs",
        "run",
        "prompt",
        "agent",
        "retry",
        "timeouts",
        "foreach",
        "max_parallel",
        "key",
        "outputs",
        "workdir",
        "a",
        "b",
        "c",
        "tasks",
        "phases",
        "dependencies",
        "requires",
    ]);
    leaf.prop_recursive(6, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map(key.clone().prop_map(String::from), inner, 0..8)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_text_never_panics(parts in prop::collection::vec(fragment(), 0..24)) {
        let text = parts.concat();
        for name in ["p.yaml", "p.json", "p.toml", "stdin"] {
            survives(name, &text);
        }
    }

    #[test]
    fn random_trees_never_panic(root in tree(), item in tree()) {
        let whole = root.to_string();
        let within = serde_json::json!({ "version": 1, "vars": { "x": [1, 2] }, "items": { "a": item, "b": { "run": ["x"], "needs": "a" } } });
        for text in [whole, within.to_string()] {
            survives("p.json", &text);
            survives("p.yaml", &text);
        }
    }
}
