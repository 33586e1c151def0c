//! What only this engine can show: several receivers on one inbox, and a database that goes away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::{Options, PostgresInbox, Server, connect};
use crate::event::EventId;
use crate::inbox::contract::{Bench, ManualClock, SAMPLE, Sample, check_all, new_id};
use crate::inbox::{Error, Inbox, Outlets, Receipt, Settlement};
use crate::servers::pem;
use crate::servers::postgres::Postgres;
use crate::words::Chain;

/// Small bounds, and a look around that comes soon.
pub(crate) fn options(cluster: &Postgres, schema: &str) -> Options {
    Options {
        server: Server::of_test(&cluster.url(), schema),
        outlets: Outlets::one("app"),
        batch_limit: 512,
        queue_limit: 8192,
        queue_bytes: 64 << 20,
        unsettled_limit: 1_000_000,
        retention_days: 30,
        retention_bytes: 10 << 30,
        dead_letter_days: 90,
        expectations_limit: 100_000,
        refusals_kept: 10_000,
        refusal_body_bytes: 16 << 10,
        refusal_queue: 1024,
        refusals_per_seller_and_cause: 500,
        poll: Duration::from_millis(20),
        lease: Duration::from_secs(30),
        metrics: Arc::default(),
    }
}

/// Writes what an engine does not, or what another version did.
pub(crate) async fn write(server: &Server, sql: &str) {
    super::connect::connect(server).await.unwrap().batch_execute(sql).await.unwrap();
}

pub(super) async fn open(
    options: Options,
    clock: &Arc<ManualClock>,
) -> (Arc<PostgresInbox>, Bench) {
    let clock = Arc::clone(clock);
    let inbox = PostgresInbox::open(options, Arc::<ManualClock>::clone(&clock)).await.unwrap();
    (Arc::clone(&inbox), Bench { inbox, clock })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_holds() {
    let Some(cluster) = Postgres::start() else { return };
    let number = AtomicU32::new(0);
    check_all(|| {
        let schema = format!("inbox_{}", number.fetch_add(1, Ordering::Relaxed));
        let options = options(&cluster, &schema);
        let clock = ManualClock::new();
        block_in_place(|| Handle::current().block_on(open(options, &clock))).1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplicate_posted_to_three_receivers_at_once_is_one_event() {
    let Some(cluster) = Postgres::start() else { return };
    let clock = ManualClock::new();
    let mut receivers = Vec::new();
    for _ in 0..3 {
        receivers.push(open(options(&cluster, "shared"), &clock).await.1);
    }
    for round in 0..20 {
        let sample = Sample { stamp: round, message: None, ..SAMPLE };
        let receipts =
            futures_util::future::join_all(receivers.iter().map(|one| one.append(sample)));
        let receipts: Vec<Receipt> = receipts.await.into_iter().map(Result::unwrap).collect();
        let new: Vec<EventId> = receipts
            .iter()
            .filter_map(|receipt| match receipt {
                Receipt::New { id, .. } => Some(*id),
                Receipt::Duplicate { .. } => None,
            })
            .collect();
        assert_eq!(new.len(), 1, "{receipts:?}");
        let repeats = receipts.iter().filter(|one| **one == Receipt::Duplicate { of: new[0] });
        assert_eq!(repeats.count(), 2, "{receipts:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_is_out_at_one_receiver_and_goes_on_at_another() {
    let Some(cluster) = Postgres::start() else { return };
    let clock = ManualClock::new();
    let (one, first) = open(options(&cluster, "lanes"), &clock).await;
    let (_other, second) = open(options(&cluster, "lanes"), &clock).await;
    let mut ids = Vec::new();
    for stamp in 0..3 {
        ids.push(new_id(first.append(Sample { stamp, message: None, ..SAMPLE }).await));
    }
    let claim = first.claim(10).await.remove(0);
    assert_eq!(claim.event().id, ids[0]);
    let nothing = tokio::time::timeout(Duration::from_millis(200), second.claim(10)).await;
    assert!(nothing.is_err(), "the lane is out");
    one.settle(claim, Settlement::Done);
    let claim = second.claim(10).await.remove(0);
    assert_eq!(claim.event().id, ids[1]);
    drop(claim);
    let claim = first.claim(10).await.remove(0);
    assert_eq!((claim.event().id, claim.event().attempt), (ids[1], 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_receiver_had_is_taken_over_and_its_settlement_counts_nothing() {
    let Some(cluster) = Postgres::start() else { return };
    let clock = ManualClock::new();
    let short = Options { lease: Duration::from_millis(1_500), ..options(&cluster, "leases") };
    let (stale, first) = open(short.clone(), &clock).await;
    let id = new_id(first.append(SAMPLE).await);
    let after = new_id(first.append(Sample { state: "Packed", ..SAMPLE }).await);
    let claim = first.claim(1).await.remove(0);
    // As a process that stands still: it renews nothing.
    stale.stand_still();
    let (other, second) = open(short, &clock).await;
    let taken_over = second.claim(1).await.remove(0);
    assert_eq!(taken_over.event().id, id);
    stale.settle(claim, Settlement::Done);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let nothing = tokio::time::timeout(Duration::from_millis(200), second.claim(10)).await;
    assert!(nothing.is_err(), "the stale settlement freed the lane");
    other.settle(taken_over, Settlement::Done);
    assert_eq!(second.claim(1).await[0].event().id, after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_away_loses_nothing_that_was_answered() {
    let Some(mut cluster) = Postgres::start() else { return };
    let clock = ManualClock::new();
    let (inbox, bench) = open(options(&cluster, "away"), &clock).await;
    let before = new_id(bench.append(SAMPLE).await);
    let claim = bench.claim(1).await.remove(0);
    cluster.kill();
    let packed = Sample { state: "Packed", ..SAMPLE };
    assert!(matches!(bench.append(packed).await, Err(Error::Engine(_))));
    assert!(matches!(inbox.trouble(), Some(Error::Engine(_))));
    inbox.settle(claim, Settlement::Done);
    cluster.restart();
    bench.wait_for(|inbox| inbox.trouble().is_none()).await;
    let after = loop {
        if let Ok(Receipt::New { id, .. }) = bench.append(packed).await {
            break id;
        }
    };
    let claim = bench.claim(1).await.remove(0);
    assert_eq!(claim.event().id, after, "what was settled while it was away is not forgotten");
    assert_eq!(bench.append(SAMPLE).await.unwrap(), Receipt::Duplicate { of: before });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_answers_before_it_keeps_is_refused() {
    let Some(cluster) = Postgres::start() else { return };
    let mut options = options(&cluster, "lax");
    options.server.config.options("-c synchronous_commit=off");
    let refused = PostgresInbox::open(options, ManualClock::new()).await;
    let error = refused.expect_err("it must not be opened").to_string();
    assert!(error.contains("synchronous_commit"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_with_a_nul_is_kept() {
    let Some(cluster) = Postgres::start() else { return };
    let (_inbox, bench) = open(options(&cluster, "nul"), &ManualClock::new()).await;
    let hostile = Sample { transaction: Some(r"t\u0000"), state: r"\u0000", ..SAMPLE };
    let id = new_id(bench.append(hostile).await);
    let claim = bench.claim(1).await.remove(0);
    assert_eq!(claim.event().id, id);
    assert_eq!(claim.event().context.transaction_id.as_deref(), Some("t\0"), "the body is whole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_connection_is_to_whom_the_settings_trust() {
    let issuer = || {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (trusted, another) = (issuer(), issuer());
    let key = KeyPair::generate().unwrap();
    let of_server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = of_server.signed_by(&key, &trusted).unwrap();
    let certificate = pem("CERTIFICATE", certificate.der());
    let key = pem("PRIVATE KEY", &key.serialize_der());
    let files = [("ssl_cert_file", certificate.as_str()), ("ssl_key_file", key.as_str())];
    let Some(cluster) = Postgres::start_with(&files) else { return };
    let trusting = |issuer: &CertifiedIssuer<'_, KeyPair>| {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider);
        let tls = tls.with_safe_default_protocol_versions().unwrap();
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        let url = format!("{}?sslmode=require", cluster.url());
        let server = Server::new(url.parse().unwrap(), "encrypted".to_owned(), tls);
        Options { server, ..options(&cluster, "encrypted") }
    };
    let refused = PostgresInbox::open(trusting(&another), ManualClock::new()).await;
    let error = Chain(&refused.expect_err("nobody may listen in")).to_string();
    assert!(error.contains("certificate"), "{error}");
    let (_inbox, bench) = open(trusting(&trusted), &ManualClock::new()).await;
    bench.append(SAMPLE).await.unwrap();
    // The one that listens, too.
    let client = connect::connect(&trusting(&trusted).server).await.unwrap();
    let sql = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
         WHERE backend_type = 'client backend' AND NOT ssl";
    assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 0);
}
