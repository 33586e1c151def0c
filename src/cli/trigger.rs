//! `trigger`: posts callbacks as a seller app would, whole ones or broken on purpose.

use std::collections::HashMap;
use std::process::ExitCode;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use indicatif::ProgressBar;
use uuid::Uuid;

use super::changes::Changes;
use super::posting::{self, Pace};
use super::seller::{Exchange, Seller, SellerArguments};
use super::{Failure, mistake};
use crate::beckn::action::Action;
use crate::mock::{Breakage, Connection, Dialect, MockBpp, Report, Request};
use crate::words::Outside;

/// Above so many callbacks several are in flight, unless a rate was asked for.
const ONE_AFTER_ANOTHER: usize = 20;

/// How many are in flight then.
const SOME_IN_FLIGHT: usize = 8;

/// How many may be in flight at a rate.
const MOST_IN_FLIGHT: usize = 64;

/// The most posts of one run: their order and their latencies are kept.
const MOST_POSTS: usize = 1_000_000;

/// The most callbacks that are sent several times in a mixed order: they are kept until the last.
const MOST_KEPT: usize = 10_000;

/// How much older than its ttl (30 s) a stale callback is.
const STALE: TimeDelta = TimeDelta::seconds(3_600 + 30);

/// Over how long before now the callbacks of a mixed order happened.
const MIXED_MILLISECONDS: i64 = 10_000;

/// What the dialects are called here.
const DIALECTS: [(&str, Dialect); 2] =
    [("ondc-1.2.5", Dialect::Ondc125), ("ondc-2.0", Dialect::Ondc20)];

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    beckn-receiver trigger on_status --state Packed\n  \
    beckn-receiver trigger on_status --duplicate 3           a seller that retries\n  \
    beckn-receiver trigger on_status --break body_minified   a seller that signs other bytes\n  \
    beckn-receiver trigger on_status --set /message/order/quote/ttl=soon --remove /context/city\n  \
    beckn-receiver trigger on_update --count 1000 --rate 200\n  \
    beckn-receiver trigger on_track --to http://127.0.0.1:8080 --unsigned")]
pub(super) struct Arguments {
    /// Which callback: `on_status`, `on_update` or `on_track`
    #[arg(value_name = "ACTION", value_parser = followed)]
    action: Action,

    /// Which protocol version the seller speaks
    #[arg(long, value_name = "DIALECT", default_value = "ondc-1.2.5",
        value_parser = PossibleValuesParser::new(DIALECTS.map(|(name, _)| name)).map(|name| dialect(&name)))]
    dialect: Dialect,

    /// The state of the fulfilment: Pending, Packed, Agent-assigned, Order-picked-up,
    /// Out-for-delivery, Order-delivered or Cancelled; the order's state follows from it
    /// [default: Pending, and with --count each in turn]
    #[arg(long, value_name = "STATE")]
    state: Option<String>,

    /// The transaction, and with it the order [default: a new one]
    #[arg(long, value_name = "ID")]
    transaction: Option<String>,

    /// Send so many callbacks of the one transaction: they step through the order's life (its
    /// states, or its positions) and stay at its end, each under a message id of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,

    /// Begin N posts a second, with at most 64 in flight [default: one after another; for
    /// more than 20 posts, 8 in flight, which may overtake each other]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: Option<u32>,

    /// Send each request N times in all, to the byte the same
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    duplicate: u32,

    /// Mix the order of the posts
    #[arg(long)]
    shuffle: bool,

    /// Mix it as the run did that printed this number
    #[arg(long, value_name = "N", requires = "shuffle")]
    seed: Option<u64>,

    /// Date the callbacks an hour beyond their ttl; signatures are made now
    #[arg(long)]
    stale: bool,

    /// Break the request by this mistake of a sender
    #[arg(long = "break", value_name = "CAUSE", conflicts_with = "unsigned",
        value_parser = PossibleValuesParser::new(Breakage::all().map(Breakage::name))
            .map(|name| Breakage::parse(&name).expect("it is one of the possible values")))]
    breakage: Option<Breakage>,

    /// Print one JSON object: the request and its answer, or the summary of many
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    changes: Changes,

    #[command(flatten)]
    seller: SellerArguments,
}

fn followed(text: &str) -> Result<Action, String> {
    Action::from_name(text.trim_start_matches('/'))
        .filter(|action| action.follows_an_order())
        .ok_or_else(|| "expected on_status, on_update or on_track".to_owned())
}

fn dialect(name: &str) -> Dialect {
    let named = DIALECTS.into_iter().find(|(known, _)| *known == name);
    named.expect("it is one of the possible values").1
}

/// Makes the requests, each when its turn comes.
struct Requests<'a> {
    arguments: &'a Arguments,
    seller: Seller,
    bpp: MockBpp,
    /// When the first callback happened.
    began: DateTime<Utc>,
    /// Which callback is posted at each turn, if not in order.
    order: Option<Vec<usize>>,
    /// How many posts were made.
    made: usize,
    /// What is sent again, and how often.
    kept: HashMap<usize, (Request, usize)>,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let accepted = runtime.block_on(trigger(arguments))?;
    Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn trigger(arguments: &Arguments) -> Result<bool, Failure> {
    arguments.check()?;
    let mut requests = Requests::new(arguments, arguments.seller.seller()?)?;
    // What cannot be changed or broken is told before anything is posted.
    requests.request(0)?;
    let connection = requests.bpp.connect().await?;
    if arguments.posts() > 1 {
        return many(arguments, &connection, requests).await;
    }
    let request = requests.next().expect("there is one");
    let exchange = Exchange::of(&request).broken_by(arguments.breakage.map(Breakage::name));
    exchange.run(&connection, &request, arguments.json).await
}

async fn many(
    arguments: &Arguments,
    connection: &Connection,
    requests: Requests<'_>,
) -> Result<bool, Failure> {
    if !arguments.json {
        println!("{}", requests.announced());
    }
    // Hidden where standard error is no terminal.
    let progress = ProgressBar::new(arguments.posts() as u64);
    let tally = posting::post(connection, requests, arguments.pace(), || progress.inc(1)).await;
    progress.finish_and_clear();
    if arguments.json {
        println!("{}", tally.json());
    } else {
        println!("{tally}");
    }
    Ok(tally.is_all_ack())
}

impl Arguments {
    fn posts(&self) -> usize {
        self.count as usize * self.duplicate as usize
    }

    fn pace(&self) -> Pace {
        let in_flight = match self.rate {
            Some(_) => MOST_IN_FLIGHT,
            None if self.posts() > ONE_AFTER_ANOTHER => SOME_IN_FLIGHT,
            None => 1,
        };
        Pace { in_flight, per_second: self.rate }
    }

    /// Checks what the arguments' own ranges cannot say, and warns of what is odd.
    fn check(&self) -> Result<(), Failure> {
        if self.posts() > MOST_POSTS {
            let posts = self.posts();
            return Err(mistake(format!("expected at most {MOST_POSTS} posts, found {posts}")));
        }
        if self.shuffle && self.duplicate > 1 && self.count as usize > MOST_KEPT {
            return Err(mistake(format!(
                "expected at most --count {MOST_KEPT} with --shuffle and --duplicate"
            )));
        }
        match &self.state {
            Some(_) if self.action == Action::OnTrack => {
                Err(mistake("on_track reports a position: --state is for on_status and on_update"))
            }
            Some(state) if !Report::STATES.contains(&&**state) => {
                eprintln!(
                    "beckn-receiver: `{}` is no state that we know, sent as it is; known are {}",
                    Outside(state),
                    Report::STATES.join(", ")
                );
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl<'a> Requests<'a> {
    fn new(arguments: &'a Arguments, seller: Seller) -> Result<Self, Failure> {
        let stale = if arguments.stale { STALE } else { TimeDelta::zero() };
        let mixed = if arguments.shuffle { MIXED_MILLISECONDS } else { 0 };
        let began = Utc::now() - stale - TimeDelta::milliseconds(mixed);
        let mut bpp = seller.mock()?.dialect(arguments.dialect).started(began);
        if let Some(transaction) = &arguments.transaction {
            bpp = bpp.transaction_id(transaction);
        }
        let order = arguments.shuffle.then(|| {
            let seed = arguments.seed.unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0);
            eprintln!("beckn-receiver: mixed with --seed {seed}");
            let in_order = (0..arguments.posts()).map(|post| post / arguments.duplicate as usize);
            shuffled(in_order.collect(), seed)
        });
        Ok(Self { arguments, seller, bpp, began, order, made: 0, kept: HashMap::new() })
    }

    /// The line that says what many requests have in common.
    fn announced(&self) -> String {
        let Arguments { action, breakage, .. } = self.arguments;
        let signed = match &self.seller.signer {
            Some(signer) => format!("signed {}", signer.key_id()),
            None => "unsigned".to_owned(),
        };
        let broken = breakage.map(|breakage| format!("   broken {}", breakage.name()));
        let Arguments { count, duplicate, .. } = self.arguments;
        let times = if *duplicate > 1 { format!(" × {duplicate}") } else { String::new() };
        format!("  → POST /{action}   {count}{times}   {signed}{}", broken.unwrap_or_default())
    }

    /// Makes the request of one callback of the order's life.
    fn request(&self, turn: usize) -> Result<Request, Failure> {
        let now = Utc::now();
        let (action, mut body) = self.callback(turn, now);
        let changes = &self.arguments.changes;
        if !changes.is_empty() {
            let mut json = str::from_utf8(&body)?.to_owned();
            changes.apply(&mut json)?;
            body = Bytes::from(json);
        }
        let authorization = match (self.arguments.breakage, &self.seller.signer) {
            (Some(breakage), Some(signer)) => {
                return Ok(breakage.request(action, &body, signer, now)?);
            }
            (_, signer) => signer.as_ref().map(|signer| signer.authorization(&body, now)),
        };
        Ok(Request { action, authorization, body })
    }

    fn callback(&self, turn: usize, now: DateTime<Utc>) -> (Action, Bytes) {
        let arguments = self.arguments;
        let timestamp = if arguments.shuffle {
            // Not the order of the posts: the one in which the callbacks happened.
            let part = i64::try_from(turn).unwrap_or(i64::MAX).saturating_mul(MIXED_MILLISECONDS);
            self.began + TimeDelta::milliseconds(part / i64::from(arguments.count))
        } else if arguments.stale {
            now - STALE
        } else {
            now
        };
        let state = arguments.state.as_deref().unwrap_or_else(|| Report::state_at(turn));
        let report = match arguments.action {
            Action::OnUpdate => Report::Update(state),
            Action::OnTrack => Report::Position(turn),
            // No other action passes `followed`.
            _ => Report::Status(state),
        };
        self.bpp.report(report, timestamp)
    }
}

impl Iterator for Requests<'_> {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        if self.made == self.arguments.posts() {
            return None;
        }
        let times = self.arguments.duplicate as usize;
        let turn = match &self.order {
            Some(order) => order[self.made],
            None => self.made / times,
        };
        self.made += 1;
        let (request, left) = self.kept.remove(&turn).unwrap_or_else(|| {
            let request = self.request(turn);
            (
                request.expect("all bodies of a run have the shape of the first, which was made"),
                times,
            )
        });
        if left > 1 {
            self.kept.insert(turn, (request.clone(), left - 1));
        }
        Some(request)
    }
}

/// Mixes a list, the same for the same seed (Fisher and Yates, drawn from `SplitMix64`).
fn shuffled(mut list: Vec<usize>, seed: u64) -> Vec<usize> {
    let mut state = seed;
    let mut draw = |below: u64| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        // Of a few million, the remainder favours none that anybody would see.
        (mixed ^ (mixed >> 31)) % below
    };
    for end in (1..list.len()).rev() {
        let other = usize::try_from(draw(end as u64 + 1)).expect("it is below a length");
        list.swap(end, other);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::shuffled;

    #[test]
    fn a_seed_mixes_always_in_the_same_way_and_loses_nothing() {
        let list: Vec<usize> = (0..100).collect();
        let mixed = shuffled(list.clone(), 7);
        assert_eq!(mixed, shuffled(list.clone(), 7));
        assert_ne!(mixed, shuffled(list.clone(), 8));
        assert_ne!(mixed, list);
        let mut sorted = mixed;
        sorted.sort_unstable();
        assert_eq!(sorted, list);
        assert_eq!(shuffled(Vec::new(), 1), Vec::<usize>::new());
    }
}
