//! A receiver in this process whose router is called without a socket: what it costs to accept a
//! callback, from the router to the ACK, and to hand its event to a handler that does nothing.

use std::error::Error;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::Request;
use axum::http::header::AUTHORIZATION;
use beckn_receiver::config::SignatureMode;
use beckn_receiver::{
    Action, Config, HandlerError, OrderEvent, OrderEventHandler, PinnedKey, Receiver, SubscriberId,
};
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::answer::ACK;
use crate::sign::Seller;
use crate::template::Template;

/// So many callbacks are posted at the same time: they share commits, as under load.
pub const AT_ONCE: u32 = 64;

/// A receiver, and callbacks to post to it.
#[derive(Debug)]
pub struct Acceptor {
    receiver: Receiver,
    router: Router,
    handled: Arc<Semaphore>,
    template: Template,
    path: String,
    seller: Option<Seller>,
    posted: u64,
}

/// Takes every event and counts it.
struct Count(Arc<Semaphore>);

impl OrderEventHandler for Count {
    async fn handle(&self, _event: &OrderEvent) -> Result<(), HandlerError> {
        self.0.add_permits(1);
        Ok(())
    }
}

impl Acceptor {
    /// Starts a receiver with the default settings whose inbox lies in `directory`. With a seller,
    /// signatures are required, the seller's key is pinned and the callbacks are signed.
    ///
    /// # Errors
    /// The receiver does not start, or the body has no ids.
    pub async fn start(
        directory: &Path,
        action: Action,
        body: &str,
        seller: Option<Seller>,
    ) -> Result<Acceptor, Box<dyn Error>> {
        let mut config = Config::default();
        directory.clone_into(&mut config.inbox.path);
        if let Some(seller) = &seller {
            config.signature.mode = SignatureMode::Required;
            config.subscriber_ids = vec![SubscriberId::new("buyer.example")];
            config.signature.pinned_keys.extend(PinnedKey::parse(&seller.pinned()));
        }
        let handled = Arc::new(Semaphore::new(0));
        let receiver = Receiver::builder(config).start(Count(Arc::clone(&handled))).await?;
        let router = receiver.router();
        let path = format!("/{action}");
        let template = Template::new("localhost", &path, body, None)?;
        Ok(Acceptor { receiver, router, handled, template, path, seller, posted: 0 })
    }

    /// Returns requests for `count` callbacks, each a transaction of its own. They are made on a
    /// thread of their own, for what they cost is the seller's.
    ///
    /// # Errors
    /// The path is none.
    pub fn requests(&mut self, count: u32) -> Result<Vec<Request<Body>>, Box<dyn Error>> {
        let made = std::thread::scope(|scope| scope.spawn(|| self.make(count)).join());
        Ok(made.map_err(|_panic| "the thread that makes the requests panicked")??)
    }

    fn make(&mut self, count: u32) -> Result<Vec<Request<Body>>, axum::http::Error> {
        let mut requests = Vec::new();
        for _ in 0..count {
            self.posted += 1;
            let body = self.template.patched_body(1, self.posted, self.posted);
            let mut request = Request::post(&self.path);
            if let Some(seller) = &self.seller {
                let signature = seller.sign_in_base64(body);
                request = request.header(AUTHORIZATION, seller.authorization(&signature));
            }
            requests.push(request.body(Body::from(Bytes::copy_from_slice(body)))?);
        }
        Ok(requests)
    }

    /// Posts the requests, [`AT_ONCE`] at the same time, and waits until each is answered with an
    /// ACK and its event handled.
    ///
    /// # Errors
    /// A callback is not accepted.
    pub async fn post(&self, requests: Vec<Request<Body>>) -> Result<(), Box<dyn Error>> {
        let mut requests = requests.into_iter().peekable();
        while requests.peek().is_some() {
            let mut answers = JoinSet::new();
            for request in requests.by_ref().take(AT_ONCE as usize) {
                answers.spawn(self.router.clone().oneshot(request));
            }
            let count = u32::try_from(answers.len())?;
            while let Some(answer) = answers.join_next().await {
                let answer = answer??;
                // A NACK has the same status; by its length it is told apart without being read.
                let length = answer.body().size_hint().exact();
                if length != Some(ACK.len() as u64) {
                    let status = answer.status();
                    return Err(format!("{status} with {length:?} bytes is not an ACK").into());
                }
            }
            self.handled.acquire_many(count).await?.forget();
        }
        Ok(())
    }

    /// Shuts the receiver down.
    pub async fn shutdown(self) {
        self.receiver.shutdown().await;
    }
}

/// Returns the action with which a sample's name begins.
///
/// # Errors
/// It begins with none.
pub fn action_of(payload: &Path) -> Result<Action, Box<dyn Error>> {
    let name = payload.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let of_name = |action: &Action| name.starts_with(action.as_str());
    // `on_issue_status` begins with `on_issue`: the longest name is the right one.
    let action = Action::ALL.into_iter().filter(of_name).max_by_key(|action| action.as_str().len());
    action.ok_or_else(|| format!("the name `{name}` does not begin with an action").into())
}
