//! One model, three formats, one digest.

use super::World;

const YAML: &str = r#"
# a comment
version: 1
name: same
vars: { n: 3, f: 0.5 }
defaults: { timeouts: { idle: 15m }, env: { X: "1" } }
items:
  a:
    run: "echo é > a.txt"
    description: not part of what it does
  b: { prompt: "${{ vars.n }} of ${{ vars.f }}", needs: [a], requires: { lang: rust }, foreach: [x, { k: [1, true, null] }] }
"#;

const JSON: &str = r#"{"version": 1, "name": "same",
  "items": {
    "a": {"run": "echo \u00e9 > a.txt"},
    "b": {"foreach": ["x", {"k": [1, true, null]}], "needs": {"a": "success"}, "requires": {"lang": "rust"}, "prompt": "${{vars.n}} of ${{vars.f}}"}
  },
  "defaults": {"env": {"X": 1}, "timeouts": {"idle": "900s"}},
  "vars": {"f": 0.5, "n": {"default": 3}}}"#;

#[test]
fn the_same_plan_has_the_same_digest_in_all_formats() {
    let world = World::new();
    let digest =
        |name: &str, text: &str| world.load(name, text).unwrap_or_else(|report| panic!("{report}")).spec.digest;
    let yaml = digest("p.yaml", YAML);
    assert_eq!(yaml, digest("p.json", JSON));
    assert_eq!(yaml, digest("stdin", JSON));
    assert_eq!(yaml, digest("json-is-yaml.yaml", JSON));
    // TOML has no null.
    let toml = "version = 1\nname = 'same'\nvars.n = 3\nvars.f = 0.5\n[defaults]\nenv = { X = '1' }\n[defaults.timeouts]\nidle = '15m'\n\
        [items.a]\nrun = 'echo é > a.txt'\n[items.b]\nprompt = '${{ vars.n }} of ${{ vars.f }}'\nneeds = ['a']\nrequires.lang = 'rust'\n\
        foreach = ['x', { k = [1, true] }]\n";
    assert_eq!(digest("p.toml", toml), digest("p.yaml", &YAML.replace(", null", "")));
    assert_eq!(digest("p.toml", toml), digest("stdin", toml));
}

#[test]
fn a_digest_tells_plans_apart() {
    let world = World::new();
    let digest =
        |text: &str| world.load("p.yaml", text).unwrap_or_else(|report| panic!("{report}")).spec.digest;
    let mut seen = vec![digest(YAML)];
    for (from, to) in [
        ("name: same", "name: other"),
        ("echo", "echo "),
        ("idle: 15m", "idle: 16m"),
        ("X: \"1\"", "X: \"2\""),
        ("needs: [a]", "needs: { a: done }"),
        ("lang: rust", "lang: go"),
        ("n: 3", "n: 4"),
        ("  a:", "  a2:\n    run: x\n  a:"),
    ] {
        let changed = YAML.replacen(from, to, 1);
        assert_ne!(changed, YAML);
        let digest = digest(&changed);
        assert!(!seen.contains(&digest), "{from} → {to}");
        seen.push(digest);
    }
}
