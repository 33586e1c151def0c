//! The contract of Beckn 2.0, which takes the order's place.

use super::lax::model;
use super::place::Descriptor;
use super::text::Text;
use super::vocabulary::ContractStatus;

model! {
    /// A contract: its identity and state. The rest is in the body.
    pub struct Contract {
        /// Its id.
        id: Option<Text> = "id",
        /// Its state; published as an object that holds the code.
        status: Option<ContractStatus> = "status" as OBJECT,
        /// What it is called.
        descriptor: Option<Box<Descriptor>> = "descriptor",
    }
}
