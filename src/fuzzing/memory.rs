//! What the intake is given in place of a disk and a wall clock.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::watch;
use uuid::Uuid;

use crate::clock::Clock;
use crate::event::{EventId, OrderEvent};
use crate::inbox::{
    Claim, Depth, Error, Inbox, Outlet, Receipt, Record, Refusal, Seq, Settlement, StatesAtRest,
};

/// An inbox that keeps what it is given, and hands nothing over.
#[derive(Debug, Default)]
pub(super) struct Memory {
    appended: Mutex<Vec<(Record, Box<OrderEvent>)>>,
    refused: Mutex<Vec<Refusal>>,
}

impl Memory {
    pub(super) fn take_appended(&self) -> Vec<(Record, Box<OrderEvent>)> {
        std::mem::take(&mut self.appended.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn take_refused(&self) -> Vec<Refusal> {
        std::mem::take(&mut self.refused.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inbox for Memory {
    fn append(
        &self,
        record: Record,
        event: Box<OrderEvent>,
    ) -> BoxFuture<'_, Result<Receipt, Error>> {
        let mut appended = self.appended.lock().unwrap_or_else(PoisonError::into_inner);
        appended.push((record, event));
        ready(Ok(Receipt::New { id: EventId::new(Uuid::nil()), seq: Seq(1) })).boxed()
    }

    fn refuse(&self, refusal: Refusal) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).push(refusal);
    }

    fn claim(&self, _outlet: Outlet, _limit: usize) -> BoxFuture<'_, Result<Vec<Claim>, Error>> {
        ready(Err(Error::Closed)).boxed()
    }

    fn settle(&self, claim: Claim, _settlement: Settlement) {
        unreachable!("nothing is claimed, so there is no {claim:?}")
    }

    fn states(&self, _limit: usize) -> BoxFuture<'_, Result<Vec<StatesAtRest>, Error>> {
        ready(Ok(Vec::new())).boxed()
    }

    fn depth(&self) -> Depth {
        Depth::default()
    }

    fn trouble(&self) -> Option<Error> {
        None
    }

    fn failed(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn arrivals(&self) -> watch::Receiver<i64> {
        watch::Sender::new(0).subscribe()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}

/// A clock that stands still: what a fuzzer finds happens again.
#[derive(Debug)]
pub(super) struct Still(pub(super) DateTime<Utc>);

impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }

    fn sleep_until(&self, _at: DateTime<Utc>) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}
