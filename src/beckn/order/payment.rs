//! How an order is paid and settled.

use crate::beckn::lax::model;
use crate::beckn::place::Time;
use crate::beckn::scalar::{Decimal, IsoDuration, Timestamp};
use crate::beckn::tags::Tags;
use crate::beckn::text::Text;
use crate::beckn::vocabulary::{CollectedBy, PaymentStatus, PaymentType};

model! {
    /// A payment.
    pub struct Payment {
        /// Its id (dialect B).
        id: Option<Text> = "id",
        /// When it is due.
        r#type: Option<PaymentType> = "type",
        /// Whether it is paid.
        status: Option<PaymentStatus> = "status",
        /// Who collects it.
        collected_by: Option<CollectedBy> = "collected_by",
        /// Where to pay; may not be a valid URI.
        uri: Option<Text> = "uri" | "url",
        /// How to open the address.
        tl_method: Option<Text> = "tl_method",
        /// How much and by what.
        params: Option<Box<PaymentParams>> = "params",
        /// Who gets what (ONDC).
        settlement_details: Vec<SettlementDetail> = "@ondc/org/settlement_details",
        /// How the buyer app's fee is counted (ONDC).
        finder_fee_type: Option<Text> = "@ondc/org/buyer_app_finder_fee_type",
        /// The buyer app's fee (ONDC).
        finder_fee_amount: Option<Decimal> = "@ondc/org/buyer_app_finder_fee_amount",
        /// What starts the settlement (ONDC).
        settlement_basis: Option<Text> = "@ondc/org/settlement_basis",
        /// How long after that it is due (ONDC).
        settlement_window: Option<IsoDuration> = "@ondc/org/settlement_window",
        /// What is kept back (ONDC).
        withholding_amount: Option<Decimal> = "@ondc/org/withholding_amount",
        /// What the agent collects (ONDC logistics).
        collection_amount: Option<Decimal> = "@ondc/org/collection_amount",
        /// Whether the collector is agreed (ONDC).
        collected_by_status: Option<Text> = "@ondc/org/collected_by_status",
        /// When.
        time: Option<Box<Time>> = "time",
        /// Tags of the payment.
        tags: Tags = "tags",
    }
}

model! {
    /// How much, and by what.
    pub struct PaymentParams {
        /// The id of the payment at the bank or gateway.
        transaction_id: Option<Text> = "transaction_id",
        /// Its state there.
        transaction_status: Option<Text> = "transaction_status",
        /// How much.
        amount: Option<Decimal> = "amount",
        /// In which currency.
        currency: Option<Text> = "currency",
        /// By which means, such as `upi` (Beckn 0.9).
        mode: Option<Text> = "mode",
        /// A virtual payment address.
        virtual_payment_address: Option<Text> = "virtual_payment_address" | "vpa",
        /// The bank.
        bank_code: Option<Text> = "bank_code",
        /// The account.
        bank_account_number: Option<Text> = "bank_account_number",
        /// The account's name.
        bank_account_name: Option<Text> = "bank_account_name",
        /// The payer's bank.
        source_bank_code: Option<Text> = "source_bank_code",
        /// The payer's account.
        source_bank_account_number: Option<Text> = "source_bank_account_number",
        /// The payer's account's name.
        source_bank_account_name: Option<Text> = "source_bank_account_name",
    }
}

model! {
    /// Who gets what, and where to (ONDC).
    pub struct SettlementDetail {
        /// Who gets it.
        settlement_counterparty: Option<Text> = "settlement_counterparty",
        /// What it is for.
        settlement_phase: Option<Text> = "settlement_phase",
        /// By which means.
        settlement_type: Option<Text> = "settlement_type",
        /// How much.
        settlement_amount: Option<Decimal> = "settlement_amount",
        /// The account.
        settlement_bank_account_no: Option<Text> = "settlement_bank_account_no",
        /// The branch's code.
        settlement_ifsc_code: Option<Text> = "settlement_ifsc_code",
        /// Whether it is paid.
        settlement_status: Option<PaymentStatus> = "settlement_status",
        /// The id of the settlement at the bank.
        settlement_reference: Option<Text> = "settlement_reference",
        /// When it was settled.
        settlement_timestamp: Option<Timestamp> = "settlement_timestamp",
        /// The address for UPI.
        upi_address: Option<Text> = "upi_address",
        /// The bank.
        bank_name: Option<Text> = "bank_name",
        /// The branch.
        branch_name: Option<Text> = "branch_name",
        /// The payee.
        beneficiary_name: Option<Text> = "beneficiary_name",
        /// The payee's address.
        beneficiary_address: Option<Text> = "beneficiary_address",
    }
}
