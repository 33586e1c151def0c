//! The known name that a misspelt one was probably meant to be.

/// Returns the name among `known` that is nearest to `name`; the first of several.
///
/// A right key in a wrong section counts as one letter off: `listen` is near to `http.listen`.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known.into_iter().min_by_key(|candidate| {
        let whole = distance(name, candidate);
        (whole.min(distance(key(name), key(candidate)) + 1), whole)
    })
}

fn key(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, key)| key)
}

/// How much of a name is compared; a name from outside may be as long as its file.
const COMPARED_CHARACTERS: usize = 64;

/// Returns how many letters must be inserted, left out or changed to get from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(COMPARED_CHARACTERS).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(COMPARED_CHARACTERS).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_is_the_one_that_was_meant() {
        let known = ["subscriber_ids", "http", "http.listen", "operations.listen", "log.level"];
        let check = |name: &str, expected: &str| {
            assert_eq!(nearest(name, known), Some(expected), "{name}");
        };
        check("http.lisen", "http.listen");
        check("operation.listen", "operations.listen");
        check("listen", "http.listen");
        check("log.levels", "log.level");
        check("htpp", "http");
        check("subscriber_id", "subscriber_ids");
        assert_eq!(nearest("any", []), None);
    }
}
