//! What receivers tell each other: that something is new. Who misses it finds it at the next look.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::poll_fn;
use tokio_postgres::AsyncMessage;

use super::Shared;
use super::connect::{self, EngineError, Link};

/// So far are two tidings from each other, at least: each is a commit that others wait for.
const BETWEEN: Duration = Duration::from_millis(5);

/// So long what a receiver keeps is left to itself: it looks at once, and each look of another is a
/// statement that mostly finds nothing. What it has no place for is taken by others then.
const THEIR_TURN: Duration = Duration::from_millis(20);

/// How long is waited before it is listened again.
const PAUSE: Duration = Duration::from_secs(1);

const TELL: &str = "SELECT pg_notify($1, $2)";

/// Listens until the task is ended.
pub(super) async fn run(shared: Arc<Shared>) {
    loop {
        if let Err(error) = listen(&shared).await {
            tracing::debug!(%error, "other receivers are not heard");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn listen(shared: &Shared) -> Result<(), EngineError> {
    let server = &shared.options.server;
    let (client, mut connection) = server.config.connect(server.tls.clone()).await?;
    let listening = async {
        connect::set_up(&client, &server.schema).await?;
        client.batch_execute(&format!("LISTEN \"{}\"", channel(shared))).await?;
        // Held while it is listened.
        std::future::pending::<Result<(), EngineError>>().await
    };
    let hearing = async {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(told) = message? {
                shared.saw(told.payload().parse().unwrap_or(0));
                shared.heard.notify_one();
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = hearing => ended,
        failed = listening => failed,
    }
}

/// Has claims look for what others were told of, until the task is ended.
pub(super) async fn wake(shared: Arc<Shared>) {
    loop {
        shared.heard.notified().await;
        tokio::time::sleep(THEIR_TURN).await;
        shared.woken.notify_waiters();
    }
}

/// Tells the others of what is new, until the task is ended.
pub(super) async fn tell(shared: Arc<Shared>) {
    let mut link = Link::new(shared.options.server.clone(), [TELL]);
    loop {
        shared.tell.notified().await;
        let newest = shared.arrived.borrow().to_string();
        let told = async {
            let (client, [tell]) = link.get().await?;
            client.query(tell, &[&channel(&shared), &newest]).await?;
            Ok::<_, EngineError>(())
        };
        if let Err(error) = told.await {
            tracing::debug!(%error, "other receivers are not told");
            link.give_up();
        }
        tokio::time::sleep(BETWEEN).await;
    }
}

fn channel(shared: &Shared) -> String {
    format!("beckn_receiver_{}", shared.options.server.schema)
}
