//! Sellers: what came of each, and how it changed in the last day.

use chrono::{DateTime, Utc};

use super::Ledger;
use super::views::{QuarterView, SellerView};
use crate::inbox::reader;
use crate::inbox::reader::sellers::{KnownSeller, Quarter};

impl Ledger {
    /// Returns the sellers, those that were verified first: sums over seven days, and the quarters
    /// of an hour of the last day.
    pub(crate) fn sellers(&self, now: DateTime<Utc>) -> Result<Vec<SellerView>, reader::Error> {
        let sellers = self.reader.sellers(now)?;
        Ok(sellers.into_iter().map(view).collect())
    }
}

fn view(seller: KnownSeller) -> SellerView {
    let quarter = |Quarter { at, accepted, duplicates, refused }| QuarterView {
        at,
        accepted,
        duplicates,
        refused,
    };
    SellerView {
        seller: seller.seller,
        verified: seller.verified,
        last_seen: seller.last_at,
        accepted: seller.accepted,
        duplicates: seller.duplicates,
        refused: seller.refused,
        untrusted: seller.untrusted,
        oddities: seller.oddities,
        silences: seller.silences,
        quarters: seller.quarters.into_iter().map(quarter).collect(),
    }
}
