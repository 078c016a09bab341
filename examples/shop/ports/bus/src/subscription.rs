//! What a consumer wants.

/// A queue, what goes into it, and how much of it a consumer takes at once.
#[derive(Clone, Copy, Debug)]
pub struct Subscription<'a> {
    /// The queue's name: that of the service, if it has one queue.
    pub queue: &'a str,
    /// Patterns of event types: words between dots, where `*` stands for one word and `#` for any
    /// number of them, none included. `order.*.v1` is every fact about orders in its first version.
    pub bindings: &'a [&'a str],
    /// How many messages this consumer may hold unanswered. At least 1.
    pub prefetch: u16,
    /// How often a message is delivered before it is taken for poison and dead-lettered. At least
    /// 1. It is the queue's: all its consumers say the same.
    pub deliveries: u32,
}

impl<'a> Subscription<'a> {
    /// Up to 16 messages at a time, each up to 5 times.
    pub fn new(queue: &'a str, bindings: &'a [&'a str]) -> Self {
        Self { queue, bindings, prefetch: 16, deliveries: 5 }
    }

    /// Another prefetch. 1 makes the consumer work strictly in order.
    pub fn prefetch(self, prefetch: u16) -> Self {
        Self { prefetch: prefetch.max(1), ..self }
    }

    /// Another number of deliveries before a message is taken for poison.
    pub fn deliveries(self, deliveries: u32) -> Self {
        Self { deliveries: deliveries.max(1), ..self }
    }
}
