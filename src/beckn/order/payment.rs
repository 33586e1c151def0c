//! How an order is paid and settled.

use crate::beckn::lax::model;
use crate::beckn::place::Time;
use crate::beckn::scalar::{Decimal, IsoDuration, Timestamp};
use crate::beckn::tags::Tags;
use crate::beckn::vocabulary::{CollectedBy, PaymentStatus, PaymentType};

model! {
    /// A payment.
    pub struct Payment {
        /// Its id (dialect B).
        id: Option<String> = "id",
        /// When it is due.
        r#type: Option<PaymentType> = "type",
        /// Whether it is paid.
        status: Option<PaymentStatus> = "status",
        /// Who collects it.
        collected_by: Option<CollectedBy> = "collected_by",
        /// Where to pay; may not be a valid URI.
        uri: Option<String> = "uri" | "url",
        /// How to open the address.
        tl_method: Option<String> = "tl_method",
        /// How much and by what.
        params: Option<Box<PaymentParams>> = "params",
        /// Who gets what (ONDC).
        settlement_details: Vec<SettlementDetail> = "@ondc/org/settlement_details",
        /// How the buyer app's fee is counted (ONDC).
        finder_fee_type: Option<String> = "@ondc/org/buyer_app_finder_fee_type",
        /// The buyer app's fee (ONDC).
        finder_fee_amount: Option<Decimal> = "@ondc/org/buyer_app_finder_fee_amount",
        /// What starts the settlement (ONDC).
        settlement_basis: Option<String> = "@ondc/org/settlement_basis",
        /// How long after that it is due (ONDC).
        settlement_window: Option<IsoDuration> = "@ondc/org/settlement_window",
        /// What is kept back (ONDC).
        withholding_amount: Option<Decimal> = "@ondc/org/withholding_amount",
        /// What the agent collects (ONDC logistics).
        collection_amount: Option<Decimal> = "@ondc/org/collection_amount",
        /// Whether the collector is agreed (ONDC).
        collected_by_status: Option<String> = "@ondc/org/collected_by_status",
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
        transaction_id: Option<String> = "transaction_id",
        /// Its state there.
        transaction_status: Option<String> = "transaction_status",
        /// How much.
        amount: Option<Decimal> = "amount",
        /// In which currency.
        currency: Option<String> = "currency",
        /// By which means, such as `upi` (Beckn 0.9).
        mode: Option<String> = "mode",
        /// A virtual payment address.
        virtual_payment_address: Option<String> = "virtual_payment_address" | "vpa",
        /// The bank.
        bank_code: Option<String> = "bank_code",
        /// The account.
        bank_account_number: Option<String> = "bank_account_number",
        /// The account's name.
        bank_account_name: Option<String> = "bank_account_name",
        /// The payer's bank.
        source_bank_code: Option<String> = "source_bank_code",
        /// The payer's account.
        source_bank_account_number: Option<String> = "source_bank_account_number",
        /// The payer's account's name.
        source_bank_account_name: Option<String> = "source_bank_account_name",
    }
}

model! {
    /// Who gets what, and where to (ONDC).
    pub struct SettlementDetail {
        /// Who gets it.
        settlement_counterparty: Option<String> = "settlement_counterparty",
        /// What it is for.
        settlement_phase: Option<String> = "settlement_phase",
        /// By which means.
        settlement_type: Option<String> = "settlement_type",
        /// How much.
        settlement_amount: Option<Decimal> = "settlement_amount",
        /// The account.
        settlement_bank_account_no: Option<String> = "settlement_bank_account_no",
        /// The branch's code.
        settlement_ifsc_code: Option<String> = "settlement_ifsc_code",
        /// Whether it is paid.
        settlement_status: Option<PaymentStatus> = "settlement_status",
        /// The id of the settlement at the bank.
        settlement_reference: Option<String> = "settlement_reference",
        /// When it was settled.
        settlement_timestamp: Option<Timestamp> = "settlement_timestamp",
        /// The address for UPI.
        upi_address: Option<String> = "upi_address",
        /// The bank.
        bank_name: Option<String> = "bank_name",
        /// The branch.
        branch_name: Option<String> = "branch_name",
        /// The payee.
        beneficiary_name: Option<String> = "beneficiary_name",
        /// The payee's address.
        beneficiary_address: Option<String> = "beneficiary_address",
    }
}
