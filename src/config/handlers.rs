//! The handlers that settings name: `[handlers.NAME]`, a table of settings for each kind.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use toml::Spanned;
use toml::de::DeValue;

use super::forms::{ANY_PATH, NOT_EMPTY, is_url};
use super::list::{AtMost, Item};
use super::secret::Secret;
use super::table::{HOUR_MS, MIB, Setting, row, unfit};
use super::value::{Form, Time, Unfit, Value};
use super::words::Content;
use crate::words::Template;

/// A handler that the settings name.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Handler {
    /// How many events are with it at a time, each of another lane; 0 is `dispatch.concurrency`.
    pub concurrency: usize,
    /// How many attempts begin in a second, at most; 0 sets no limit.
    pub rate_per_s: u32,
    /// What it does with an event.
    pub kind: HandlerKind,
}

impl Handler {
    /// Makes a handler of this kind, with the defaults of the others.
    pub fn new(kind: HandlerKind) -> Self {
        Self { concurrency: 0, rate_per_s: 0, kind }
    }

    /// Returns the settings that a handler of this kind has, beside `kind`.
    pub(super) fn settings(&self) -> impl Iterator<Item = &'static Setting<Handler>> + use<> {
        let of_kind: &[Setting<Handler>] = match &self.kind {
            HandlerKind::Print => &[],
            HandlerKind::Forward(_) => FORWARD,
            HandlerKind::JetStream(_) => JETSTREAM,
            HandlerKind::RabbitMq(_) => RABBITMQ,
        };
        EVERY.iter().chain(of_kind)
    }
}

/// What a handler does with an event.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum HandlerKind {
    /// Prints one line to standard output.
    Print,
    /// Posts it to a URL.
    Forward(Forward),
    /// Publishes it to a stream of NATS `JetStream`; needs the feature `jetstream`.
    JetStream(JetStream),
    /// Publishes it to an exchange of `RabbitMQ`; needs the feature `rabbitmq`.
    RabbitMq(RabbitMq),
}

impl HandlerKind {
    /// The words of `kind`, in the order in which they are offered.
    pub(super) const WORDS: [&str; 4] = ["print", "forward", "jetstream", "rabbitmq"];

    /// Returns the kind of this word, with its defaults.
    pub(super) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "print" => HandlerKind::Print,
            "forward" => HandlerKind::Forward(Forward::default()),
            "jetstream" => HandlerKind::JetStream(JetStream::default()),
            "rabbitmq" => HandlerKind::RabbitMq(RabbitMq::default()),
            _ => return None,
        })
    }

    /// Returns the word of the settings file.
    pub const fn as_str(&self) -> &'static str {
        match self {
            HandlerKind::Print => "print",
            HandlerKind::Forward(_) => "forward",
            HandlerKind::JetStream(_) => "jetstream",
            HandlerKind::RabbitMq(_) => "rabbitmq",
        }
    }
}

/// The settings of every handler.
pub(super) const EVERY: &[Setting<Handler>] = &[
    row!("concurrency", usize, &[(0, 10_000)], [
        " How many events are with it at a time, each of another lane; 0 is dispatch.concurrency."
    ], handler => handler.concurrency),
    row!("rate_per_s", u32, &[(0, 1_000_000)], [
        " How many attempts begin in a second, at most; 0 sets no limit."
    ], handler => handler.rate_per_s),
];

macro_rules! kinds {
    ($(
        $(#[doc = $kind_doc:literal])+
        $Kind:ident $ROWS:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $Type:ty = $default:expr, $name:literal, $form:expr;
            )+
        }
    )+) => { $(
        $(#[doc = $kind_doc])+
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub struct $Kind { $($(#[doc = $doc])+ pub $field: $Type,)+ }

        impl Default for $Kind {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        /// A row is only used with a handler of its kind.
        pub(super) const $ROWS: &[Setting<Handler>] = &[$(Setting {
            name: $name,
            is_text: <$Type as Value>::IS_TEXT,
            set: |handler, value| {
                let read = <$Type as Value>::read(value, $form)?;
                if let HandlerKind::$Kind(kind) = &mut handler.kind {
                    kind.$field = read;
                }
                Ok(())
            },
            unfit: |handler| match &handler.kind {
                HandlerKind::$Kind(kind) => unfit(&kind.$field, $form),
                _ => None,
            },
            shown: |handler| match &handler.kind {
                HandlerKind::$Kind(kind) => <$Type as Value>::shown(&kind.$field, $form),
                _ => String::new(),
            },
            #[cfg(test)]
            doc: &[$($doc),+],
        },)+];
    )+ };
}

kinds! {
    /// Posts each event to a URL, signed with the headers of Standard Webhooks.
    Forward FORWARD {
        /// Where to. Redirects are not followed; link-local and metadata addresses are refused.
        url: TargetUrl = TargetUrl::default(), "url", TARGET;
        /// What: "envelope" is what is known of the event, with the callback inside; "callback" is
        /// the callback as it came.
        content: Content = Content::Envelope, "content", ();
        /// What signs it, the newest first: each makes one signature, so that a receiver may know
        /// the old one or the new one.
        secrets: Vec<Secret> = Vec::new(), "secrets", WEBHOOK_SECRET;
        /// A file with them instead, one a line. It is read again when it has changed.
        secrets_file: PathBuf = PathBuf::new(), "secrets_file", ANY_PATH;
        /// Says that events may go unsigned to another machine: anyone who reaches the URL could
        /// then post made-up ones.
        allow_unsigned: bool = false, "allow_unsigned", ();
        /// The certificates, in PEM, that an https target is verified with; "" trusts the system's.
        ca_file: PathBuf = PathBuf::new(), "ca_file", ANY_PATH;
        /// How long a connection may take; the whole attempt has
        /// `dispatch.attempt_timeout_ms`.
        connect_timeout: Duration = Duration::from_secs(3), "connect_timeout_ms", Time::ms(1, HOUR_MS);
        /// How much of an answer is read, and thrown away, so that its connection serves again.
        response_limit_bytes: usize = 65_536, "response_limit_bytes", &[(0, 16 * MIB as u64)];
    }

    /// Publishes each event to a stream of NATS `JetStream`.
    JetStream JETSTREAM {
        /// The servers of one cluster, as `nats://host:4222` or `tls://host:4222`.
        servers: Vec<Server> = Vec::new(), "servers", AtMost(16);
        /// The subject. A place in braces is filled from the event, escaped to one token.
        subject: Template = template("beckn.{action}.{bpp_id}"), "subject", ();
        /// The stream that has to take it.
        stream: String = "BECKN".to_owned(), "stream", NOT_EMPTY;
        /// Makes the stream when there is none.
        create_stream: bool = false, "create_stream", ();
        /// What: "envelope" or "callback", as for `forward`.
        content: Content = Content::Envelope, "content", ();
        /// Who we are to the servers, by name and password; "" is nobody.
        user: String = String::new(), "user", ANY_TEXT;
        /// The password.
        password: Secret = Secret::default(), "password", ANY_TEXT;
        /// A file that holds it instead.
        password_file: PathBuf = PathBuf::new(), "password_file", ANY_PATH;
        /// Who we are by a token.
        token: Secret = Secret::default(), "token", ANY_TEXT;
        /// Who we are by a file of credentials, as `nsc` makes it.
        credentials_file: PathBuf = PathBuf::new(), "credentials_file", ANY_PATH;
        /// The certificates, in PEM, that servers are verified with; "" trusts the system's.
        ca_file: PathBuf = PathBuf::new(), "ca_file", ANY_PATH;
        /// How long the stream's answer may take; then the event is tried again.
        ack_timeout: Duration = Duration::from_secs(5), "ack_timeout_ms", Time::ms(1, HOUR_MS);
    }

    /// Publishes each event to an exchange of `RabbitMQ`.
    RabbitMq RABBITMQ {
        /// The broker, as `amqp://host:5672/vhost` or `amqps://host:5671/vhost`.
        url: String = String::new(), "url", BROKER;
        /// Who we are to the broker; "" is `guest`.
        user: String = String::new(), "user", ANY_TEXT;
        /// The password.
        password: Secret = Secret::default(), "password", ANY_TEXT;
        /// A file that holds it instead.
        password_file: PathBuf = PathBuf::new(), "password_file", ANY_PATH;
        /// The exchange.
        exchange: String = "beckn".to_owned(), "exchange", EXCHANGE;
        /// The routing key. A place in braces is filled from the event, escaped to one word.
        routing_key: Template = template("{action}.{bpp_id}"), "routing_key", ();
        /// Declares the exchange, durable and of type topic; else it has to be there.
        declare: bool = false, "declare", ();
        /// What: "envelope" or "callback", as for `forward`.
        content: Content = Content::Envelope, "content", ();
        /// The certificates, in PEM, that the broker is verified with; "" trusts the system's.
        ca_file: PathBuf = PathBuf::new(), "ca_file", ANY_PATH;
        /// How long the broker's confirm may take; then the event is tried again.
        confirm_timeout: Duration = Duration::from_secs(5), "confirm_timeout_ms", Time::ms(1, HOUR_MS);
    }
}

const TARGET: Form = Form {
    expected: "a whole URL without a user, such as \"http://app:3000/beckn\"",
    fits: is_url,
};
const BROKER: Form = Form {
    expected: "a URL without a user, such as \"amqp://rabbitmq:5672/%2f\"",
    fits: |text| text.is_empty() || is_server(text, &["amqp", "amqps"]),
};
/// Empty is the default exchange, which takes the routing key for a queue's name.
const EXCHANGE: Form = Form {
    expected: "the name of an exchange, at most 127 bytes, not starting with \"amq.\"",
    fits: |text| !text.is_empty() && text.len() <= 127 && !text.starts_with("amq."),
};
const ANY_TEXT: Form = Form { expected: "a text", fits: |text| text.len() <= 4_096 };
const WEBHOOK_SECRET: Form = Form {
    expected: "\"whsec_\" and 24 to 64 bytes in base64, as `beckn-receiver keygen --webhook` \
        prints it",
    fits: |text| {
        let bytes = text.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
        bytes.is_some_and(|bytes| (24..=64).contains(&bytes.len()))
    },
};

/// Where `forward` posts to, or nowhere. Its path and query may hold a token: `Debug` shows neither.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TargetUrl(Secret);

impl TargetUrl {
    /// Takes a URL; whether it is one is checked with the other settings.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Secret::new(text))
    }

    /// Returns the whole URL.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uri = self.expose().parse::<axum::http::Uri>().ok();
        let host = uri.as_ref().and_then(axum::http::Uri::host).unwrap_or("none");
        write!(f, "TargetUrl({host})")
    }
}

impl Value for TargetUrl {
    type Form = Form;

    const IS_TEXT: bool = true;

    fn read(value: &Spanned<DeValue<'_>>, form: Form) -> Result<Self, Vec<Unfit>> {
        Secret::read(value, form).map(Self)
    }

    fn fits(&self, form: Form) -> bool {
        self.0.fits(form)
    }

    fn expected(form: Form) -> String {
        <Secret as Value>::expected(form)
    }

    fn shown(&self, form: Form) -> String {
        self.0.shown(form)
    }
}

fn template(text: &str) -> Template {
    Template::parse(text).expect("the defaults are templates, see the test")
}

/// Returns whether a text is a URL of one of these schemes, with a host and without a user.
fn is_server(text: &str, schemes: &[&str]) -> bool {
    let has_host = |uri: axum::http::Uri| {
        uri.host().is_some_and(|host| !host.is_empty())
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && uri.scheme_str().is_some_and(|scheme| schemes.contains(&scheme))
    };
    text.parse().is_ok_and(has_host)
}

/// A NATS server's URL, without a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server(String);

impl Server {
    /// Reads a URL; `None` when it is no NATS server's, or names a user.
    pub fn parse(text: &str) -> Option<Self> {
        is_server(text, &["nats", "tls"]).then(|| Self(text.to_owned()))
    }

    /// Returns the URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Item for Server {
    const EXPECTED: &'static str = "only URLs such as \"nats://host:4222\" or \"tls://host:4222\", \
        without a user";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }

    fn shown(&self) -> String {
        self.0.clone()
    }
}
