//! Reports of runs that went well, badly, and not at all.

use super::*;
use crate::demo::Audience;
use serde_json::json;

fn plan(trials: u32) -> Plan {
    Plan { trials, speed: 4.0, seed: 7, audience: Audience::Machine }
}

/// A final line as the daemon writes it, with what a case wants changed.
fn line(trial: u64, changes: Value) -> String {
    let mut message = json!({
        "protocol": "mindeye-result/1", "type": "trial", "session": "s", "run": "r", "trial": trial, "revision": 1,
        "final": true, "effort": "full", "deadline_met": true, "onset_to_publish_s": 9.5,
        "timings_ms": {"receive": 1.0, "total": 100.0 + trial as f64}, "pool_size": 20,
        "target_scores": {"rank": 1, "score": 0.5, "pool_size": 20},
    });
    if let (Some(message), Value::Object(changes)) = (message.as_object_mut(), changes) {
        message.extend(changes);
    }
    format!("{message}\n")
}

fn report(lines: &[String], trials: u32) -> Report {
    Report::parse(&lines.concat(), plan(trials)).unwrap()
}

#[test]
fn json_has_the_contracts_fields() {
    let report = report(&[line(1, json!({})), line(0, json!({"target_scores": null}))], 2);
    let value: Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(value["trials"][0]["trial"], 0);
    assert_eq!(value["trials"][0]["retrieval_rank"], Value::Null);
    let second = json!({
        "trial": 1, "effort": "full", "deadline_met": true, "latency_ms": 101.0, "onset_to_publish_s": 9.5,
        "retrieval_rank": 1, "pool_size": 20, "revision": 1,
    });
    assert_eq!(value["trials"][1], second);
    assert_eq!(value["summary"]["n"], 2);
    assert_eq!(value["summary"]["efforts"], json!({"full": 2}));
    assert_eq!(value["summary"]["latency_ms"], json!({"p50": 100.0, "p95": 101.0, "max": 101.0}));
    assert_eq!(value["summary"]["mean_rank"], 1.0);
    assert_eq!(value["summary"]["chance_mean_rank"], 10.5);
    assert_eq!(value["summary"]["chance_top1"], 0.05);
}

#[test]
fn good_run_has_no_complaint_even_strictly() {
    let lines: Vec<String> = (0..40).map(|trial| line(trial, json!({}))).collect();
    assert_eq!(report(&lines, 40).complaints(40, true), [""; 0]);
}

#[test]
fn each_shortfall_is_named() {
    let cases = [
        (json!({"effort": "retrieval"}), false, "1 of 3 trials got no picture (2: retrieval)"),
        (json!({"effort": "skipped"}), false, "1 of 3 trials got no picture (2: skipped)"),
        (json!({"final": false}), false, "2 of 3 trials have a final result"),
        (json!({"trial": 1}), false, "trials [1] have more than one final result"),
        (json!({"deadline_met": false}), true, "1 of 3 deadlines missed, none may be"),
        (json!({"effort": "fast"}), true, "2 of 3 trials at full effort, 95 % wanted"),
    ];
    for (change, strict, expected) in cases {
        let report = report(&[line(0, json!({})), line(1, json!({})), line(2, change)], 3);
        assert_eq!(report.complaints(3, strict), [expected]);
    }
}

#[test]
fn late_or_fast_trials_pass_unless_strict() {
    let report = report(&[line(0, json!({"deadline_met": false, "effort": "blurry"}))], 1);
    assert_eq!(report.complaints(1, false), [""; 0]);
    assert_eq!(report.complaints(1, true).len(), 2);
}

#[test]
fn ranks_no_better_than_luck_fail_from_forty_trials_on() {
    let lucky = |trial: u64| line(trial, json!({"target_scores": {"rank": 1 + trial % 20, "pool_size": 20}}));
    let lines: Vec<String> = (0..40).map(lucky).collect();
    let complaints = report(&lines, 40).complaints(40, true);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].starts_with("mean rank 10.50 against 10.50 by chance has p = 0."), "{complaints:?}");
    let fewer: Vec<String> = (0..39).map(lucky).collect();
    assert_eq!(report(&fewer, 39).complaints(39, true), [""; 0]);
}

#[test]
fn forty_trials_without_ranks_are_a_shortfall() {
    let lines: Vec<String> = (0..40).map(|trial| line(trial, json!({"target_scores": null}))).collect();
    assert_eq!(report(&lines, 40).complaints(40, true), ["0 trials have a rank, 40 wanted"]);
}

#[test]
fn no_results_file_is_an_empty_report_that_fails() {
    let report = Report::read(Path::new("/no/such/results.jsonl"), plan(3)).unwrap();
    assert_eq!(report.complaints(3, false), ["0 of 3 trials have a final result"]);
    assert!(report.table().contains("0 of 3 trials, 0 with a picture"));
}

#[test]
fn broken_line_is_bad_data_with_its_number() {
    for (text, expected) in
        [("{\"final\":", "line 1: not JSON"), ("{\"final\":true}", "line 1: no whole number `trial`")]
    {
        let failure = Report::parse(text, plan(1)).unwrap_err();
        assert_eq!(failure.status, crate::failure::DATA);
        assert!(failure.message.starts_with(expected), "{}", failure.message);
    }
}

#[test]
fn table_shows_rank_and_deadline() {
    let table = report(&[line(4, json!({"deadline_met": false}))], 1).table();
    assert!(table.contains("    4  full       missed         104.0                9.50  1 of 20"), "{table}");
}
