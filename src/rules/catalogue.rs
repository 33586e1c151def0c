//! Every rule: its name, what it wants, who says so, and how strict each profile is about it.
//!
//! The order is the one in which violations are reported: the text, what it is, its context, its
//! payload from top to bottom, and then what ONDC 1.2.5 adds.

use crate::beckn::answer::{self, Code, ErrorType};
use crate::words::Level;

/// What a callback must satisfy.
#[derive(Debug)]
pub(crate) struct Rule {
    /// The name, as settings and warnings spell it.
    pub(crate) name: &'static str,
    /// What a callback must have.
    pub(crate) what: &'static str,
    /// Who says so.
    pub(crate) source: &'static str,
    /// The code of the NACK when the rule is enforced.
    pub(crate) code: Code,
    /// The type of the NACK when the rule is enforced.
    pub(crate) error_type: ErrorType,
    /// The level in the profile `lenient`.
    pub(crate) lenient: Level,
    /// The level in the profile `standard`.
    pub(crate) standard: Level,
    /// The level in the profile `strict`.
    pub(crate) strict: Level,
}

/// Returns the rule of this name.
pub(crate) fn find(name: &str) -> Option<&'static Rule> {
    CATALOGUE.iter().find(|rule| rule.name == name)
}

/// The levels in the three profiles, lenient first.
type Levels = [Level; 3];

/// What an event cannot be processed safely without.
const MINIMUM: Levels = [Level::Enforce, Level::Enforce, Level::Enforce];
/// What is asked for and not there, or a repaired text: worth knowing under every profile.
const NEEDED: Levels = [Level::Warn, Level::Warn, Level::Enforce];
/// Formats, enumerations, and the paths of one network's version.
const FORM: Levels = [Level::Off, Level::Warn, Level::Enforce];
/// What is worth knowing and never worth losing an event for.
const NOTED: Levels = [Level::Off, Level::Warn, Level::Warn];

/// The code and the type of a violation.
type Answer = (Code, ErrorType);

const CONTEXT: Answer = (answer::INVALID_RESPONSE, ErrorType::Context);
const STALE: Answer = (answer::STALE_REQUEST, ErrorType::Context);
const SCHEMA: Answer = (answer::INVALID_RESPONSE, ErrorType::JsonSchema);
const DOMAIN: Answer = (answer::INVALID_RESPONSE, ErrorType::Domain);
const STATE: Answer = (answer::INVALID_ORDER_STATE, ErrorType::Domain);

const OURS: &str = "this receiver";
const BECKN_09: &str = "Beckn core 0.9.1 to 0.9.4, ONDC RET 1.2.0 and RET11 1.2.5";
const BECKN_09_AND_2: &str = "Beckn core 0.9.1 to 0.9.4 and 2.0, ONDC RET 1.2.0 and RET11 1.2.5";
const BECKN: &str = "Beckn core 0.9.3, 1.1.1 and 2.0";
const BECKN_093: &str = "Beckn core 0.9.3";
const ONDC: &str = "ONDC RET 1.2.0 and RET11 1.2.5";
const RET11: &str = "ONDC RET11 1.2.5";
const RET11_LOG11: &str = "ONDC RET11 1.2.5 and LOG11 1.2.5";

/// Declares the rules: the ids that checks use, and the catalogue in the same order.
macro_rules! catalogue {
    ($( $id:ident $name:literal $levels:ident $answer:ident $what:literal, $source:expr; )*) => {
        /// Which rule; its number is its place in [`CATALOGUE`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(clippy::enum_variant_names, reason = "`OrderId` is the id of an order")]
        pub(super) enum Id { $( $id, )* }

        /// Every rule, in the order in which violations are reported.
        pub(crate) static CATALOGUE: [Rule; COUNT] = [ $( rule(
            ($name, $what, $source), $answer, $levels,
        ), )* ];

        /// How many rules there are.
        pub(super) const COUNT: usize = [ $( $name, )* ].len();
    };
}

const fn rule(
    (name, what, source): (&'static str, &'static str, &'static str),
    (code, error_type): Answer,
    [lenient, standard, strict]: Levels,
) -> Rule {
    Rule { name, what, source, code, error_type, lenient, standard, strict }
}

catalogue! {
    JsonBom "json.bom" NEEDED SCHEMA
        "no byte order mark before the JSON", "RFC 8259";
    JsonTrailingComma "json.trailing_comma" NEEDED SCHEMA
        "no comma before the end of a list or an object", "RFC 8259";
    PayloadCallback "payload.callback" MINIMUM SCHEMA
        "a callback, not an answer with `message.ack`", OURS;
    ContextPresent "context.present" MINIMUM CONTEXT
        "`context` is an object with at least one key", BECKN;
    ContextAction "context.action" MINIMUM CONTEXT
        "`context.action` is the action of the path", BECKN;
    ContextBapId "context.bap_id" MINIMUM CONTEXT
        "`context.bap_id` is one of our `subscriber_ids`, when these are set", BECKN;
    ContextBapIdPresent "context.bap_id_present" NEEDED CONTEXT
        "`context.bap_id` is there (dialects A and C)", BECKN_09_AND_2;
    ContextTransactionId "context.transaction_id" MINIMUM CONTEXT
        "`context.transaction_id` is there, with at most 256 characters", BECKN_09_AND_2;
    ContextMessageId "context.message_id" MINIMUM CONTEXT
        "`context.message_id` is there, with at most 256 characters", BECKN_09_AND_2;
    ContextTransactionIdUuid "context.transaction_id_uuid" FORM CONTEXT
        "`context.transaction_id` is a UUID (dialects B and C)", "Beckn core 1.1.1 and 2.0";
    ContextMessageIdUuid "context.message_id_uuid" FORM CONTEXT
        "`context.message_id` is a UUID (dialects B and C)", "Beckn core 1.1.1 and 2.0";
    ContextTimestamp "context.timestamp" NEEDED CONTEXT
        "`context.timestamp` is there (optional in dialect B), as RFC 3339", BECKN_09_AND_2;
    ContextTimestampFuture "context.timestamp_future" FORM CONTEXT
        "`context.timestamp` is at most 5 minutes ahead of our clock", OURS;
    ContextTtl "context.ttl" FORM CONTEXT
        "`context.ttl`, when it is there, is an ISO 8601 duration", BECKN;
    ContextStale "context.stale" NOTED STALE
        "`context.timestamp` plus `context.ttl` plus 60 seconds is not over", "ONDC-RFC-001";
    ContextDomain "context.domain" NEEDED CONTEXT
        "`context.domain` is there (dialect A)", BECKN_09;
    ContextCountry "context.country" NEEDED CONTEXT
        "`context.country` is there (dialect A), as ISO 3166-1 alpha-3", BECKN_09;
    ContextCity "context.city" NEEDED CONTEXT
        "`context.city` is there (dialect A); in ONDC's domains `std:` and digits", BECKN_09;
    ContextVersion "context.version" NEEDED CONTEXT
        "`context.core_version` or `context.version` is there; 2.0.0 in dialect C",
        BECKN_09_AND_2;
    ContextBapUri "context.bap_uri" NEEDED CONTEXT
        "`context.bap_uri` is there (dialects A and C), as http or https address",
        BECKN_09_AND_2;
    ContextBapUriHost "context.bap_uri_host" NOTED CONTEXT
        "`context.bap_uri` has the host of `context.bap_id` (ONDC's domains)", ONDC;
    ContextBppId "context.bpp_id" NEEDED CONTEXT
        "`context.bpp_id` is there (dialect C, and ONDC logistics 1.2.5)",
        "Beckn core 2.0, ONDC LOG11 1.2.5";
    ContextBppUri "context.bpp_uri" NEEDED CONTEXT
        "`context.bpp_uri` is there (as `context.bpp_id`), as http or https address",
        "Beckn core 2.0, ONDC LOG11 1.2.5";
    PayloadPresent "payload.present" MINIMUM SCHEMA
        "an order, tracking or contract with at least one key, or an error with a code", BECKN;
    PayloadOfAction "payload.of_action" FORM SCHEMA
        "`message.tracking` for on_track, else `message.order` or `message.contract`", BECKN;

    OrderId "order.id" NEEDED SCHEMA
        "`order.id` is there, for callbacks after on_init", RET11;
    OrderState "order.state" FORM STATE
        "`order.state` or `order.status` is one that is published (not in 0.9)",
        "ONDC RET 1.2.0 and RET11 1.2.5, Beckn core 1.1.1";
    OrderProviderGps "order.provider.locations.gps" FORM DOMAIN
        "a position is latitude, comma, longitude in degrees", BECKN_093;
    OrderItemsQuantity "order.items.quantity" FORM DOMAIN
        "a count of items is a whole number", BECKN;
    OrderBillingTimes "order.billing.times" FORM DOMAIN
        "`created_at` and `updated_at` are RFC 3339", BECKN_093;
    OrderFulfillmentsType "order.fulfillments.type" FORM DOMAIN
        "one that ONDC publishes (its retail and logistics domains)", ONDC;
    OrderFulfillmentsState "order.fulfillments.state" FORM STATE
        "a code that ONDC publishes (its retail and logistics domains)",
        "ONDC RET 1.2.0, RET11 1.2.5 and LOG11 1.2.5";
    OrderFulfillmentsTat "order.fulfillments.tat" FORM DOMAIN
        "`@ondc/org/TAT` is an ISO 8601 duration", ONDC;
    OrderFulfillmentsGps "order.fulfillments.gps" FORM DOMAIN
        "a position is latitude, comma, longitude in degrees", BECKN_093;
    OrderFulfillmentsTimes "order.fulfillments.times" FORM DOMAIN
        "the times at start, end and stops are RFC 3339", BECKN_093;
    OrderQuotePrice "order.quote.price" FORM DOMAIN
        "an amount is a decimal number", BECKN_093;
    OrderQuoteBreakupPrice "order.quote.breakup.price" FORM DOMAIN
        "an amount is a decimal number, also in `item.price`", BECKN_093;
    OrderQuoteBreakupQuantity "order.quote.breakup.quantity" FORM DOMAIN
        "a count of items is a whole number", ONDC;
    OrderQuoteBreakupTitleType "order.quote.breakup.title_type" FORM DOMAIN
        "one that ONDC publishes (its retail and logistics domains)", ONDC;
    OrderQuoteTtl "order.quote.ttl" FORM DOMAIN
        "`quote.ttl`, when it is there, is an ISO 8601 duration", BECKN;
    OrderPaymentsType "order.payments.type" FORM DOMAIN
        "a time of payment that is published", BECKN;
    OrderPaymentsStatus "order.payments.status" FORM DOMAIN
        "PAID or NOT-PAID", BECKN;
    OrderPaymentsCollectedBy "order.payments.collected_by" FORM DOMAIN
        "BAP or BPP", "ONDC RET 1.2.0 and RET11 1.2.5, Beckn core 1.1.1";
    OrderPaymentsAmount "order.payments.amount" FORM DOMAIN
        "`params.amount` and ONDC's fee and withholding are decimal numbers", BECKN_093;
    OrderPaymentsFinderFeeType "order.payments.finder_fee_type" FORM DOMAIN
        "percent or amount, in either case", ONDC;
    OrderPaymentsSettlementType "order.payments.settlement_type" FORM DOMAIN
        "one that ONDC publishes, such as upi, neft or rtgs", ONDC;
    OrderPaymentsSettlementBasis "order.payments.settlement_basis" FORM DOMAIN
        "shipment, delivery or return_Window_expiry", ONDC;
    OrderPaymentsSettlementWindow "order.payments.settlement_window" FORM DOMAIN
        "an ISO 8601 duration", ONDC;
    OrderCreatedAt "order.created_at" FORM DOMAIN
        "`created_at`, when it is there, is RFC 3339", BECKN_093;
    OrderUpdatedAt "order.updated_at" FORM DOMAIN
        "`updated_at`, when it is there, is RFC 3339", BECKN_093;

    TrackingUrl "tracking.url" FORM DOMAIN
        "an http, https, ws or wss address; it is there in dialect C", BECKN;
    TrackingStatus "tracking.status" FORM DOMAIN
        "active or inactive; it is there in dialect C", BECKN;
    TrackingGps "tracking.location.gps" FORM DOMAIN
        "a position is latitude, comma, longitude in degrees", BECKN_093;
    TrackingTimes "tracking.location.times" FORM DOMAIN
        "`time.timestamp` and `updated_at` are RFC 3339", BECKN_093;

    ContractId "contract.id" FORM DOMAIN
        "`contract.id`, when it is there, is a UUID", "Beckn core 2.0";
    ContractStatus "contract.status" FORM STATE
        "DRAFT, ACTIVE, CANCELLED or COMPLETE", "Beckn core 2.0";

    Ret11OrderId "ondc.1_2_5.order.id" FORM SCHEMA
        "at most 32 letters, digits and hyphens, or a UUID", RET11;
    Ret11ProviderId "ondc.1_2_5.order.provider.id" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11ProviderLocationsId "ondc.1_2_5.order.provider.locations.id" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11ItemsId "ondc.1_2_5.order.items.id" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11ItemsFulfillmentId "ondc.1_2_5.order.items.fulfillment_id" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11ItemsQuantityCount "ondc.1_2_5.order.items.quantity.count" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11BillingName "ondc.1_2_5.order.billing.name" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11BillingPhone "ondc.1_2_5.order.billing.phone" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11BillingCreatedAt "ondc.1_2_5.order.billing.created_at" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11BillingUpdatedAt "ondc.1_2_5.order.billing.updated_at" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11AddressName "ondc.1_2_5.order.billing.address.name" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11AddressBuilding "ondc.1_2_5.order.billing.address.building" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11AddressLocality "ondc.1_2_5.order.billing.address.locality" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11AddressCity "ondc.1_2_5.order.billing.address.city" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11AddressState "ondc.1_2_5.order.billing.address.state" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11AddressCountry "ondc.1_2_5.order.billing.address.country" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11AddressAreaCode "ondc.1_2_5.order.billing.address.area_code" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11FulfillmentsId "ondc.1_2_5.order.fulfillments.id" FORM SCHEMA
        "is there in on_status and on_update", RET11;
    Ret11FulfillmentsType "ondc.1_2_5.order.fulfillments.type" FORM SCHEMA
        "is there in on_status and on_update", RET11;
    Ret11FulfillmentsCode "ondc.1_2_5.order.fulfillments.state.descriptor.code" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11QuoteCurrency "ondc.1_2_5.order.quote.price.currency" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11QuoteValue "ondc.1_2_5.order.quote.price.value" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11BreakupItemId "ondc.1_2_5.order.quote.breakup.item_id" FORM SCHEMA
        "`@ondc/org/item_id` is there in on_status", RET11;
    Ret11BreakupTitle "ondc.1_2_5.order.quote.breakup.title" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11BreakupCurrency "ondc.1_2_5.order.quote.breakup.price.currency" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11BreakupValue "ondc.1_2_5.order.quote.breakup.price.value" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11BreakupItemCurrency "ondc.1_2_5.order.quote.breakup.item.price.currency" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11BreakupItemValue "ondc.1_2_5.order.quote.breakup.item.price.value" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11QuoteTtl "ondc.1_2_5.order.quote.ttl" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11PaymentFinderFee "ondc.1_2_5.order.payment.finder_fee_amount" FORM SCHEMA
        "`@ondc/org/buyer_app_finder_fee_amount` is there in on_status", RET11;
    Ret11PaymentCounterparty
        "ondc.1_2_5.order.payment.settlement_details.settlement_counterparty" FORM SCHEMA
        "is there in on_status and on_update", RET11;
    Ret11PaymentPhase "ondc.1_2_5.order.payment.settlement_details.settlement_phase" FORM SCHEMA
        "is there in on_status and on_update", RET11;
    Ret11PaymentCurrency "ondc.1_2_5.order.payment.params.currency" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11PaymentAmount "ondc.1_2_5.order.payment.params.amount" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11PaymentStatus "ondc.1_2_5.order.payment.status" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11PaymentType "ondc.1_2_5.order.payment.type" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11PaymentCollectedBy "ondc.1_2_5.order.payment.collected_by" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11CreatedAt "ondc.1_2_5.order.created_at" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11UpdatedAt "ondc.1_2_5.order.updated_at" FORM SCHEMA
        "is there in on_status", RET11;
    Ret11OrderTimes "ondc.1_2_5.order.times" FORM SCHEMA
        "`created_at` and `updated_at` have milliseconds and `Z`", RET11;
    Ret11TrackingId "ondc.1_2_5.tracking.id" FORM SCHEMA
        "is there in on_track", RET11_LOG11;
    Ret11TrackingStatus "ondc.1_2_5.tracking.status" FORM SCHEMA
        "is there in on_track", RET11_LOG11;
    Ret11TrackingGps "ondc.1_2_5.tracking.location.gps" FORM SCHEMA
        "is there in on_track", RET11;
    Ret11TrackingOrderId "ondc.1_2_5.tracking.tags.order.id" FORM SCHEMA
        "is there in on_track", RET11;
    Ret11TrackingAttr "ondc.1_2_5.tracking.tags.config.attr" FORM SCHEMA
        "is there in on_track", RET11;
    Ret11TrackingLatLng "ondc.1_2_5.tracking.tags.path.lat_lng" FORM SCHEMA
        "is there in on_track", RET11;
    Ret11TrackingSequence "ondc.1_2_5.tracking.tags.path.sequence" FORM SCHEMA
        "is there in on_track", RET11;
    Ret11TrackingTimes "ondc.1_2_5.tracking.times" FORM SCHEMA
        "`location.time.timestamp` and `location.updated_at` have milliseconds and `Z`", RET11;
}
