//! Several receivers on one PostgreSQL: nothing is lost, nothing out of order, nothing at two
//! receivers at a time, whoever is killed, cut off or stands still.

mod app;
mod reading;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::task::JoinSet;

use self::app::App;
use crate::harness::{ACK, Child, on_status, post, try_request, wait_until};
use crate::servers::postgres::Postgres;

/// The shortest lease that there is.
const LEASE: Duration = Duration::from_secs(1);

/// Receivers of one inbox, each with a directory of its own.
struct Receivers {
    cluster: Postgres,
    settings: String,
    lease: Duration,
    running: Vec<Child>,
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Receivers {
    /// Starts so many; `None`, said aloud, on a machine without the database.
    async fn start(count: usize, settings: &str, lease: Duration) -> Option<Self> {
        let cluster = Postgres::start()?;
        let settings = settings.to_owned();
        let addresses = Arc::default();
        let mut receivers = Self { cluster, settings, lease, running: Vec::new(), addresses };
        for _ in 0..count {
            let child = receivers.spawn().await;
            receivers.addresses.lock().unwrap().push(child.address);
            receivers.running.push(child);
        }
        Some(receivers)
    }

    async fn spawn(&self) -> Child {
        let directory = Arc::new(TempDir::new().unwrap());
        std::fs::write(directory.path().join("config.toml"), &self.settings).unwrap();
        let variables = self.variables();
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, &**value)).collect();
        Child::start_in(directory, &[], &variables).await
    }

    /// Returns what a receiver of them is started with.
    fn variables(&self) -> [(&'static str, String); 3] {
        [
            ("BECKN_RECEIVER_INBOX__ENGINE", "postgres".to_owned()),
            ("BECKN_RECEIVER_POSTGRES__URL", self.cluster.url()),
            ("BECKN_RECEIVER_POSTGRES__LEASE_MS", self.lease.as_millis().to_string()),
        ]
    }

    /// Kills a receiver as a power cut would, and starts another in its place.
    async fn replace(&mut self, place: usize) {
        let killed = self.running.remove(place);
        killed.kill();
        let child = self.spawn().await;
        self.addresses.lock().unwrap()[place] = child.address;
        self.running.insert(place, child);
    }

    async fn database(&self) -> tokio_postgres::Client {
        let (client, connection) =
            tokio_postgres::connect(&self.cluster.url(), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("SET search_path = beckn_receiver").await.unwrap();
        client
    }

    /// Asks the database for a number.
    async fn number(&self, sql: &str) -> i64 {
        self.database().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Waits until every event is settled, and ends them all; returns their logs.
    async fn end(self) -> Vec<String> {
        let unsettled = "SELECT count(*) FROM pending";
        wait_until("every event is settled", async || self.number(unsettled).await == 0).await;
        let mut logs = Vec::new();
        for child in self.running {
            logs.push(child.end().await.1);
        }
        logs
    }
}

/// Returns a number that is different each time.
fn random() -> u64 {
    static SEED: AtomicU64 = AtomicU64::new(7);
    let seed = SEED.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)) >> 3
}

fn random_place(count: usize) -> usize {
    usize::try_from(random() % count as u64).unwrap()
}

/// The long form: `BECKN_RECEIVER_TEST_REPLICA_SECONDS=60`.
fn seconds() -> u64 {
    std::env::var("BECKN_RECEIVER_TEST_REPLICA_SECONDS")
        .map_or(6, |text| text.parse().expect("a number"))
}

/// Posts the events of a transaction one after the other, each until it is ACKed, to whichever
/// receiver, within about `span`.
async fn sell(
    transaction: String,
    events: u32,
    span: Duration,
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
    acked: Arc<AtomicUsize>,
) {
    for number in 0..events {
        tokio::time::sleep(span / events * u32::try_from(random() % 200).unwrap() / 100).await;
        let body = on_status(&transaction, &format!("m{number}"), &format!("S{number}"));
        loop {
            let at = {
                let addresses = addresses.lock().unwrap();
                addresses[random_place(addresses.len())]
            };
            let head = format!("POST /on_status HTTP/1.1\r\nhost: {at}\r\n");
            let answer = try_request(at, &head, body.as_bytes()).await;
            if answer.is_ok_and(|answer| answer.body == ACK) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        acked.fetch_add(1, Ordering::Relaxed);
    }
}

/// Asserts that every event of every transaction came, in order by its first arrival.
#[track_caller]
fn assert_all_in_order(app: &App, transactions: usize, events: usize) {
    let mut seen = HashSet::new();
    let mut orders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for attempt in app.attempts() {
        if seen.insert(attempt.id.clone()) {
            orders.entry(attempt.transaction).or_default().push(attempt.message);
        }
    }
    assert_eq!(orders.len(), transactions);
    let whole: Vec<String> = (0..events).map(|number| format!("m{number}")).collect();
    for (transaction, messages) in orders {
        assert_eq!(messages, whole, "{transaction}");
    }
}

/// Returns how long it took, at most, until an attempt that broke was made again.
fn longest_takeover(app: &App) -> Duration {
    let attempts = app.attempts();
    let mut broken: HashMap<&str, Instant> = HashMap::new();
    let mut longest = Duration::ZERO;
    for attempt in &attempts {
        if let Some(began) = broken.remove(attempt.id.as_str()) {
            longest = longest.max(attempt.began - began);
        }
        if !attempt.answered {
            broken.insert(&attempt.id, attempt.began);
        }
    }
    longest
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_and_connections_that_die_lose_nothing_and_keep_the_order() {
    let (transactions, events) = (200, 20);
    let app = App::start(|_| Duration::from_millis(20)).await;
    let Some(mut receivers) = Receivers::start(3, &app.settings(), LEASE).await else { return };
    let span = Duration::from_secs(seconds());
    let acked = Arc::new(AtomicUsize::new(0));
    let mut sellers: JoinSet<()> = (0..transactions)
        .map(|number| {
            let (addresses, acked) = (Arc::clone(&receivers.addresses), Arc::clone(&acked));
            sell(format!("t{number}"), events, span, addresses, acked)
        })
        .collect();
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
         WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
         ORDER BY random() LIMIT 1) one";
    let (began, mut kills, mut cuts) = (Instant::now(), 0, 0);
    while began.elapsed() < span || !sellers.is_empty() {
        let round = Instant::now();
        if began.elapsed() < span {
            receivers.replace(random_place(3)).await;
            kills += 1;
            cuts += receivers.number(cut).await;
        }
        let rest = Duration::from_secs(1).saturating_sub(round.elapsed());
        tokio::time::sleep(rest).await;
        while let Some(ended) = sellers.try_join_next() {
            ended.unwrap();
        }
    }
    assert_eq!(acked.load(Ordering::Relaxed), transactions * events as usize);
    receivers.end().await;
    assert_all_in_order(&app, transactions, events as usize);
    assert_eq!(app.overlaps(), 0, "attempts of a transaction overlapped");
    println!(
        "{kills} kills, {cuts} connections cut, {} attempts for {} events; longest until what a \
         dead receiver had was tried again: {:?}, with a lease of {LEASE:?}",
        app.attempts().len(),
        acked.load(Ordering::Relaxed),
        longest_takeover(&app),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_stands_still_beyond_its_lease_settles_nothing() {
    // The first attempt is answered after its lease, what follows at once.
    let slow = |number| if number == 1 { LEASE * 2 } else { Duration::ZERO };
    let app = App::start(slow).await;
    let Some(receivers) = Receivers::start(1, &app.settings(), LEASE).await else { return };
    let first = receivers.running[0].id().to_string();
    let signal = |name: &str| {
        let sent = std::process::Command::new("kill").args([name, &first]).status().unwrap();
        assert!(sent.success());
    };
    let body = on_status("t", "m", "Accepted");
    assert_eq!(post(receivers.running[0].address, "/on_status", body.as_bytes()).await.body, ACK);
    wait_until("it is with the app", async || app.attempts().len() == 1).await;
    signal("-STOP");
    let second = receivers.spawn().await;
    let settled = "SELECT count(*) FROM delivery WHERE state = 1";
    wait_until("another took it over", async || receivers.number(settled).await == 1).await;
    assert_eq!(app.attempts().len(), 2);
    wait_until("the first is answered", async || app.attempts()[0].answered).await;
    signal("-CONT");
    // It takes what comes next.
    let body = on_status("t", "m2", "Packed");
    assert_eq!(post(receivers.running[0].address, "/on_status", body.as_bytes()).await.body, ACK);
    wait_until("it is settled", async || receivers.number(settled).await == 2).await;
    second.end_quietly().await;
    let attempts = "SELECT max(replay * 1000 + attempts)::bigint FROM delivery";
    assert_eq!(receivers.number(attempts).await, 1, "one attempt each, of the arrival");
    let log = receivers.end().await.remove(0);
    let refused = ["counts nothing", "its lease could not be renewed"];
    assert!(refused.iter().any(|words| log.contains(words)), "{log}");
    assert_eq!(app.attempts().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_killed_under_load_loses_nothing_that_was_acked() {
    let (transactions, events) = (64, 40);
    let app = App::start(|_| Duration::from_millis(1)).await;
    let Some(mut receivers) = Receivers::start(3, &app.settings(), LEASE).await else { return };
    let acked = Arc::new(AtomicUsize::new(0));
    let sellers: JoinSet<()> = (0..transactions)
        .map(|number| {
            let (addresses, acked) = (Arc::clone(&receivers.addresses), Arc::clone(&acked));
            sell(format!("t{number}"), events, Duration::from_secs(6), addresses, acked)
        })
        .collect();
    for _ in 0..2 {
        let so_far = acked.load(Ordering::Relaxed);
        wait_until("some are ACKed", async || acked.load(Ordering::Relaxed) > so_far + 100).await;
        receivers.cluster.kill();
        tokio::time::sleep(Duration::from_millis(700)).await;
        for child in &receivers.running {
            let head = "GET /readyz HTTP/1.1\r\nhost: x\r\n";
            let ready = try_request(child.operations, head, b"").await.unwrap();
            assert_eq!(ready.status, 503, "{}", ready.body);
        }
        let so_far = acked.load(Ordering::Relaxed);
        receivers.cluster.restart();
        let back = Instant::now();
        wait_until("it goes on", async || acked.load(Ordering::Relaxed) > so_far).await;
        println!("the first ACK came {:?} after the database was back", back.elapsed());
    }
    sellers.join_all().await;
    receivers.end().await;
    assert_all_in_order(&app, transactions, events as usize);
    assert_eq!(app.overlaps(), 0, "attempts of a transaction overlapped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_posted_to_three_receivers_at_once_is_one_event() {
    let app = App::start(|_| Duration::ZERO).await;
    let Some(receivers) = Receivers::start(3, &app.settings(), LEASE).await else { return };
    for number in 0..50 {
        let body = on_status(&format!("t{number}"), "m", "Accepted");
        let posts = receivers
            .running
            .iter()
            .map(|child| post(child.address, "/on_status", body.as_bytes()));
        for answer in futures_util::future::join_all(posts).await {
            assert_eq!(answer.body, ACK);
        }
    }
    assert_eq!(receivers.number("SELECT count(*) FROM event").await, 50);
    receivers.end().await;
    assert_eq!(app.attempts().len(), 50);
}
