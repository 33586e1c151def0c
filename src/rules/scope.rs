//! Which dialect, network and version a callback claims to be of: what applies to it.

use crate::beckn::context::{Context, Dialect};

/// What a context says about the rules that apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scope {
    /// The dialect; the oldest when no key tells it.
    pub(super) dialect: Dialect,
    /// The network's trade.
    pub(super) network: Network,
    /// Whether the version is one of Beckn 1.x: "2.0.0" in dialect B is what several networks
    /// call their own additions to it.
    pub(super) is_beckn_1: bool,
    /// Whether the version is ONDC's 1.2.5.
    pub(super) is_1_2_5: bool,
}

/// A network and its trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    /// ONDC retail.
    OndcRetail,
    /// ONDC logistics.
    OndcLogistics,
    /// ONDC's other domains: finance, mobility, services, agriculture.
    OndcOther,
    /// Not ONDC.
    Other,
}

impl Scope {
    pub(super) fn of(context: &Context) -> Scope {
        let dialect = context.dialect().unwrap_or(Dialect::A);
        let version = context.version().unwrap_or_default();
        let is_beckn_09 = version.starts_with("0.");
        Scope {
            dialect,
            network: Network::of(context.domain.as_deref().unwrap_or_default(), is_beckn_09),
            is_beckn_1: dialect == Dialect::B && version.starts_with("1."),
            is_1_2_5: version == "1.2.5" && dialect == Dialect::A,
        }
    }

    /// Returns whether ONDC's enumerations for goods apply.
    pub(super) const fn is_ondc_goods(self) -> bool {
        matches!(self.network, Network::OndcRetail | Network::OndcLogistics)
    }

    /// Returns whether Beckn's own enumerations apply: ONDC's other domains have their own.
    pub(super) fn has_published_values(self) -> bool {
        self.network != Network::OndcOther
    }

    pub(super) fn is_ondc(self) -> bool {
        self.network != Network::Other
    }
}

impl Network {
    fn of(domain: &str, is_beckn_09: bool) -> Network {
        if let Some(trade) = domain.strip_prefix("ONDC:") {
            return match trade.get(..3) {
                Some("RET") => Network::OndcRetail,
                Some("LOG") => Network::OndcLogistics,
                _ => Network::OndcOther,
            };
        }
        // ONDC's domains before they had names; Beckn 0.9 uses the same numbers.
        match domain {
            "nic2004:52110" if !is_beckn_09 => Network::OndcRetail,
            "nic2004:60232" if !is_beckn_09 => Network::OndcLogistics,
            _ => Network::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Network, Scope};
    use crate::beckn::callback::Callback;
    use crate::beckn::context::Dialect;

    #[test]
    fn the_context_tells_dialect_and_network() {
        let check = |context: &str, dialect: Dialect, network: Network| {
            let callback = Callback::parse(format!(r#"{{"context":{context}}}"#).as_bytes());
            let scope = Scope::of(&callback.unwrap().context);
            assert_eq!((scope.dialect, scope.network), (dialect, network), "{context}");
        };
        let retail = r#"{"domain":"ONDC:RET11","core_version":"1.2.5"}"#;
        check(retail, Dialect::A, Network::OndcRetail);
        let logistics = r#"{"domain":"nic2004:60232","core_version":"1.1.0"}"#;
        check(logistics, Dialect::A, Network::OndcLogistics);
        let rides = r#"{"domain":"ONDC:TRV10","version":"2.0.1"}"#;
        check(rides, Dialect::B, Network::OndcOther);
        let beckn = r#"{"domain":"nic2004:52110","core_version":"0.9.1"}"#;
        check(beckn, Dialect::A, Network::Other);
        check(r#"{"bapId":"buyer.example","version":"2.0.0"}"#, Dialect::C, Network::Other);
        check(r#"{"domain":"retail"}"#, Dialect::A, Network::Other);
    }
}
