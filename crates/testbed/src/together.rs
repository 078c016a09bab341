//! Many at once, for checks of what must happen once.

use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::sync::Barrier;

/// Does all of `works` at the same time, each in a task of its own, and gives what they came to,
/// in their order. None begins before all are there: where tasks begin as they are spawned, the
/// first is often done before the last has come, and nothing was tried.
///
/// # Panics
/// One of them did, with what it said.
pub async fn together<F>(works: impl IntoIterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let works: Vec<_> = works.into_iter().collect();
    let start = Arc::new(Barrier::new(works.len()));
    let begin = |work: F| {
        let start = Arc::clone(&start);
        tokio::spawn(async move {
            start.wait().await;
            work.await
        })
    };
    // Collected first: a lazy one would wait for the first before it spawns the second.
    let tasks: Vec<_> = works.into_iter().map(begin).collect();
    let mut done = Vec::with_capacity(tasks.len());
    for task in tasks {
        // Nobody cancels a task here; only a runtime that ends would, and this with it.
        done.push(task.await.unwrap_or_else(|lost| resume_unwind(lost.into_panic())));
    }
    done
}

#[cfg(test)]
mod tests {
    use std::future::Ready;
    use std::sync::{Arc, OnceLock};

    use tokio::runtime::Handle;

    use super::together;

    /// So many that the first would be done long before the last is spawned.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn none_begins_before_all_are_there_and_the_order_is_kept() {
        let there_at_first = Arc::new(OnceLock::new());
        let works = (0..2000).map(|number| {
            let there = Arc::clone(&there_at_first);
            async move {
                there.get_or_init(|| Handle::current().metrics().num_alive_tasks());
                number
            }
        });
        assert_eq!(together(works).await, (0..2000).collect::<Vec<_>>());
        assert!(there_at_first.get() >= Some(&2000), "{there_at_first:?}");
        assert!(together([] as [Ready<()>; 0]).await.is_empty());
    }

    #[tokio::test]
    #[should_panic(expected = "the second one")]
    async fn a_panic_says_what_it_said_in_its_task() {
        together((0..3).map(|number| async move { assert_ne!(number, 1, "the second one") })).await;
    }
}
