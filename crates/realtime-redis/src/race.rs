//! Several ways to one answer, begun one after the other.

use std::time::Duration;

use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::sleep;

/// For how long one is waited for before the next is begun, too.
const NEXT: Duration = Duration::from_millis(250);

/// The first of several tries that succeeds. Each is begun when one before it has failed, or none
/// has answered for a quarter of a second, so that one that hangs keeps no other from its turn. Where
/// all fail it is the failure that came last; where there are none, nothing.
///
/// # Cancel safety
/// As that of the tries: all of them are dropped.
pub async fn first<T, E>(tries: Vec<BoxFuture<'_, Result<T, E>>>) -> Option<Result<T, E>> {
    let mut waiting = tries.into_iter();
    let (mut begun, mut failure) = (FuturesUnordered::new(), None);
    begun.extend(waiting.next());
    while !begun.is_empty() {
        tokio::select! {
            Some(answer) = begun.next() => match answer {
                Ok(answer) => return Some(Ok(answer)),
                Err(error) => failure = Some(Err(error)),
            },
            () = sleep(NEXT), if waiting.len() > 0 => {}
            else => {}
        }
        begun.extend(waiting.next());
    }
    failure
}

#[cfg(test)]
mod tests {
    use futures::{
        FutureExt,
        future::{pending, ready},
    };
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_and_one_that_fails_keep_no_other_from_its_turn() {
        let started = Instant::now();
        let tries = vec![
            pending().boxed(),
            ready(Err("refused")).boxed(),
            ready(Ok(3)).boxed(),
        ];
        assert_eq!(first(tries).await, Some(Ok(3)));
        assert_eq!(started.elapsed(), NEXT, "for the first alone");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_late_may_still_be_the_first() {
        let late = async {
            sleep(NEXT * 3).await;
            Ok::<_, &str>(1)
        };
        let tries = vec![late.boxed(), pending().boxed(), pending().boxed()];
        assert_eq!(first(tries).await, Some(Ok(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_fail_it_is_the_last_failure() {
        let failed = |why| ready(Err::<(), _>(why)).boxed();
        let tries = vec![failed("one"), failed("other")];
        assert_eq!(first(tries).await, Some(Err("other")));
        assert_eq!(first::<(), &str>(Vec::new()).await, None);
    }
}
