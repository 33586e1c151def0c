//! What a seller is answered: ACK, or NACK with an error.
//!
//! The codes are those that ONDC publishes for what a buyer app returns (ONDC-RFC-001); Beckn has
//! none of its own for an answer to a callback.

/// The answer to a callback that is on disk.
pub const ACK: &str = r#"{"message":{"ack":{"status":"ACK"}}}"#;

/// A code that a buyer app returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Code {
    /// The code on the wire.
    pub code: &'static str,
    /// Its name where it is published.
    pub name: &'static str,
    /// Where it is published.
    pub source: &'static str,
}

const RFC_001: &str = "ONDC-RFC-001";

/// The signature is missing, wrong, old, or not the seller's.
pub const INVALID_SIGNATURE: Code = code("20001", "Invalid Signature");
/// The callback is older than its ttl allows.
pub const STALE_REQUEST: Code = code("20002", "Stale Request");
/// The callback is not what the contract of the API says.
pub const INVALID_RESPONSE: Code = code("20006", "Invalid response");
/// The state is stale or not valid.
pub const INVALID_ORDER_STATE: Code = code("20007", "Invalid order state");
/// The callback came before the ACK of its request, or out of its turn.
pub const OUT_OF_SEQUENCE: Code = code("20008", "Response out of sequence");
/// The callback came too late.
pub const TIMEOUT: Code = code("20009", "Timeout");
/// We could not process it; the seller should try again.
pub const INTERNAL_ERROR: Code = code("23001", "Internal Error");
/// The order does not pass the buyer's own checks.
pub const ORDER_VALIDATION_FAILURE: Code = code("23002", "Order validation failure");

/// Every code that this receiver names.
pub const CODES: [Code; 8] = [
    INVALID_SIGNATURE,
    STALE_REQUEST,
    INVALID_RESPONSE,
    INVALID_ORDER_STATE,
    OUT_OF_SEQUENCE,
    TIMEOUT,
    INTERNAL_ERROR,
    ORDER_VALIDATION_FAILURE,
];

const fn code(code: &'static str, name: &'static str) -> Code {
    Code { code, name, source: RFC_001 }
}

/// Which layer an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorType {
    /// A field of the context is missing or wrong; the callback is stale or not for us.
    Context,
    /// The body is not JSON, or not what the schema says.
    JsonSchema,
    /// Signature, sequence, or a fault of ours.
    Core,
    /// What the order or the fulfilment means.
    Domain,
    /// A policy of the network.
    Policy,
}

impl ErrorType {
    /// Returns the type as the protocol spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorType::Context => "CONTEXT-ERROR",
            ErrorType::JsonSchema => "JSON-SCHEMA-ERROR",
            ErrorType::Core => "CORE-ERROR",
            ErrorType::Domain => "DOMAIN-ERROR",
            ErrorType::Policy => "POLICY-ERROR",
        }
    }
}

/// The answer to a callback that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nack {
    /// Which layer it is about.
    pub error_type: ErrorType,
    /// The code; a buyer's own rule may bring one that is not in [`CODES`].
    pub code: String,
    /// What is wrong, as a JSON Pointer; empty for the callback as a whole.
    pub path: String,
    /// What was expected and what was found.
    pub message: String,
}

impl Nack {
    /// Returns the JSON body of the answer.
    pub fn body(&self) -> Vec<u8> {
        // As JSON a text comes with its quotes and escapes.
        let json = |text: &str| serde_json::Value::from(text);
        let kind = self.error_type.as_str();
        let (code, path, message) = (json(&self.code), json(&self.path), json(&self.message));
        let error =
            format!(r#"{{"type":"{kind}","code":{code},"path":{path},"message":{message}}}"#);
        format!(r#"{{"message":{{"ack":{{"status":"NACK"}}}},"error":{error}}}"#).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::{ACK, CODES, ErrorType, INVALID_RESPONSE, Nack};

    #[test]
    fn an_ack_is_the_envelope_and_nothing_else() {
        assert_eq!(ACK, "{\"message\":{\"ack\":{\"status\":\"ACK\"}}}");
    }

    #[test]
    fn a_nack_has_all_four_keys_even_when_one_is_empty() {
        let nack = Nack {
            error_type: ErrorType::JsonSchema,
            code: INVALID_RESPONSE.code.to_owned(),
            path: String::new(),
            message: "expected \"an object\"".to_owned(),
        };
        let expected = concat!(
            r#"{"message":{"ack":{"status":"NACK"}},"error":{"type":"JSON-SCHEMA-ERROR","#,
            r#""code":"20006","path":"","message":"expected \"an object\""}}"#,
        );
        assert_eq!(String::from_utf8(nack.body()).unwrap(), expected);
    }

    #[test]
    fn no_code_is_named_twice() {
        let codes: std::collections::BTreeSet<_> = CODES.iter().map(|code| code.code).collect();
        assert_eq!(codes.len(), CODES.len());
    }
}
