//! Which callback it is: the last segment of the path, and `context.action`.

use std::fmt;

/// A callback that a buyer app receives.
///
/// The three that this receiver exists for come first; the others are the callbacks that the
/// protocol sends to the same `bap_uri` (Beckn 0.9 to 2.0, ONDC IGM and RSF).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Action {
    /// The state of an order.
    OnStatus,
    /// An order that was changed.
    OnUpdate,
    /// Where an order's fulfilment is.
    OnTrack,
    /// Catalogues that answer a search.
    OnSearch,
    /// A quote for a selection.
    OnSelect,
    /// Terms and payment of a draft order.
    OnInit,
    /// An order that was confirmed.
    OnConfirm,
    /// An order that was cancelled.
    OnCancel,
    /// The answer to a rating (Beckn 0.9 and 1.x).
    OnRating,
    /// The answer to a rating (Beckn 2.0).
    OnRate,
    /// How to reach support.
    OnSupport,
    /// Catalogues that answer a discovery (Beckn 2.0).
    OnDiscover,
    /// The answer to an issue (ONDC IGM).
    OnIssue,
    /// The state of an issue (ONDC IGM).
    OnIssueStatus,
    /// The answer to a settlement (ONDC RSF).
    OnSettle,
    /// A settlement report (ONDC RSF).
    OnReport,
    /// The answer to a reconciliation (ONDC RSF).
    OnRecon,
}

impl Action {
    /// Every action, in the order of the enum.
    pub const ALL: [Action; 17] = [
        Action::OnStatus,
        Action::OnUpdate,
        Action::OnTrack,
        Action::OnSearch,
        Action::OnSelect,
        Action::OnInit,
        Action::OnConfirm,
        Action::OnCancel,
        Action::OnRating,
        Action::OnRate,
        Action::OnSupport,
        Action::OnDiscover,
        Action::OnIssue,
        Action::OnIssueStatus,
        Action::OnSettle,
        Action::OnReport,
        Action::OnRecon,
    ];

    /// Returns the action as the protocol spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Action::OnStatus => "on_status",
            Action::OnUpdate => "on_update",
            Action::OnTrack => "on_track",
            Action::OnSearch => "on_search",
            Action::OnSelect => "on_select",
            Action::OnInit => "on_init",
            Action::OnConfirm => "on_confirm",
            Action::OnCancel => "on_cancel",
            Action::OnRating => "on_rating",
            Action::OnRate => "on_rate",
            Action::OnSupport => "on_support",
            Action::OnDiscover => "on_discover",
            Action::OnIssue => "on_issue",
            Action::OnIssueStatus => "on_issue_status",
            Action::OnSettle => "on_settle",
            Action::OnReport => "on_report",
            Action::OnRecon => "on_recon",
        }
    }

    /// Returns the action of a route segment, or `None` for what the protocol does not send.
    pub fn from_name(name: &str) -> Option<Action> {
        Action::ALL.into_iter().find(|action| action.as_str() == name)
    }

    /// Returns the action that `context.action` names; Beckn 2.0 samples write `beckn/on_status`.
    pub fn from_context(text: &str) -> Option<Action> {
        Action::from_name(text.strip_prefix("beckn/").unwrap_or(text))
    }

    /// Returns whether this is one of the three callbacks that follow an order.
    pub const fn follows_an_order(self) -> bool {
        matches!(self, Action::OnStatus | Action::OnUpdate | Action::OnTrack)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Action;

    #[test]
    fn every_action_is_read_back_from_its_name() {
        for action in Action::ALL {
            assert_eq!(Action::from_name(action.as_str()), Some(action));
        }
        assert_eq!(Action::from_name("status"), None);
    }

    #[test]
    fn the_prefix_of_beckn_2_is_read_in_a_context_and_not_in_a_route() {
        assert_eq!(Action::from_context("beckn/on_status"), Some(Action::OnStatus));
        assert_eq!(Action::from_name("beckn/on_status"), None);
    }
}
