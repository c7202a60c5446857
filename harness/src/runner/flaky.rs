//! Finding scenarios that do not end the same each time (`esimlab run --repeat N`).
//!
//! Each is run several times with the same seed. The repetitions have ids of their own, `errors/code-used#2`, so that
//! reports tell them apart; what follows from an id (seed, known failures) follows from the part before the sign.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::result::{ScenarioResult, Verdict};
use crate::scenario::load::LoadedScenario;

/// Stands between the id of a scenario and the number of the repetition.
const SIGN: char = '#';

/// Each scenario so many times, all of them once before any of them twice.
pub fn repeated(scenarios: Vec<LoadedScenario>, times: u32) -> Vec<LoadedScenario> {
    let again = |number: u32| {
        scenarios.iter().map(move |loaded| match number {
            1 => loaded.clone(),
            _ => LoadedScenario { id: format!("{}{SIGN}{number}", loaded.id), ..loaded.clone() },
        })
    };
    (1..=times).flat_map(again).collect()
}

/// The id of the scenario that a repetition is one of.
pub fn id_of(id: &str) -> &str {
    id.split_once(SIGN).map_or(id, |(id, _)| id)
}

/// How often each scenario ended in which way, of those that did not end the same each time.
pub fn found(results: &[ScenarioResult]) -> BTreeMap<&str, BTreeMap<Verdict, usize>> {
    let mut ends: BTreeMap<&str, BTreeMap<Verdict, usize>> = BTreeMap::new();
    for result in results {
        *ends.entry(id_of(&result.id)).or_default().entry(result.verdict).or_default() += 1;
    }
    ends.retain(|_, verdicts| verdicts.len() > 1);
    ends
}

/// The same in words.
pub fn told(found: &BTreeMap<&str, BTreeMap<Verdict, usize>>) -> String {
    let mut text = format!("{} not the same each time:\n", found.len());
    for (id, verdicts) in found {
        let times: Vec<String> =
            verdicts.iter().map(|(verdict, count)| format!("{count} {}", verdict.words())).collect();
        let _ = writeln!(text, "  {id}: {}", times.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::result::tests::scenario;

    #[test]
    fn only_what_differs_is_told() {
        let results = [
            scenario("errors/used", Verdict::Pass, None),
            scenario("errors/used#2", Verdict::Fail, None),
            scenario("errors/used#3", Verdict::Pass, None),
            scenario("errors/tls", Verdict::Fail, None),
            scenario("errors/tls#2", Verdict::Fail, None),
        ];
        assert_eq!(told(&found(&results)), "1 not the same each time:\n  errors/used: 2 passed, 1 failed\n");
        assert!(found(&results[3..]).is_empty());
        assert_eq!((id_of("a/b#12"), id_of("a/b")), ("a/b", "a/b"));
    }
}
