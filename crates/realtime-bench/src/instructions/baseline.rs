//! The counts that are kept, and what is wrong with others beside them.

use std::{collections::BTreeMap, fs};

use realtime::BoxError;
use serde::{Deserialize, Serialize};

use super::Tools;

/// Where they are kept, in the folder of this crate.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json");
/// By how much a count may be higher or lower, in thousandths.
const TOLERANCE: u64 = 30;
const RENEW: &str = "`just instructions --write` renews the file";

/// What each operation takes, and what that was counted with.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Baseline {
    counted_with: Tools,
    instructions: BTreeMap<String, u64>,
}

/// What a comparison has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// For which the comparison fails.
    pub(super) wrong: Vec<String>,
    /// What takes less than it did.
    pub(super) less: Vec<String>,
}

impl Baseline {
    pub(super) const fn new(counted_with: Tools, instructions: BTreeMap<String, u64>) -> Self {
        Self {
            counted_with,
            instructions,
        }
    }

    pub(super) fn read() -> Result<Self, BoxError> {
        let text = fs::read_to_string(FILE).map_err(|e| format!("expected {FILE}: {e}"))?;
        let kept = serde_json::from_str(&text);
        Ok(kept.map_err(|e| format!("{FILE} can't be read: {e}; {RENEW}"))?)
    }

    pub(super) fn write(&self) -> Result<(), BoxError> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(FILE, text + "\n").map_err(|e| format!("{FILE} can't be written: {e}"))?;
        Ok(())
    }

    /// Whether each operation takes what it did: no more, and it is there at all.
    pub(super) fn compare(&self, counted: &BTreeMap<String, u64>) -> Found {
        let mut found = Found::default();
        for (name, count) in counted {
            let Some(kept) = self.instructions.get(name) else {
                let unknown = format!("{name} is not in the file, so nothing holds it; {RENEW}");
                found.wrong.push(unknown);
                continue;
            };
            let percent = (*count as f64 / *kept as f64 - 1.0) * 100.0;
            if count * 1000 > kept * (1000 + TOLERANCE) {
                found.wrong.push(format!(
                    "expected {name} to take {kept} instructions; got {count}, which is {percent:.1} % \
                     more: find what it is, or say why in the commit that renews the file"
                ));
            } else if count * 1000 < kept * (1000 - TOLERANCE) {
                found.less.push(format!(
                    "{name} takes {count} instructions in place of {kept}, {:.1} % less: {RENEW}, so \
                     that it stays so",
                    -percent
                ));
            }
        }
        for name in self.instructions.keys() {
            if !counted.contains_key(name) {
                let gone = format!("{name} is in the file, and was not counted; {RENEW}");
                found.wrong.push(gone);
            }
        }
        found
    }

    /// What is to be said where the counts may differ for another reason than the code.
    pub(super) fn other_tools(&self, here: &Tools) -> Option<String> {
        let kept = &self.counted_with;
        (kept != here).then(|| {
            format!(
                "The file was counted with {kept}, and this with {here}, which moves counts, too"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::operations;

    fn baseline() -> Baseline {
        let kept = json!({
            "counted_with": {"rustc": "rustc 1.89.0", "libc": "glibc 2.36", "valgrind": "valgrind-3"},
            "instructions": {"decode": 1_000, "encode": 2_000},
        });
        serde_json::from_value(kept).unwrap()
    }

    fn found(counted: &[(&str, u64)]) -> Found {
        let counted = counted.iter().map(|(name, count)| ((*name).into(), *count));
        baseline().compare(&counted.collect())
    }

    #[test]
    fn what_takes_as_much_or_little_more_is_good() {
        assert_eq!(
            found(&[("decode", 1_000), ("encode", 2_000)]),
            Found::default()
        );
        assert_eq!(
            found(&[("decode", 1_030), ("encode", 1_940)]),
            Found::default()
        );
    }

    #[test]
    fn what_takes_too_much_fails_by_its_name() {
        let found = found(&[("decode", 1_031), ("encode", 2_000)]);
        let [wrong] = &found.wrong[..] else {
            panic!("{found:?}");
        };
        assert!(wrong.starts_with("expected decode to take 1000"), "{wrong}");
        assert!(wrong.contains("got 1031, which is 3.1 % more"), "{wrong}");
        assert!(found.less.is_empty());
    }

    #[test]
    fn what_is_faster_is_said_and_fails_nothing() {
        let found = found(&[("decode", 969), ("encode", 2_000)]);
        assert!(found.wrong.is_empty());
        let [less] = &found.less[..] else {
            panic!("{found:?}");
        };
        assert!(less.contains("3.1 % less"), "{less}");
        assert!(less.contains("--write"), "{less}");
    }

    #[test]
    fn what_is_not_kept_and_what_is_gone_fails() {
        let found = found(&[("decode", 1_000), ("new", 1)]);
        let [unknown, gone] = &found.wrong[..] else {
            panic!("{found:?}");
        };
        assert!(unknown.starts_with("new is not in the file"), "{unknown}");
        assert!(gone.starts_with("encode is in the file"), "{gone}");
    }

    #[test]
    fn other_tools_are_named() {
        let kept = baseline();
        assert_eq!(kept.other_tools(&kept.counted_with), None);
        let newer =
            json!({"rustc": "rustc 1.90.0", "libc": "glibc 2.36", "valgrind": "valgrind-3"});
        let said = kept.other_tools(&serde_json::from_value(newer).unwrap());
        let said = said.unwrap();
        assert!(said.contains("1.89.0") && said.contains("1.90.0"), "{said}");
    }

    /// Who adds an operation counts it, whatever else runs of this.
    #[test]
    fn the_file_has_each_operation_of_a_build_without_features() {
        let kept = Baseline::read().unwrap();
        let names = operations::NAMES.iter().copied();
        let untraced = names.filter(|name| !name.contains("traced"));
        let kept: BTreeSet<_> = kept.instructions.keys().map(String::as_str).collect();
        assert_eq!(kept, untraced.collect());
    }

    /// Or counts would move each time that a toolchain is published.
    #[test]
    fn the_workflow_counts_with_the_toolchain_of_the_file() {
        let workflow = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../.github/workflows/deep.yml"
        );
        let workflow = fs::read_to_string(workflow).unwrap();
        let (_, job) = workflow.split_once("\n  instructions:\n").unwrap();
        let (job, _) = job.split_once("\n\n").unwrap();
        let kept = Baseline::read().unwrap();
        let version = kept.counted_with.rustc().trim_start_matches("rustc ");
        let toolchain = format!("rust-toolchain@{version}\n");
        assert!(job.contains(&toolchain), "expected {toolchain} in {job}");
    }
}
