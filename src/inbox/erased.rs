//! What is left of a transaction that was erased, in the texts of others.

/// Returns a target in which a word stands for what is erased, when it is there as a whole.
pub(super) fn without(target: &str, word: &str) -> Option<String> {
    let (mut kept, mut rest) = (String::new(), 0);
    for (at, _) in target.match_indices(word) {
        let end = at + word.len();
        let begins = at == 0 || target[..at].ends_with(' ');
        let ends = end == target.len() || target[end..].starts_with(' ');
        if begins && ends {
            kept.push_str(&target[rest..at]);
            kept.push_str("transaction=erased");
            rest = end;
        }
    }
    (rest > 0).then(|| kept + &target[rest..])
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn only_a_whole_id_leaves_the_audit() {
        let check = |target: &str, expected: Option<&str>| {
            assert_eq!(without(target, "transaction=T1").as_deref(), expected, "{target}");
        };
        check("transaction=T1", Some("transaction=erased"));
        check(
            "action=on_T1 transaction=T1 state=T1",
            Some("action=on_T1 transaction=erased state=T1"),
        );
        check("transaction=T10 order=T1", None);
        check("no-transaction=T1", None);
        check("every event", None);
    }
}
