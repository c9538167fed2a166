//! Futures that are not ready at once, without a runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::AtomicWaker;

/// Gives other futures of the same task a turn, or lets `latency` pass.
pub(crate) async fn pause(latency: Option<Duration>) {
    let bell = Arc::new((AtomicBool::new(false), AtomicWaker::new()));
    let mut is_first = true;
    std::future::poll_fn(move |context| {
        if is_first {
            is_first = false;
            ring_later(latency, &bell, context);
            return Poll::Pending;
        }
        bell.1.register(context.waker());
        if bell.0.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// A thread for each request that sleeps: a testkit needs no timer wheel, and no runtime.
fn ring_later(latency: Option<Duration>, bell: &Arc<(AtomicBool, AtomicWaker)>, context: &mut Context<'_>) {
    let Some(latency) = latency else {
        bell.0.store(true, Ordering::Release);
        context.waker().wake_by_ref();
        return;
    };
    bell.1.register(context.waker());
    let bell = Arc::clone(bell);
    std::thread::spawn(move || {
        std::thread::sleep(latency);
        bell.0.store(true, Ordering::Release);
        bell.1.wake();
    });
}
