//! A request, from its head and body to the inbox and the answer.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, Uri, header};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http_body_util::BodyExt as _;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::runtime::{Builder, Runtime};

use super::Input;
use super::memory::{Memory, Still};
use crate::beckn::answer;
use crate::event::OrderEvent;
use crate::http::callbacks::{self, Desk};
use crate::http::service;
use crate::inbox::{Inbox, Refusal};
use crate::intake::trust::{Demand, Trust};
use crate::intake::{Intake, Rejected};
use crate::registry::{self, Keys};
use crate::rules::Rules;
use crate::signature::{self, Authorization, PrivateKey, PublicKey, Window};
use crate::trace::Sampling;
use crate::words::{KeyId, PinnedKey, Profile, SubscriberId};

/// The seller whose key is pinned.
const SELLER: &str = "seller.example";
const UNIQUE_KEY: &str = "key-1";
/// When everything happens: when the samples of `examples/payloads` were sent.
const NOW: i64 = 1_773_479_555;
const WINDOW: Window = Window { skew: 30, max_age: 86_400 };
const BODY_LIMIT: usize = 64 * 1024;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime without I/O needs nothing that a fuzzer would lack")
});

/// How a receiver is set, and what the seller does besides what the bytes say.
struct Plan {
    demand: Demand,
    rejected: Rejected,
    profile: Profile,
    /// The seller signs in earnest, instead of sending the header of the input.
    signs: bool,
    /// The header is sent twice.
    twice: bool,
}

impl Plan {
    /// Reads the switches: 2 bits for the demand, 1 for the signing, 2 for what becomes of the
    /// refused, 2 for the profile, 1 for the second header.
    fn of(switches: u8) -> Self {
        let demand = match switches & 3 {
            1 => Demand::Optional,
            2 => Demand::Off,
            _ => Demand::Required,
        };
        let rejected = match switches >> 3 & 3 {
            1 => Rejected::Keep,
            2 => Rejected::Deliver,
            _ => Rejected::Nack,
        };
        let profile = match switches >> 5 & 3 {
            1 => Profile::Lenient,
            2 => Profile::Strict,
            _ => Profile::Standard,
        };
        Self { demand, rejected, profile, signs: switches & 4 != 0, twice: switches & 128 != 0 }
    }
}

/// Posts a request to the router and looks at what is appended and answered.
///
/// The input: a byte of switches, the path and the header, both up to a line feed, and the body.
///
/// # Panics
/// Something does not hold.
pub fn intake(data: &[u8]) {
    let mut input = Input(data);
    let [switches] = input.bytes();
    let plan = Plan::of(switches);
    let (path, header, body) = (input.line(), input.line(), input.rest());
    let Ok(path) = Uri::try_from(path) else { return };
    let now = DateTime::from_timestamp_secs(NOW).expect("the time is one");
    let seller = PrivateKey::from_seed(&[7; 32]);
    let signed = plan.signs.then(|| {
        let id = KeyId::new(SELLER, Some(UNIQUE_KEY.to_owned()));
        seller.authorization(&id, body, NOW, NOW + 30)
    });
    let header = signed.as_deref().map_or(header, str::as_bytes);
    let Ok(value) = HeaderValue::from_bytes(header) else { return };

    let mut request = Request::post(path);
    if !header.is_empty() {
        for _ in 0..=u8::from(plan.twice) {
            request = request.header(header::AUTHORIZATION, value.clone());
        }
    }
    let request = request.body(Body::from(Bytes::copy_from_slice(body)));
    let request = request.expect("its parts were read one by one");
    let inbox = Arc::new(Memory::default());
    let service = service::of(Arc::new(desk(&plan, &seller, Arc::clone(&inbox), now)));
    let (status, challenge, answer) = RUNTIME.block_on(async {
        let response = TowerToHyperService::new(service).call(request).await;
        let (parts, answer) = response.expect("it always answers").into_parts();
        let answer = answer.collect().await.expect("an answer is in memory").to_bytes();
        (parts.status, parts.headers.contains_key(header::WWW_AUTHENTICATE), answer)
    });

    let is_signed = !plan.twice && is_signed(header, body, &seller.public(), now);
    let appended: Vec<Box<OrderEvent>> =
        inbox.take_appended().into_iter().map(|(_record, event)| event).collect();
    if status == StatusCode::OK && answer == answer::ACK.as_bytes() {
        let [event] = &appended[..] else { panic!("an ACK for {} events", appended.len()) };
        is_what_was_sent(event, body, &plan, is_signed, !header.is_empty());
        return;
    }
    assert!(appended.is_empty(), "{status} for what is appended");
    assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "a bug of ours");
    assert_eq!(status == StatusCode::UNAUTHORIZED, challenge, "a 401 says what it asks for");
    let answer: serde_json::Value = serde_json::from_slice(&answer).expect("an answer is JSON");
    assert_eq!(answer["message"]["ack"]["status"], "NACK", "{status}");
    is_kept(&inbox.take_refused(), body, is_signed);
}

fn desk(plan: &Plan, seller: &PrivateKey, inbox: Arc<Memory>, now: DateTime<Utc>) -> Desk {
    let public = seller.public().to_string();
    let pinned = PinnedKey::parse(&format!("{SELLER}|{UNIQUE_KEY}|{public}"));
    let pinned = vec![pinned.expect("a public key is written as it is read")];
    let keys = Keys::open(registry::Options { pinned, registry: None });
    let keys = keys.expect("the pinned key is one");
    let buyer = [SubscriberId::new("buyer.example")];
    let rules = Rules::new(plan.profile, &BTreeMap::new(), &buyer);
    let intake = Intake {
        inbox: inbox as Arc<dyn Inbox>,
        trust: Trust::new(plan.demand, WINDOW, keys),
        rules: rules.expect("no level names a rule"),
        buyer_rules: Vec::new(),
        deadline: Duration::from_secs(1),
        rejected: plan.rejected,
        metrics: Arc::default(),
    };
    let options = callbacks::Options {
        base_path: String::new(),
        refuse_other_actions: false,
        body_limit: BODY_LIMIT,
        in_flight_bytes: 2 * BODY_LIMIT,
        in_flight_requests: 1,
        request_timeout: Duration::from_mins(1),
        nack_status: StatusCode::OK,
        retry_after: 1,
        challenge: HeaderValue::from_static("Signature"),
        sampling: Sampling::share(0.0),
    };
    Desk::new(intake, Arc::new(Still(now)), options)
}

/// Returns whether this is the seller's signature over these bytes, at this time.
fn is_signed(header: &[u8], body: &[u8], key: &PublicKey, now: DateTime<Utc>) -> bool {
    let Ok(header) = std::str::from_utf8(header) else { return false };
    Authorization::parse(header).is_ok_and(|authorization| {
        let id = authorization.key_id();
        SubscriberId::new(id.subscriber()) == SubscriberId::new(SELLER)
            && id.unique_key() == Some(UNIQUE_KEY)
            && authorization.times().check(now, WINDOW).is_ok()
            && signature::verify(&authorization, key, body)
    })
}

fn is_what_was_sent(
    event: &OrderEvent,
    body: &[u8],
    plan: &Plan,
    is_signed: bool,
    has_header: bool,
) {
    assert_eq!(event.body, body, "the body is kept as it was sent");
    assert!(body.len() <= BODY_LIMIT, "a body over the limit is accepted");
    let may_be_unsigned = match plan.demand {
        Demand::Required => false,
        Demand::Optional => !has_header,
        Demand::Off => true,
    };
    assert!(is_signed || may_be_unsigned, "a callback that is not signed is accepted");
    let sender = event.sender.as_ref().map(|sender| sender.subscriber().as_str());
    // The operator's spelling of a pinned seller need not be the seller's.
    let expected = (is_signed && plan.demand != Demand::Off).then(|| SubscriberId::new(SELLER));
    assert_eq!(sender.map(SubscriberId::new), expected, "the sender is who signed");
    let bpp_id = event.context.bpp_id.as_deref().filter(|id| !id.trim().is_empty());
    if let (Some(sender), Some(bpp_id)) = (sender, bpp_id) {
        assert_eq!(SubscriberId::written(bpp_id).as_str(), sender, "it speaks for another seller");
    }
}

fn is_kept(refused: &[Refusal], body: &[u8], is_signed: bool) {
    assert!(refused.len() <= 1, "{} refusals of one request", refused.len());
    for refusal in refused {
        assert!(refusal.body.is_empty() || refusal.body == body, "another body is kept");
        assert!(is_signed || !refusal.verified, "a refusal is marked as verified");
    }
}
