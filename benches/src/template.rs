//! A request built once, into which each post patches its ids at fixed places.

use std::fmt;

use crate::sign::{self, Seller};

/// How long the patched ids are: that of a UUID.
const ID_LENGTH: usize = 36;

/// An HTTP request with places for a `message_id` and a `transaction_id`, and for a signature.
#[derive(Debug, Clone)]
pub struct Template {
    bytes: Vec<u8>,
    body_at: usize,
    /// `None` for requests that are not signed.
    signature_at: Option<usize>,
    message_id_at: usize,
    transaction_id_at: usize,
}

/// Says which id a body lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingId(&'static str);

impl fmt::Display for MissingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the payload has no text under `{}`", self.0)
    }
}

impl std::error::Error for MissingId {}

impl Template {
    /// Builds the request that posts `body` to `path`; the ids in it get the length of a UUID.
    /// Has an `Authorization` header when there is a seller to sign.
    ///
    /// # Errors
    /// When the body has no `transaction_id` or no `message_id` (or `transactionId`, `messageId`).
    pub fn new(
        host: &str,
        path: &str,
        body: &str,
        seller: Option<&Seller>,
    ) -> Result<Template, MissingId> {
        let blank = "0".repeat(ID_LENGTH);
        let body = replace_text(body, ["transaction_id", "transactionId"], &blank)?;
        let body = replace_text(&body, ["message_id", "messageId"], &blank)?;
        let blank_signature = "A".repeat(sign::LENGTH);
        let authorization = seller.map_or(String::new(), |seller| {
            format!("authorization: {}\r\n", seller.authorization(&blank_signature))
        });
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
             {authorization}content-length: {}\r\n\r\n",
            body.len()
        );
        let signature_at = head.find(&blank_signature);
        let at = |keys: [&'static str; 2]| text_under(&body, keys).map(|at| head.len() + at.start);
        let (transaction_id_at, message_id_at) =
            (at(["transaction_id", "transactionId"])?, at(["message_id", "messageId"])?);
        let bytes = format!("{head}{body}").into_bytes();
        Ok(Template { bytes, body_at: head.len(), signature_at, message_id_at, transaction_id_at })
    }

    /// Returns the request with the ids that belong to these numbers.
    ///
    /// `run` sets one run of the load generator apart from the others.
    pub fn patched(&mut self, run: u64, transaction: u64, message: u64) -> &[u8] {
        write_id(&mut self.bytes[self.transaction_id_at..][..ID_LENGTH], run, transaction);
        write_id(&mut self.bytes[self.message_id_at..][..ID_LENGTH], run, message);
        &self.bytes
    }

    /// Returns the request with these ids and this signature.
    ///
    /// # Panics
    /// The template was built without a seller, or the signature is not 64 bytes in base64.
    pub fn signed(&mut self, run: u64, transaction: u64, message: u64, signature: &str) -> &[u8] {
        let at = self.signature_at.expect("the template has a place for a signature");
        self.bytes[at..][..sign::LENGTH].copy_from_slice(signature.as_bytes());
        self.patched(run, transaction, message)
    }

    /// Returns the body with the ids that belong to these numbers.
    pub fn patched_body(&mut self, run: u64, transaction: u64, message: u64) -> &[u8] {
        let body_at = self.body_at;
        &self.patched(run, transaction, message)[body_at..]
    }
}

fn replace_text(body: &str, keys: [&'static str; 2], with: &str) -> Result<String, MissingId> {
    let at = text_under(body, keys)?;
    Ok(format!("{}{with}{}", &body[..at.start], &body[at.end..]))
}

/// Returns where the text under the first of the keys stands in a JSON document.
///
/// The first occurrence counts: a callback begins with its context.
fn text_under(body: &str, keys: [&'static str; 2]) -> Result<std::ops::Range<usize>, MissingId> {
    let find = |key: &str| {
        let quoted = format!("\"{key}\"");
        let after_key = body.find(&quoted)? + quoted.len();
        let open = after_key + body[after_key..].find('"')? + 1;
        // An escaped quote would end it early: ids of samples have none.
        Some(open..open + body[open..].find('"')?)
    };
    keys.into_iter().find_map(find).ok_or(MissingId(keys[0]))
}

/// Writes the two numbers as a UUID of version 4: 12 digits of the run, 16 of the number.
fn write_id(place: &mut [u8], run: u64, number: u64) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    // The digits from left to right; the hyphens, the version and the variant are fixed.
    let digits = (u128::from(run & 0xFFFF_FFFF_FFFF) << 64) | u128::from(number);
    let mut shift = 28 * 4;
    for (position, byte) in place.iter_mut().enumerate() {
        *byte = match position {
            8 | 13 | 18 | 23 => b'-',
            14 => b'4',
            19 => b'a',
            // Of the 30 free digits, the numbers' 112 bits fill 28.
            _ if shift == 0 => b'0',
            _ => {
                shift -= 4;
                HEX[usize::try_from((digits >> shift) & 0xF).unwrap_or(0)]
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{MissingId, Template};
    use crate::sign::Seller;

    const BODY: &str =
        r#"{"context": {"transaction_id": "t", "message_id": "m-é"}, "message": {}}"#;

    fn ids(request: &[u8]) -> (String, String) {
        let text = std::str::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = format!("content-length: {}", body.len());
        assert!(head.lines().any(|line| line == length), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let id = |key: &str| body["context"][key].as_str().unwrap().to_owned();
        (id("transaction_id"), id("message_id"))
    }

    #[test]
    fn each_number_gives_an_id_of_its_own_and_the_rest_stays() {
        let mut template = Template::new("localhost", "/on_status", BODY, None).unwrap();
        let mut seen = HashSet::new();
        for number in [0, 1, 15, 16, 255, 1 << 40, u64::MAX] {
            let (transaction, message) = ids(template.patched(7, 3, number));
            assert_eq!(transaction, ids(template.patched(7, 3, 0)).0);
            assert_eq!(message.len(), 36);
            assert!(seen.insert(message));
        }
    }

    #[test]
    fn another_run_gives_other_ids() {
        let mut template = Template::new("localhost", "/on_status", BODY, None).unwrap();
        assert_ne!(ids(template.patched(1, 1, 1)), ids(template.patched(2, 1, 1)));
    }

    #[test]
    fn the_signature_stands_in_the_header_and_belongs_to_the_body() {
        let seller = Seller::new(&[7; 32], "seller.example|key-1").unwrap();
        let mut template = Template::new("localhost", "/on_status", BODY, Some(&seller)).unwrap();
        let signature = seller.sign_in_base64(template.patched_body(1, 2, 3));
        let request = String::from_utf8(template.signed(1, 2, 3, &signature).to_vec()).unwrap();
        let header = format!("\r\nauthorization: {}\r\n", seller.authorization(&signature));
        assert!(request.contains(&header), "{request}");
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        assert_eq!(seller.sign_in_base64(body.as_bytes()), signature);
    }

    #[test]
    fn the_spelling_of_beckn_2_is_found() {
        let body = r#"{"context":{"transactionId":"t","messageId":"m"}}"#;
        assert!(Template::new("localhost", "/on_status", body, None).is_ok());
    }

    #[test]
    fn a_body_without_an_id_is_refused() {
        let error = Template::new("localhost", "/", r#"{"transaction_id":"t"}"#, None).unwrap_err();
        assert_eq!(error, MissingId("message_id"));
    }
}
