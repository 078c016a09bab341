//! How a topic exchange matches: <https://www.rabbitmq.com/tutorials/tutorial-five-python>.

/// Whether a binding's pattern matches a routing key.
pub(crate) fn matches(pattern: &str, key: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    let key: Vec<&str> = key.split('.').collect();
    words(&pattern, &key)
}

fn words(pattern: &[&str], key: &[&str]) -> bool {
    match (pattern, key) {
        ([], []) => true,
        (["#", rest @ ..], _) => (0..=key.len()).any(|taken| words(rest, &key[taken..])),
        (["*", pattern @ ..], [_, key @ ..]) => words(pattern, key),
        ([word, pattern @ ..], [same, key @ ..]) => word == same && words(pattern, key),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_a_topic_exchange_does() {
        let table = [
            ("order.placed.v1", "order.placed.v1", true),
            ("order.placed.v1", "order.placed.v2", false),
            ("order.*.v1", "order.placed.v1", true),
            ("order.*", "order.placed.v1", false),
            ("*.*.v1", "stock.reserved.v1", true),
            ("*", "order.placed.v1", false),
            ("#", "order.placed.v1", true),
            ("order.#", "order.placed.v1", true),
            ("order.#", "order", true),
            ("#.v1", "order.placed.v1", true),
            ("#.v1", "v1", true),
            ("order.#.v1", "order.v1", true),
            ("order.#.v1", "order.v2", false),
            ("#.#", "order.placed.v1", true),
            ("#.placed.*", "order.placed.v1", true),
            ("order.placed", "order.placed.v1", false),
            ("", "order", false),
            // A wildcard is a word of its own, not a part of one.
            ("ord*.placed.v1", "order.placed.v1", false),
        ];
        for (pattern, key, expected) in table {
            assert_eq!(matches(pattern, key), expected, "{pattern} {key}");
        }
    }
}
