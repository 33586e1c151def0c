//! The table of settings: name, type, default, what is allowed, why it is there.
//!
//! From it come the structs of [`Config`], their defaults, the reading of the file and of the
//! environment. `config.toml` is the table written out: the text above a setting there is its
//! documentation here.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::forms::{
    ACCESS_TOKEN, ACCESS_TOKENS_PATH, ANY_PATH, COUNTRY, DATABASE_URL, HANDLER_NAME, KEY_ID,
    NOT_EMPTY, PREFIX, PRIVATE_KEY, SCHEMA_NAME, URL,
};
use super::handlers::Handler;
use super::list::AtMost;
use super::routes::Route;
use super::secret::Secret;
use super::table::{GIB, HOUR_MS, KIB, MIB, PIB, Setting, row};
use super::value::{Share, Time};
use super::words::{Engine, LogFormat, OtherActions, RegistryApi, SignatureMode};
use crate::words::{HostName, Level, PinnedKey, Profile, SubscriberId};

macro_rules! settings {
    (
        {
            $(
                $(#[doc = $top_doc:literal])+
                $top:ident: $Top:ty = $top_default:expr, $top_name:literal, $top_form:expr;
            )+
        }
        $(
            $(#[doc = $section_doc:literal])+
            $section:ident: $Section:ident {
                $(
                    $(#[doc = $doc:literal])+
                    $field:ident: $Type:ty = $default:expr, $name:literal, $form:expr;
                )+
            }
        )+
    ) => {
        /// Every setting of a receiver; the default is what `config.toml` says.
        ///
        /// A field has its setting's name; where it is a [`Duration`], the unit is left out.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub struct Config {
            $($(#[doc = $top_doc])+ pub $top: $Top,)+
            $($(#[doc = $section_doc])+ pub $section: $Section,)+
            /// Where events can go, beside the handler that is called `print`: each by its name.
            pub handlers: BTreeMap<String, Handler>,
            /// Which handler takes which events: the first route that fits; none fits, and it is
            /// `dispatch.handler`.
            pub routes: Vec<Route>,
        }

        impl Default for Config {
            fn default() -> Self {
                Self {
                    $($top: $top_default,)+
                    $($section: $Section::default(),)+
                    handlers: BTreeMap::new(),
                    routes: Vec::new(),
                }
            }
        }

        $(
            $(#[doc = $section_doc])+
            #[derive(Debug, Clone, PartialEq)]
            #[non_exhaustive]
            pub struct $Section { $($(#[doc = $doc])+ pub $field: $Type,)+ }

            impl Default for $Section {
                fn default() -> Self {
                    Self { $($field: $default,)+ }
                }
            }
        )+

        /// Every setting, in the order of `config.toml`.
        pub(super) const SETTINGS: &[Setting<Config>] = &[
            $(row!($top_name, $Top, $top_form, [$($top_doc)+], config => config.$top),)+
            $($(row!(
                concat!(stringify!($section), ".", $name),
                $Type, $form, [$($doc)+], config => config.$section.$field
            ),)+)+
        ];

        /// Every section, with its documentation.
        #[cfg(test)]
        pub(super) const SECTIONS: &[(&str, &[&str])] =
            &[$((stringify!($section), &[$($section_doc),+])),+];
    };
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

settings! {
    {
        /// The buyer app's own subscriber ids. When there are any, `context.bap_id` must be one of
        /// them: a callback to another buyer app is refused.
        subscriber_ids: Vec<SubscriberId> = Vec::new(), "subscriber_ids", AtMost(1_000);
    }

    /// The listener that sellers post to, and its bounds.
    http: Http {
        /// Where callbacks come in. Off loopback, signatures must be decided on: see
        /// `signature.mode` and `signature.allow_unsigned`.
        listen: SocketAddr = loopback(8080), "listen", ();
        /// The only path prefix that is served, as in "/beckn"; "" serves any: networks append
        /// the action to whatever `bap_uri` says.
        base_path: String = String::new(), "base_path", PREFIX;
        /// What becomes of `on_search`, `on_confirm`, `on_issue` and the others: "keep" or
        /// "refuse". They arrive at the same `bap_uri`; a refused one is lost.
        other_actions: OtherActions = OtherActions::Keep, "other_actions", ();
        /// The longest body; a longer one is answered 413. What is refused is read on to twice as
        /// much and thrown away, so that a proxy that still sends it passes the answer on.
        body_limit_bytes: usize = MIB, "body_limit_bytes", &[(KIB as u64, GIB / 4)];
        /// How many bytes of bodies may be in memory before their ACK; beyond it the answer is 503.
        in_flight_bytes: usize = 64 * MIB, "in_flight_bytes", &[(KIB as u64, 1_024 * GIB)];
        /// How many requests may wait for their answer; beyond it the answer is 503.
        in_flight_requests: usize = 4_096, "in_flight_requests", &[(1, 1_000_000)];
        /// How many connections may be open; further ones wait to be taken.
        connections: usize = 4_096, "connections", &[(1, 1_000_000)];
        /// How long a request's header may take to come; then the connection is closed.
        header_timeout: Duration = Duration::from_secs(10),
            "header_timeout_ms", Time::ms(1, HOUR_MS);
        /// How long a body may take to come and be kept; then the answer is 503.
        request_timeout: Duration = Duration::from_secs(15),
            "request_timeout_ms", Time::ms(1, HOUR_MS);
        /// What `Retry-After` says beside a 503, in seconds.
        retry_after_s: u64 = 1, "retry_after_s", &[(1, 86_400)];
    }

    /// The listener of the people who run it.
    operations: Operations {
        /// Where probes, the API and the console are served, apart from what sellers can reach. Off
        /// loopback, everything but `/livez` and `/readyz` needs a token.
        listen: SocketAddr = loopback(9090), "listen", ();
        /// Who may use it: "name|read,bodies,act|token", the token with 32 characters or more.
        /// `read` sees all but what tells of a person, `bodies` that too, `act` changes things.
        tokens: Vec<Secret> = Vec::new(), "tokens", ACCESS_TOKEN;
        /// A file with more of them, one a line; lines that start with # are notes. With neither,
        /// `operations-tokens` in `inbox.path` is made at the first start, with one token in it.
        tokens_file: PathBuf = PathBuf::new(), "tokens_file", ACCESS_TOKENS_PATH;
        /// The names by which browsers reach it, without a port, as behind a proxy that speaks
        /// TLS. Others are refused; cookies are sent over TLS only; a token is always needed.
        hosts: Vec<HostName> = Vec::new(), "hosts", AtMost(100);
        /// How many requests a second each token may make; beyond it the answer is 429.
        requests_per_s: u32 = 200, "requests_per_s", &[(1, 1_000_000)];
        /// How many may listen to `/v1/stream`, or wait in `/v1/feed`, at a time; beyond it the
        /// answer is 503.
        streams: usize = 32, "streams", &[(1, 1_000)];
        /// How many sellers have metrics of their own; the others are counted as `other`. Sellers
        /// whose signature is verified have at least half of the room.
        seller_metrics: usize = 200, "seller_metrics", &[(0, 10_000)];
        /// How many may wait for a callback at a time (`/v1/wait`); beyond it the answer is 503.
        waiters: usize = 1_000, "waiters", &[(1, 100_000)];
    }

    /// What sellers are answered.
    answer: Answer {
        /// The HTTP status of a NACK, 200 or 400 to 499: for Beckn, a NACK is an answer like an
        /// ACK, told apart by its body.
        nack_status: u16 = 200, "nack_status", &[(200, 200), (400, 499)];
        /// Answers ACK also to a callback that is refused for its content, and keeps it as
        /// rejected, not handed to the handler: for those who read "always ACK" literally.
        always_ack: bool = false, "always_ack", ();
        /// Hands what `always_ack` kept as rejected to the handler too, with its violations.
        deliver_rejected: bool = false, "deliver_rejected", ();
    }

    /// How strict a callback is checked.
    rules: Rules {
        /// The level of every rule: "lenient", "standard" or "strict". Standard refuses only what
        /// cannot be processed safely, since a refused callback may not come again.
        profile: Profile = Profile::Standard, "profile", ();
        /// How long the buyer's own rules may take, all together; then the callback passes with a
        /// flag, because the seller waits for the answer.
        deadline: Duration = Duration::from_millis(200), "deadline_ms", Time::ms(1, 60_000);
        /// The level of single rules, over the profile's: "enforce", "warn" or "off".
        /// As in: `"json.trailing_comma" = "enforce"`
        levels: BTreeMap<String, Level> = BTreeMap::new(), "levels", ();
    }

    /// Who may post: signatures as BECKN-006 writes them.
    signature: Signature {
        /// "required" refuses what is not signed; "optional" verifies what is signed and marks the
        /// rest as unverified; "off" looks at no signature.
        mode: SignatureMode = SignatureMode::Optional, "mode", ();
        /// Says that callbacks may come unsigned from where others can reach the listener too:
        /// anyone who does can then post one.
        allow_unsigned: bool = false, "allow_unsigned", ();
        /// How far a seller's clock may be from ours, in seconds, at both ends of a signature.
        skew_s: u32 = 30, "skew_s", &[(0, 3_600)];
        /// How old a signature may be whatever its `expires` says, in hours after `created`.
        max_age_hours: u32 = 24, "max_age_hours", &[(1, 8_760)];
        /// Keys that you vouch for: "subscriber id|unique key id|public key in base64". A
        /// subscriber with a key here is not looked up.
        pinned_keys: Vec<PinnedKey> = Vec::new(), "pinned_keys", AtMost(10_000);
        /// A file with more of them, one a line; lines that start with # are notes.
        pinned_keys_file: PathBuf = PathBuf::new(), "pinned_keys_file", ANY_PATH;
    }

    /// Where sellers' public keys are looked up.
    registry: Registry {
        /// The whole URL of the look-up, with its path: networks differ in it. "" asks nobody.
        url: String = String::new(), "url", URL;
        /// What it speaks: `ondc_v2` (/v2.0/lookup, our request is signed), `ondc` or `beckn`
        /// (/lookup).
        api: RegistryApi = RegistryApi::Beckn, "api", ();
        /// The country that a look-up names; "" leaves it out.
        country: String = "IND".to_owned(), "country", COUNTRY;
        /// Our own key at the registry, `subscriber id|unique key id`; `ondc_v2` asks for it.
        key_id: String = String::new(), "key_id", KEY_ID;
        /// Its private key, Ed25519 in base64: the 32 bytes of the seed, or the 64 of seed and
        /// public key. Better kept in a file, or in the environment.
        private_key: Secret = Secret::default(), "private_key", PRIVATE_KEY;
        /// A file that holds it instead.
        private_key_file: PathBuf = PathBuf::new(), "private_key_file", ANY_PATH;
        /// How long a look-up may take; the seller waits for it at its first callback.
        timeout: Duration = Duration::from_secs(3), "timeout_ms", Time::ms(1, 60_000);
        /// The longest answer that is read.
        response_limit_bytes: usize = MIB, "response_limit_bytes", &[(KIB as u64, GIB)];
        /// How long a key is used before it is looked up again: a revoked one stops within it.
        cache: Duration = Duration::from_mins(10), "cache_s", Time::seconds(1, 86_400);
        /// How long a key is used after its look-up while the registry does not answer.
        stale: Duration = Duration::from_hours(6), "stale_s", Time::seconds(1, 2_592_000);
        /// How long a subscriber that the registry does not know is not asked for again.
        unknown: Duration = Duration::from_secs(30), "unknown_s", Time::seconds(1, 3_600);
        /// How many subscribers' keys are kept in memory.
        cached_subscribers: usize = 10_000, "cached_subscribers", &[(1, 1_000_000)];
        /// How many look-ups any minute may see; subscribers that are not in memory may use half,
        /// so that invented ones cannot use up what known ones need. Beyond it the answer is 503.
        lookups_per_minute: u32 = 120, "lookups_per_minute", &[(4, 100_000)];
    }

    /// The durable log of accepted callbacks.
    inbox: Inbox {
        /// Where it is: "sqlite", a file of this machine, or "postgres", a database that several
        /// receivers share; see `postgres`.
        engine: Engine = Engine::Sqlite, "engine", ();
        /// The directory of the log. One running receiver at a time has it.
        path: PathBuf = PathBuf::from("./data"), "path", NOT_EMPTY;
        /// How many callbacks one commit takes: they share its wait for the disk.
        batch_limit: usize = 512, "batch_limit", &[(1, 4_096)];
        /// How many callbacks may wait for their commit; beyond it the answer is 503.
        queue_limit: usize = 8_192, "queue_limit", &[(1, 1_048_576)];
        /// How long a callback is remembered in order to recognise a duplicate of it.
        duplicate_window_days: u32 = 7, "duplicate_window_days", &[(1, 3_650)];
        /// How many callbacks are remembered, at most: each takes memory.
        duplicate_window_events: usize = 1_000_000, "duplicate_window_events", &[(1, 100_000_000)];
        /// How many of the newest events are in memory for the handler; older ones are read back.
        tail_events: usize = 4_096, "tail_events", &[(1, 1_000_000)];
        /// How much memory they may take, estimated as three times their bodies.
        tail_bytes: usize = 32 * MIB, "tail_bytes", &[(1, 1_024 * GIB)];
        /// How many events may wait to be settled; beyond it the answer is 503.
        unsettled_limit: usize = 1_000_000, "unsettled_limit", &[(1, 1_000_000_000)];
        /// How much of the disk stays free; below it the answer is 503.
        min_free_bytes: u64 = 268_435_456, "min_free_bytes", &[(0, PIB)];
        /// How long settled events are kept. Unsettled ones never leave.
        retention_days: u32 = 30, "retention_days", &[(1, 3_650)];
        /// How large the log may grow before the oldest settled events leave earlier.
        retention_bytes: u64 = 10 * GIB, "retention_bytes", &[(MIB as u64, PIB)];
        /// How long dead letters are kept, for someone to look at and replay.
        dead_letter_days: u32 = 90, "dead_letter_days", &[(1, 3_650)];
        /// How many callbacks may be expected at a time; beyond it another is not registered.
        expectations_limit: usize = 100_000, "expectations_limit", &[(1, 10_000_000)];
        /// How many refused callbacks are kept with their reason; 0 keeps none.
        refusals_kept: usize = 10_000, "refusals_kept", &[(0, 10_000_000)];
        /// How much of a refused body is kept.
        refusal_body_bytes: usize = 16 * KIB, "refusal_body_bytes", &[(0, 16 * MIB as u64)];
        /// How many refusals may wait to be kept; beyond it they are only counted, so that they
        /// never delay an answer.
        refusal_queue: usize = 1_024, "refusal_queue", &[(1, 1_000_000)];
        /// How many refusals of one seller and one cause are kept, so that one seller cannot push
        /// out the others.
        refusals_per_seller: usize = 500, "refusals_per_seller", &[(0, 10_000_000)];
    }

    /// The database of `inbox.engine = "postgres"`. The bounds of `inbox` hold for all receivers
    /// together; its tail, its window's limit of events and its free disk are SQLite's alone.
    postgres: Postgres {
        /// Where it is and who we are, as `postgres://user:password@host/database?sslmode=require`.
        /// Better kept in a file, or in the environment.
        url: Secret = Secret::default(), "url", DATABASE_URL;
        /// A file that holds it instead.
        url_file: PathBuf = PathBuf::new(), "url_file", ANY_PATH;
        /// The certificates that a connection is trusted by, in PEM; "" trusts those of the system.
        ca_file: PathBuf = PathBuf::new(), "ca_file", ANY_PATH;
        /// The schema that the tables are in; it is made when there is none.
        schema: String = "beckn_receiver".to_owned(), "schema", SCHEMA_NAME;
        /// How long a transaction is one receiver's without a sign of life of it: as late as that,
        /// another takes over what one that ended had with its handler.
        lease: Duration = Duration::from_secs(15), "lease_ms", Time::ms(1_000, HOUR_MS);
    }

    /// Handing events to the buyer's code.
    dispatch: Dispatch {
        /// The handler of the events that no route names: `print`, or one of `[handlers]`.
        handler: String = "print".to_owned(), "handler", HANDLER_NAME;
        /// How many events are with a handler at a time, each of another lane.
        concurrency: usize = 16, "concurrency", &[(1, 10_000)];
        /// How long one attempt may take; then it counts as failed.
        attempt_timeout: Duration = Duration::from_secs(30),
            "attempt_timeout_ms", Time::ms(1, 24 * HOUR_MS);
        /// How long the first retry waits; each further one waits twice as long, ±20 %.
        retry_initial: Duration = Duration::from_secs(1), "retry_initial_ms", Time::ms(1, HOUR_MS);
        /// How long a retry waits at most.
        retry_cap: Duration = Duration::from_mins(15), "retry_cap_ms", Time::ms(1, 24 * HOUR_MS);
        /// After how many attempts an event becomes a dead letter.
        retry_attempts: u32 = 20, "retry_attempts", &[(1, 1_000)];
        /// After how long an event becomes a dead letter, whichever comes first.
        retry_window: Duration = Duration::from_hours(24), "retry_hours", Time::hours(1, 8_760);
        /// How often pending events are looked for that no wake-up announced.
        poll: Duration = Duration::from_secs(1), "poll_ms", Time::ms(1, HOUR_MS);
        /// How long shutdown waits for handlers; what is not done then is delivered again later.
        drain_timeout: Duration = Duration::from_secs(20), "drain_timeout_ms", Time::ms(0, HOUR_MS);
    }

    /// What the process says of itself. Never a body, a name, an address or a signature.
    log: Log {
        /// "text" for people, "json" for a log store.
        format: LogFormat = LogFormat::Text, "format", ();
        /// What is logged, as a filter of tracing: `warn`, or `info,beckn_receiver=debug`.
        level: String = "info".to_owned(), "level", NOT_EMPTY;
    }

    /// Which trace a transaction is. Each is one by its id; `traceparent` tells it to whoever takes
    /// its events.
    trace: Trace {
        /// Where spans are sent, by OTLP over HTTP, such as `http://127.0.0.1:4318/v1/traces`; ""
        /// sends none. Needs a program that was built with the feature `otlp`.
        endpoint: String = String::new(), "endpoint", URL;
        /// Which share of the transactions is sampled, each as a whole: it is exported, and
        /// `traceparent` says so.
        sample_ratio: f64 = 0.1, "sample_ratio", Share;
        /// The certificates, in PEM, that the collector is verified with; "" trusts the system's.
        ca_file: PathBuf = PathBuf::new(), "ca_file", ANY_PATH;
        /// How long the collector may take for one request.
        timeout: Duration = Duration::from_secs(10), "timeout_ms", Time::ms(1, HOUR_MS);
        /// How many spans may wait to be sent; further ones are dropped.
        queue_limit: usize = 2_048, "queue_limit", &[(1, 1_000_000)];
    }

    /// The process.
    server: Server {
        /// How many threads serve requests; 0 means one for each core.
        worker_threads: usize = 0, "worker_threads", &[(0, 1_024)];
    }
}
