//! What a seller says went wrong.

use super::lax::model;
use super::text::Text;

model! {
    /// An error that a callback carries, in the words of any dialect.
    ///
    /// The same number means different things in Beckn and in ONDC from 30005 on.
    pub struct Error {
        /// Which layer it is about (Beckn 0.9, ONDC 1.x).
        r#type: Option<Text> = "type",
        /// Its code.
        code: Option<Text> = "code" | "errorCode",
        /// Where in the request.
        path: Option<Text> = "path" | "paths",
        /// In words.
        message: Option<Text> = "message" | "errorMessage",
    }
}
