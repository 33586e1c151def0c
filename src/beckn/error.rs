//! What a seller says went wrong.

use super::lax::model;

model! {
    /// An error that a callback carries, in the words of any dialect.
    ///
    /// The same number means different things in Beckn and in ONDC from 30005 on.
    pub struct Error {
        /// Which layer it is about (Beckn 0.9, ONDC 1.x).
        r#type: Option<String> = "type",
        /// Its code.
        code: Option<String> = "code" | "errorCode",
        /// Where in the request.
        path: Option<String> = "path" | "paths",
        /// In words.
        message: Option<String> = "message" | "errorMessage",
    }
}
