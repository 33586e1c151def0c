//! Who posts, where to, and what is said of it: what `trigger` and `send` share.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::seller_file::{DIRECTORY, SellerFile};
use super::{Failure, mistake};
use crate::beckn::callback::Callback;
use crate::mock::{Answer, Connection, Error, MockBpp, Request, Signer};
use crate::signature::Authorization;
use crate::words::{Chain, Outside};

/// The longest key file that is read; one key in base64 has at most 88 bytes.
const KEY_FILE_BYTES: u64 = 4 * 1024;

/// How much of an answer is printed, in characters.
const SHOWN_CHARACTERS: usize = 500;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Seller")]
pub(super) struct SellerArguments {
    /// The receiver's base URL [default: the one of DIR/seller.json]
    #[arg(long, value_name = "URL")]
    pub(super) to: Option<String>,

    /// Where `beckn-receiver dev` keeps its seller, as seller.json
    #[arg(long, value_name = "DIR", default_value = DIRECTORY)]
    pub(super) dir: PathBuf,

    /// Which key signs [default: the one of DIR/seller.json]
    #[arg(long, value_name = "SUBSCRIBER|UNIQUE_KEY", conflicts_with = "unsigned")]
    pub(super) key_id: Option<String>,

    /// The file of its private key, in base64 [default: the key in DIR/seller.json]
    #[arg(long, value_name = "FILE", requires = "key_id", conflicts_with = "unsigned")]
    pub(super) key_file: Option<PathBuf>,

    /// The buyer app that `context.bap_id` names
    #[arg(long, value_name = "ID")]
    pub(super) bap_id: Option<String>,

    /// The seller app that `context.bpp_id` names [default: the one that signs]
    #[arg(long, value_name = "ID")]
    pub(super) bpp_id: Option<String>,

    /// Do not sign
    #[arg(long)]
    pub(super) unsigned: bool,
}

/// A seller app that was made out from the arguments and the seller file.
#[derive(Debug)]
pub(super) struct Seller {
    /// The receiver's base URL.
    pub(super) to: String,
    /// Who signs, if anyone does.
    pub(super) signer: Option<Signer>,
    /// The buyer app that was asked for, or that the seller file names.
    pub(super) bap_id: Option<String>,
    /// The seller app that was asked for.
    pub(super) bpp_id: Option<String>,
}

impl SellerArguments {
    /// Returns the seller.
    pub(super) fn seller(&self) -> Result<Seller, Failure> {
        let file = SellerFile::read(&self.dir)?;
        let known = file.as_ref();
        let signer = if self.unsigned { None } else { Some(self.signer(known)?) };
        let to = self.to.as_deref().or(known.map(|file| &*file.receiver));
        let to = to.ok_or_else(|| self.nowhere("where to post"))?.to_owned();
        let bap_id = self.bap_id.as_deref().or(known.map(|file| &*file.bap_id));
        let bap_id = bap_id.map(str::to_owned);
        Ok(Seller { to, signer, bap_id, bpp_id: self.bpp_id.clone() })
    }

    fn signer(&self, file: Option<&SellerFile>) -> Result<Signer, Failure> {
        let key_id = self.key_id.as_deref().or(file.map(|file| &*file.key_id));
        let key = match (&self.key_file, file) {
            (Some(path), _) => Some(read_key(path)?),
            (None, file) => file.map(|file| file.private_key.clone()),
        };
        let (Some(key_id), Some(key)) = (key_id, key) else {
            return Err(self.nowhere("who signs"));
        };
        Signer::new(key_id, &key).map_err(mistake)
    }

    fn nowhere(&self, what: &str) -> Failure {
        let path = SellerFile::path(&self.dir);
        mistake(format!(
            "nothing says {what}: there is no {}; start `beckn-receiver dev` here first, or give \
             --to URL with --key-id and --key-file, or with --unsigned",
            path.display()
        ))
    }
}

impl Seller {
    /// Returns the mock BPP that posts as this seller.
    ///
    /// # Errors
    /// The URL is none that can be posted to.
    pub(super) fn mock(&self) -> Result<MockBpp, Failure> {
        let mut seller = MockBpp::new(&self.to).map_err(mistake)?.bap_id(self.usual_bap_id());
        if let Some(signer) = &self.signer {
            seller = seller.signer(signer.clone());
        }
        if let Some(bpp_id) = &self.bpp_id {
            seller = seller.bpp_id(bpp_id);
        }
        Ok(seller)
    }

    /// Returns the buyer app that a callback names when it names none yet.
    pub(super) fn usual_bap_id(&self) -> &str {
        self.bap_id.as_deref().unwrap_or("buyer.example")
    }

    /// Returns the seller app that a callback names when it names none yet.
    pub(super) fn usual_bpp_id(&self) -> Option<&str> {
        self.bpp_id.as_deref().or(self.signer.as_ref().map(Signer::subscriber))
    }
}

/// Never says what the file holds.
fn read_key(path: &Path) -> Result<String, Failure> {
    let mut key = String::new();
    let read = File::open(path).and_then(|file| file.take(KEY_FILE_BYTES).read_to_string(&mut key));
    read.map_err(|error| format!("could not read {}: {error}", path.display()))?;
    Ok(key)
}

/// One request with its answer, as it is printed.
#[derive(Debug, Serialize)]
pub(super) struct Exchange {
    /// The file that it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    action: &'static str,
    domain: Option<String>,
    version: Option<String>,
    transaction_id: Option<String>,
    message_id: Option<String>,
    /// The key id that the request names.
    signed: Option<String>,
    /// What was broken on purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<&'static str>,
    status: Option<u16>,
    latency_ms: Option<f64>,
    ack: bool,
    body: Option<String>,
    failed: Option<String>,
}

impl Exchange {
    /// Returns what there is to say of a request before its answer.
    pub(super) fn of(request: &Request) -> Self {
        // A body that is no callback is posted all the same.
        let context = Callback::parse(&request.body).map(|callback| callback.context);
        let context = context.unwrap_or_default();
        let key_id = |header: &String| {
            let authorization = Authorization::parse(header);
            authorization.map_or("by a header that cannot be read".to_owned(), |authorization| {
                authorization.key_id().to_string()
            })
        };
        Self {
            file: None,
            action: request.action.as_str(),
            version: context.version().map(str::to_owned),
            domain: context.domain.map(String::from),
            transaction_id: context.transaction_id.map(String::from),
            message_id: context.message_id.map(String::from),
            signed: request.authorization.as_ref().map(key_id),
            broken: None,
            status: None,
            latency_ms: None,
            ack: false,
            body: None,
            failed: None,
        }
    }

    /// Says which file it came from.
    pub(super) fn of_file(mut self, file: &Path) -> Self {
        self.file = Some(file.display().to_string());
        self
    }

    /// Says what was broken on purpose.
    pub(super) fn broken_by(mut self, breakage: Option<&'static str>) -> Self {
        self.broken = breakage;
        self
    }

    /// Posts the request, prints both, and returns whether it was accepted.
    pub(super) async fn run(
        mut self,
        connection: &Connection,
        request: &Request,
        json: bool,
    ) -> Result<bool, Failure> {
        if !json {
            println!("{}", self.sent());
        }
        self.answered(connection.send(request).await);
        if json {
            println!("{}", serde_json::to_string(&self)?);
        } else {
            println!("{}", self.answer());
        }
        Ok(self.ack)
    }

    fn answered(&mut self, outcome: Result<Answer, Error>) {
        match outcome {
            Ok(answer) => {
                self.status = Some(answer.status);
                self.latency_ms = Some(milliseconds(answer.latency));
                self.ack = answer.is_ack();
                self.body = Some(String::from_utf8_lossy(&answer.body).into_owned());
            }
            Err(error) => self.failed = Some(Chain(&error).to_string()),
        }
    }

    /// The line of the request.
    fn sent(&self) -> String {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "?".to_owned());
        let signed = match &self.signed {
            Some(key_id) => format!("signed {key_id}"),
            None => "unsigned".to_owned(),
        };
        let broken = self.broken.map(|name| format!("   broken {name}")).unwrap_or_default();
        format!(
            "  {}   {}/{}   txn {}   msg {}…   {signed}{broken}",
            self.route(),
            Outside(&text(&self.domain)),
            Outside(&text(&self.version)),
            Outside(&start(&text(&self.transaction_id), 8)),
            Outside(&start(&text(&self.message_id), 4)),
        )
    }

    /// The line of the answer, its columns below those of the request.
    fn answer(&self) -> String {
        let width = self.route().chars().count();
        match (&self.failed, self.status, self.latency_ms) {
            (None, Some(status), Some(latency)) => {
                let status = format!("← {status} in {latency:.1} ms");
                let body = self.body.as_deref().unwrap_or_default();
                format!("  {status:<width$}   {}", shown(body, SHOWN_CHARACTERS))
            }
            (failed, ..) => {
                let why = failed.as_deref().unwrap_or("no answer");
                format!("  {:<width$}   {}", "← no answer", shown(why, SHOWN_CHARACTERS))
            }
        }
    }

    fn route(&self) -> String {
        format!("→ POST /{}", self.action)
    }
}

/// Returns a duration in milliseconds.
pub(super) fn milliseconds(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn start(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// Returns this many characters of a text from outside, safe for a terminal.
pub(super) fn shown(text: &str, characters: usize) -> String {
    let cut: Vec<char> = text.chars().take(characters).collect();
    // `Outside` cuts what is longer than this.
    let safe = |part: &[char]| Outside(&part.iter().collect::<String>()).to_string();
    let mut shown: String = cut.chunks(100).map(safe).collect();
    if text.chars().nth(characters).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::{Answer, Exchange, Request, shown};
    use crate::beckn::action::Action;

    #[test]
    fn a_request_and_its_answer_are_two_lines_in_columns() {
        let body = r#"{"context":{"domain":"ONDC:RET11","core_version":"1.2.5","transaction_id":"b98e21ba-1","message_id":"6d0c-2"}}"#;
        let request = Request {
            action: Action::OnStatus,
            authorization: None,
            body: Bytes::from_static(body.as_bytes()),
        };
        let mut exchange = Exchange::of(&request);
        let sent = "  → POST /on_status   ONDC:RET11/1.2.5   txn b98e21ba   msg 6d0c…   unsigned";
        assert_eq!(exchange.sent(), sent);
        exchange.signed = Some("mock-bpp.local|key-1".to_owned());
        assert!(exchange.sent().ends_with("   signed mock-bpp.local|key-1"));
        let ack = r#"{"message":{"ack":{"status":"ACK"}}}"#;
        exchange.answered(Ok(Answer {
            status: 200,
            acknowledgement: None,
            error: None,
            body: Bytes::from_static(ack.as_bytes()),
            latency: Duration::from_micros(912),
        }));
        assert_eq!(exchange.answer(), format!("  ← 200 in 0.9 ms     {ack}"));
    }

    #[test]
    fn a_long_answer_is_cut_and_cannot_move_the_cursor() {
        assert_eq!(shown("a\u{1b}[2Jb", 500), r"a\u{1b}[2Jb");
        assert_eq!(shown(&"x".repeat(501), 500), format!("{}…", "x".repeat(500)));
        assert_eq!(shown(&"x".repeat(500), 500), "x".repeat(500));
    }

    #[test]
    fn what_is_no_callback_is_shown_as_far_as_it_can_be() {
        let body = Bytes::from_static(b"no");
        let request = Request { action: Action::OnTrack, authorization: None, body };
        let sent = Exchange::of(&request).sent();
        assert_eq!(sent, "  → POST /on_track   ?/?   txn ?   msg ?…   unsigned");
    }
}
